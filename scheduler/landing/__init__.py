"""What becomes of captured patches: gates, the record of a weave, the mails about it, the base branch."""
