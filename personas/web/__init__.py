"""Requests to servers outside: one exchange, secrets from files, JSON with retries, limits and pages, streams."""
