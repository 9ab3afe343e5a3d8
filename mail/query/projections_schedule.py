"""What scheduler and weaver have done, as Ibis expressions: of the sprints, and of each dispatch for itself.

A part of `projections.py`, compiled with it and by the same rules.
"""

from __future__ import annotations

from typing import Any

import ibis
from ibis import _

from .projections import argument, events

SCHEDULED = r"^(sprint|tick|run|patch|weave|gate|persona|scheduler)\."
DISPATCHED = r"^(dispatch|task|run|patch|weave|gate)\."
FACT = ("seq", "id", "ts", "kind", "sender", "ref", "run", "data", "hash")


def schedule() -> Any:
    """List what was done for sprints, but for the ticks that had nothing to do; dispatches are left out.

    Unless it is to be the `whole`, what a tick must know of it: all since the last sprint began, and of what was before
    it the sprints, verdicts, pauses, and the runs whose patch was held, which may still be approved.
    """
    whole, kind, idle = argument("whole", "boolean"), events.kind, events.data["idle"].str
    began, held = events.seq.max(where=kind == "sprint.started"), events.ref.collect(where=kind == "patch.held")
    marks = events.filter(~whole, kind.isin(["sprint.started", "patch.held"])).agg(
        began=began.fill_null(0), held=ibis.coalesce(held, ibis.literal([], type="array<string>"))
    )
    own = events.data["dispatch"].str.isnull()
    done = events.filter(kind.re_search(SCHEDULED), own, (kind != "tick.done") | idle.isnull()).cross_join(marks)
    known = (_.seq >= _.began) | _.held.contains(_.run) | _.held.contains(_.ref)
    done = done.filter(whole | known | _.kind.re_search(r"^(sprint|gate|scheduler)\."))
    return done.select(*FACT).order_by("seq")


def dispatched() -> Any:
    """List what was done for one dispatch; of all of them, where none is named, only that they began and ended."""
    dispatch, kind = argument("dispatch"), events.kind
    named = kind.re_search(DISPATCHED) & (events.data["dispatch"].str == dispatch)
    found = events.filter(named | (dispatch.isnull() & kind.startswith("dispatch.")))
    return found.select(*FACT).order_by("seq")


SCHEDULES = (schedule, dispatched)
