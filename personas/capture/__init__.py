"""What is captured of a run: its work tree and its commits, by a git that believes nothing an agent wrote."""
