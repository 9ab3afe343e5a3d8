"""Copies of the mail that leave the log: backups and exports."""
