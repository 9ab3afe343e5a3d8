"""Sprints of the past: in a line each, in figures, and as of any moment of one.

That is from its own events: who ran, what had landed and why, what lay in whose inbox.
"""
