"""What all parts of the console share: the console itself, its routes, and how they answer."""
