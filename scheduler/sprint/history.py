"""The sprints of a team: all of them in a line each, and one of them in figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..context import Context
from ..state.metrics import Metrics, count_mails, measure
from ..state.sprints import sprint_numbered
from ..state.summary import Summary, summary


@dataclass(frozen=True)
class History:
    """Every sprint of a team, the newest last."""

    sprints: tuple[Summary, ...]

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `scheduler history --json`."""
        return [sprint.document() | {"outcome": sprint.outcome} for sprint in self.sprints]


def history(context: Context, now: datetime) -> History:
    """Sum up every sprint; `now` stands in for the end of one that is open."""
    state = context.state()
    return History(tuple(summary(state, sprint, now) for sprint in state.sprints))


def report(context: Context, number: int | None, now: datetime) -> Metrics:
    """Return the figures of sprint `number`, of the last one if it is None. Raises NoSuchRun."""
    state = context.state()
    sprint = sprint_numbered(state, number)
    return measure(state, sprint, now, count_mails(context.mailbox.log, state, sprint))
