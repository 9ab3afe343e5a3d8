"""The settings of a team: keys, defaults, where each value comes from, and what may stand there."""
