"""The small processes beside agents, keeper and warden. Each module imports only what loads at once."""
