"""The commands of `team` for work that is claimed or gathered: tasks, claims, workers, the hook, sessions."""
