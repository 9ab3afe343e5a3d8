"""Personas: who works in a team, and how each one is brought to life."""
