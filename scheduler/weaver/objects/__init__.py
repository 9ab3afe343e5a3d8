"""Git's objects without a process for each: many written as one pack, and read by one process that goes on."""
