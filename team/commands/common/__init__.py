"""What the commands have in common: their options, and how they print and ask."""
