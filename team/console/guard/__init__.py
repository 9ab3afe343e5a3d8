"""Who may ask the console for what: names of hosts, logins, tokens, limits."""
