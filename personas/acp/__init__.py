"""Agents that speak the Agent Client Protocol (ACP): a client of it, which plays one run, below a keeper."""
