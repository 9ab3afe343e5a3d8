"""The agents that can play a persona, and the readers of their output."""
