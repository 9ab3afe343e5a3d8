"""Routes for programs outside of the team: commands as JSON, figures, queries in SQL."""
