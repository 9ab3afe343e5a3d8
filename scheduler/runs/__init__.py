"""Running launches: one at a time, in a batch, or in the order of a graph."""
