"""What is known of each coding agent, in one file of data for each, and what of it can be seen on this machine."""
