"""What the console answers as JSON: tables of routes, each a function of the console and of what was asked."""
