"""team-mail: mail for teams of AI coding agents."""
