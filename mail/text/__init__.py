"""Text: what is harmless to show, units, the nearest of several words, patterns of paths."""
