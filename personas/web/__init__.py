"""Requests to servers outside: one exchange, secrets from files, and JSON with retries, limits, pages and a cache."""
