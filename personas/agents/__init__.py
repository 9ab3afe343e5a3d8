"""The agents that can play a persona, and how the output of each is read."""
