"""Persona files of other tools: what they say of a persona of ours, and ours in their words."""
