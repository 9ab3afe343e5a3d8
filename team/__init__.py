"""Everything that people and programs call, and the place where a team is opened."""
