"""The words of the forge's API, and those for what became of a pull request."""

from __future__ import annotations

RED = frozenset({"failure", "timed_out", "startup_failure"})  # conclusions of a check run
RED_STATES = frozenset({"failure", "error"})  # of a commit status
GONE = frozenset({404, 410})  # statuses of what is not there, or not any more
OPEN = "open"  # the state of an issue or a pull request
MERGED, CLOSED = "merged", "closed"  # how a pull request ended
REMARK, REVIEW, COMMENT = "remark", "review", "comment"  # what is said of a pull request: on a line, of all, below it
OPENED, UPDATED, UNCHANGED = "opened", "updated", "unchanged"  # what publishing did to one
