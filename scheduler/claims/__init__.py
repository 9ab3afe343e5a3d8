"""Claims: tasks, paths and names that one worker or person has taken for a time, each with a token that fences it."""
