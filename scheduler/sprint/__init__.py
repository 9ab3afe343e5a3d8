"""Sprints: what happens next, the tick that does it, the loop, the daemon, and the people who steer."""
