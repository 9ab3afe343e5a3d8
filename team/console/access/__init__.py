"""Who may ask the console for what: people who have logged in, and programs with a token or a signature."""
