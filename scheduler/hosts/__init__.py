"""Runs on other hosts than the one that leads, and the commits that they start from."""
