"""The commands of `team` that tell programs and people outside: notices, figures, traces."""
