"""Records of a team: its status, its sprints, and the figures of one of them."""

from __future__ import annotations

from ...scheduler.context import Context
from ...scheduler.moments import history as records
from ...scheduler.moments.history import History
from ...scheduler.moments.view import SprintView, view
from ...scheduler.overview.money import Money
from ...scheduler.overview.money import money as read_money
from ...scheduler.overview.overview import Overview, overview
from ...scheduler.overview.past import Past
from ...scheduler.overview.past import past as read_past
from ...scheduler.state.metrics import Metrics
from ...scheduler.state.reading import LAST
from ...scheduler.supervisor.rounds import RoundList, read_rounds


def status(context: Context) -> Overview:
    """Return what needs a person and everything that is under way: the last sprint, its runs, dispatches."""
    return overview(context, context.clock.now())


def history(context: Context, most: int = LAST, before: int | None = None) -> History:
    """Return a summary of the last sprints, the newest last.

    Args:
        context: The team.
        most: How many sprints at most.
        before: Only sprints with a number below this one.
    """
    return records.history(context, context.clock.now(), most, before)


def past(context: Context, most: int = LAST) -> Past:
    """Return what the team has done last, so many sprints, dispatches and asks, the newest last."""
    return read_past(context, most)


def rounds(context: Context, most: int = LAST) -> RoundList:
    """Return the last rounds, so many, the newest last."""
    return read_rounds(context, context.clock.now(), most)


def report(context: Context, number: int | None = None) -> Metrics:
    """Return all figures of sprint `number`, of the last one by default. Raises NoSuchRun."""
    return records.report(context, number, context.clock.now())


def view_sprint(context: Context, number: int | None = None, at: int | None = None) -> SprintView:
    """Return a sprint as of a moment: runs, patches, weaves and why, gates, inboxes, commits, and all its moments.

    Raises NoSuchRun.

    Args:
        context: The team.
        number: The sprint; the last one by default.
        at: The seq of an event of the sprint, or after it; by default it is shown as it is now.
    """
    return view(context, number, at, context.clock.now())


def money(context: Context, most: int = LAST) -> Money:
    """Return what was used today, by agent and persona, and in so many of the last sprints; and what budgets leave."""
    return read_money(context, most)
