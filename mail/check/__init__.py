"""Whether there is unread mail, answered as fast as a prompt."""
