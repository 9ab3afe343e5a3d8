"""Conflicts foretold: open runs are compared with each other, and with what has landed, and told where they meet."""
