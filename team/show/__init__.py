"""What people see: live progress, tables, reports, charts and plans as text."""
