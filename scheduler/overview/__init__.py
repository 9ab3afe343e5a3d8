"""All that a team has under way, of whatever kind, who works in it, and what needs a person."""
