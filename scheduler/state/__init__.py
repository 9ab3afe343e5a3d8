"""What the log says of sprints and dispatches: facts, folds, summaries and figures."""
