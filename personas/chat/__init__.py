"""Chat models: a client of servers that speak as OpenAI's chat completions do, and the runs that its models play."""
