"""Hooks of coding agents: the mail that a person's own session is shown, and the entries in agents' files for that."""
