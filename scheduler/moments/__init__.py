"""A sprint as of any moment of it, from its own events: who ran, what had landed and why, what lay in whose inbox."""
