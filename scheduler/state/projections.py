"""What scheduler and weaver have done, as Ibis expressions over the log: of the sprints, and of each dispatch.

Compiled to `sql/` beside this module by `make sql`. The names of these projections are `scheduler.state.schedule`,
`scheduler.state.dispatched`, `scheduler.state.going`, `scheduler.state.ended` and `scheduler.state.refused`.
"""

from __future__ import annotations

from typing import Any

import ibis
from ibis import _

from ...mail.directory import SCHEDULER
from ...mail.query.projections import argument, events
from ..kinds import Kind, RunStatus

SCHEDULED = r"^(sprint|tick|run|patch|weave|gate|persona|budget|scheduler)\."
DISPATCHED = r"^(dispatch|task|run|patch|weave|gate)\."
FACT = ("seq", "id", "ts", "kind", "sender", "ref", "run", "data", "hash")


def schedule() -> Any:
    """List the events of sprints, except those of dispatches and of ticks that had nothing to do.

    Unless `whole`, only those that a tick needs: all since the last sprint began, and from before it the sprints, gate
    verdicts, pauses, and the runs whose patch was held, which may still be approved.
    """
    whole, kind, idle = argument("whole", "boolean"), events.kind, events.data["idle"].str
    sprint, held = str(Kind.SPRINT_STARTED), str(Kind.PATCH_HELD)
    began, runs = events.seq.max(where=kind == sprint), events.ref.collect(where=kind == held)
    marks = events.filter(~whole, kind.isin([sprint, held])).agg(
        began=began.fill_null(0), held=ibis.coalesce(runs, ibis.literal([], type="array<string>"))
    )
    own = events.data["dispatch"].str.isnull()
    done = events.filter(kind.re_search(SCHEDULED), own, (kind != str(Kind.TICK_DONE)) | idle.isnull())
    done = done.cross_join(marks)
    known = (_.seq >= _.began) | _.held.contains(_.run) | _.held.contains(_.ref)
    done = done.filter(whole | known | _.kind.re_search(r"^(sprint|gate|scheduler)\."))
    return done.select(*FACT).order_by("seq")


def dispatched() -> Any:
    """List the events of one dispatch; without `dispatch`, the start and end of all dispatches."""
    dispatch, kind = argument("dispatch"), events.kind
    named = kind.re_search(DISPATCHED) & (events.data["dispatch"].str == dispatch)
    chosen = events.filter(named | (dispatch.isnull() & kind.startswith("dispatch.")))
    return chosen.select(*FACT).order_by("seq")


def going() -> Any:
    """List the starts of runs that have not ended, of sprints and of dispatches; of everybody without a roster."""
    roster = argument("roster", "array<string>")
    done = events.filter(events.sender == SCHEDULER)
    started = done.filter(done.kind == str(Kind.RUN_STARTED))
    started = started.filter(roster.isnull() | roster.contains(started.data["persona"].str))
    ended = done.filter(done.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)])).select(ended="run")
    return started.anti_join(ended, started.run == ended.ended).select(*FACT).order_by("seq")


def ended() -> Any:
    """List the ends of runs since a time, those of sprints and of dispatches."""
    done = events.filter(events.sender == SCHEDULER, events.ts >= argument("since"))
    return done.filter(done.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)])).select(*FACT).order_by("seq")


def refused() -> Any:
    """List starts and ends of the runs whose service named a time after `now`, and of those that ended well since.

    Those of sprints and of dispatches: a service knows neither.
    """
    done, finished = events.filter(events.sender == SCHEDULER), str(Kind.RUN_FINISHED)
    ends = done.filter(done.kind == finished)
    named = (_.data["status"].str == str(RunStatus.LIMITED)) & (_.data["until"].str > argument("now"))
    since = ends.filter(named).agg(since=_.seq.min())
    ends = ends.cross_join(since)
    ends = ends.filter(_.seq >= _.since, named | (_.data["status"].str == str(RunStatus.OK)))
    kinds = done.filter(done.kind.isin([str(Kind.RUN_STARTED), finished]))
    ends = ends.select(ended="run")
    return kinds.semi_join(ends, kinds.run == ends.ended).select(*FACT).order_by("seq")


PROJECTIONS = (schedule, dispatched, going, ended, refused)
