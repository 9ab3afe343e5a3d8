"""One run's processes, from start to end: the keeper, its limits, the captured output, and the clean-up."""
