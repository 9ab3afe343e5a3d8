"""Tasks of a dispatch: their model, file format, graph, typed input and references to each other."""
