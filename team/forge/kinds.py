"""The words of the API that the fake forge answers with."""

from __future__ import annotations

from collections.abc import Collection

OPEN, CLOSED = "open", "closed"
_WORST = ("error", "failure", "pending")  # the states of a commit, the worst first; an error counts as a failure
_SUCCESS = "success"


def combined(states: Collection[str]) -> str:
    """Return the combined state of a commit from the states of its contexts."""
    worst = next((state for state in _WORST if state in states), _SUCCESS if states else _WORST[-1])
    return _WORST[1] if worst == _WORST[0] else worst
