"""What agents print: formats, readers, and the printer of our own."""
