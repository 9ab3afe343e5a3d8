"""One look at the runs that go on without a scheduler, by a tick that is about to end: whom they meet, they are told.

A scheduler that stays looks again and again, see `foretell.Foreteller`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

from ...mail.clock import SystemClock
from ...mail.errors import TeamMailError
from ...personas.running.left import read_left
from ...personas.running.process import is_going
from ..context import Context
from ..foretell.looker import Looker, OpenRun
from ..kinds import RunStatus
from ..state.sprints import State
from .preparation import Ready


def look_once(context: Context, state: State, stop: threading.Event) -> None:
    """Look at the runs of the open sprint that go on, and tell those that meet, until `stop` is set.

    What cannot be looked at now is left to the next tick.
    """
    if context.settings.sprint.foretell == "off" or state.sprint is None:
        return
    with suppress(TeamMailError, OSError, ValueError, LookupError):
        if runs := [*_going(context, state)]:
            with Looker(context, SystemClock(), stop.is_set) as looker:
                looker.round(runs, moved=True)


def _going(context: Context, state: State) -> Iterator[OpenRun]:
    """Yield the runs that go on, as whoever started them left them."""
    for run in state.runs:
        folder = context.home / "runs" / run.id
        if run.status != RunStatus.OPEN or run.sprint != state.number or not is_going(folder):
            continue
        left, table = read_left(folder), context.settings.agents.get(run.agent)
        if left is None:
            continue
        with suppress(KeyError, TypeError, ValueError):
            ready, workspace = Ready.restored(left.ready), context.mirror.left(run.id, run.base)
            litter = table.litter if table else ()
            yield OpenRun(run.id, run.persona, workspace, folder, litter, ready.apart, ready.made)
