"""The log on PostgreSQL: the server's rules, this host's copy of its lines, and the way from a file log and back."""
