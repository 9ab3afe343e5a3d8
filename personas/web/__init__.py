"""Requests to servers outside: one exchange, secrets from files, JSON with retries, limits, pages and a cache, streams."""
