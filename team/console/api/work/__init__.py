"""Routes of what is to be done: tasks and claims, schedules, sessions, plans."""
