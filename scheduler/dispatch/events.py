"""The events with which a dispatch begins and ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ...mail.log.event import Draft
from ..kinds import Kind, TaskStatus
from ..leader import myself
from ..state.dispatches import DispatchState


def started(dispatch: str, tasks: Mapping[str, Any], **data: Any) -> Draft:
    """Return the event that starts a dispatch: its id, the entry that holds its tasks, and further data."""
    data = {"dispatch": dispatch, "supervisor": myself(), **tasks, **data}
    return Draft(Kind.DISPATCH_STARTED, "scheduler", data=data)


def dispatch_finished(state: DispatchState, tasks: int, seconds: float) -> Draft:
    """Return the event that ends a dispatch of so many tasks, which took so many seconds since it was gone on with."""
    ends = Counter(end.status for end in state.ends.values())
    succeeded, skipped = ends[TaskStatus.SUCCESS], ends[TaskStatus.SKIPPED]
    data: dict[str, Any] = {
        "dispatch": state.id,
        "successful": succeeded,
        "failed": tasks - succeeded - skipped,
        "skipped": skipped,
        "seconds": round(seconds, 3),
    }
    return Draft(Kind.DISPATCH_FINISHED, "scheduler", data=data)
