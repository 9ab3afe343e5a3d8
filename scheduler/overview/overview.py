"""A team at one moment: what needs a person, where its sprint stands, its dispatches and tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..context import Context
from ..needs import Need
from ..sprint.status import Status, status
from .dispatches import OpenDispatch, open_dispatches
from .needs import read_needs
from .tasks import WaitingTask, claimed_work


@dataclass(frozen=True)
class Overview:
    """Everything under way in a team, and first what needs a person."""

    needs: tuple[Need, ...]
    status: Status
    dispatches: tuple[OpenDispatch, ...]
    tasks: tuple[WaitingTask, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler status --json`."""
        return {
            "needs": [need.document() for need in self.needs], **self.status.document(),
            "dispatches": [dispatch.document() for dispatch in self.dispatches],
            "tasks": [task.document() for task in self.tasks],
        }  # fmt: skip


def overview(context: Context, now: datetime) -> Overview:
    """Read what a team has under way at `now`."""
    state, dispatches, claimed = context.state(whole=False), open_dispatches(context, now), claimed_work(context)
    needs = read_needs(context, state, dispatches, claimed, now)
    return Overview(needs, status(context, now), dispatches, claimed.tasks)
