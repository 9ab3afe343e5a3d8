"""Questions to the log: Ibis expressions, the SQL compiled from them, and DuckDB, which runs it."""
