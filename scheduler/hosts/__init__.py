"""Runs on other hosts: what the leader hands out, what a worker takes and returns, and how the log decides."""
