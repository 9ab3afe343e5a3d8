"""Text for people: escapes, units, the nearest of several words."""
