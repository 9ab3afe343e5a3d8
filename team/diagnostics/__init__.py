"""Diagnostics: what a command does while it runs, in lines for people or programs, apart from the team's log."""
