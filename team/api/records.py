"""Asking: where a team stands, which sprints it ran, and one of them in figures."""

from __future__ import annotations

from ...scheduler.context import Context
from ...scheduler.sprint import history as records
from ...scheduler.sprint import status as standing
from ...scheduler.sprint.history import History
from ...scheduler.sprint.status import Status
from ...scheduler.state.metrics import Metrics


def status(context: Context) -> Status:
    """Return where the team stands now: who leads, the last sprint, its runs, what waits for whom."""
    return standing.status(context, context.clock.now())


def history(context: Context) -> History:
    """Return every sprint in a few figures, the newest last."""
    return records.history(context, context.clock.now())


def report(context: Context, number: int | None = None) -> Metrics:
    """Return all figures of sprint `number`, of the last one by default. Raises NoSuchRun."""
    return records.report(context, number, context.clock.now())
