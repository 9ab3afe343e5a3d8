"""What a workspace gets before its agent or gate starts: a slot with ports, copied files, caches, the set-up."""
