"""Jules, Google's coding agent: a client of its REST interface, the runs that its sessions play, and a fake of it."""
