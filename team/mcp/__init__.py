"""The team's mail for agents that speak MCP: four tools and two resources, over stdio or HTTP on loopback."""
