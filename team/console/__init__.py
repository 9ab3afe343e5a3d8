"""The web console: the team's API over HTTP, and pages that show the same values.

It watches runs of any process through the log and their output files, and does nothing that a command could not do.
"""
