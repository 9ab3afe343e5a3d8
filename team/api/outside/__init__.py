"""What programs and people outside of the team are told: figures, traces, notices."""
