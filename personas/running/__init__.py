"""One agent's processes, from start to end: keeper, limits, captured output, clean-up."""
