"""The state of one dispatch as a fold over facts: its tasks, each attempt at them, how each ended.

A running dispatch adds the facts that it writes, a later reader those in the log: the same facts give the same state.
Inputs and results stay in the data of their events until they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from ...mail.query.rows import Projections
from ..errors import NoSuchRun
from ..kinds import Kind, RunStatus, TaskStatus
from .facts import Fact, Run
from .fold import Fold, fact_of
from .form import counts

_SHORT = 8
_PLAIN = re.compile(r"[\w .-]+", re.ASCII)
_LEAST = 4  # characters that name a dispatch by the beginning of its id
_MOST = 50  # dispatches without an end that are looked at: one that was cut off and never resumed has none


@dataclass(frozen=True)
class Attempt:
    """One run of a task. `start` is the data of the event that began it, `result` that of its end, empty until then."""

    run: str
    number: int
    agent: str
    started: str
    start: Mapping[str, Any]
    status: str = RunStatus.OPEN
    seconds: float = 0.0
    detail: str = ""
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class End:
    """How a task ended, and when. `status` is a `TaskStatus`, `error` says why it failed, `why` why it was skipped."""

    status: str
    error: str
    ts: str
    why: str = ""


class DispatchState:
    """One dispatch, as far as facts were added.

    `given` is the data of its start: tasks and configuration as they were given. `agent` is the agent that plays every
    persona, None if each has its own. `base` and `branch` are empty without a repository. `sitting` is when it was
    started or resumed the last time, by the event `seq`, `last` the time of the last fact, `supervisor` the process
    that leads it. `attempts` and `ends` are by task, `finished` is the data of its end. `work` has its runs and
    patches.
    """

    def __init__(self) -> None:
        self.id = ""
        self.started = ""
        self.sitting = ""
        self.seq = 0
        self.last = ""
        self.given: Mapping[str, Any] = {}
        self.agent: str | None = None
        self.base = ""
        self.branch = ""
        self.is_stopped = False  # somebody asked for its end since it was last gone on with
        self.supervisor: Mapping[str, Any] = {}
        self.attempts: dict[str, list[Attempt]] = {}
        self.ends: dict[str, End] = {}
        self.finished: Mapping[str, Any] | None = None
        self.work = Fold()

    def add(self, fact: Fact) -> None:
        """Fold the next fact, as `Fold.add` does."""
        if not counts(fact):
            return
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            self._add(fact)
        self.work.take(fact)
        self.last = fact.ts

    def _add(self, fact: Fact) -> None:
        data = fact.data
        if fact.kind == Kind.DISPATCH_STARTED:
            self.id, self.started, self.sitting, self.given = data["dispatch"], fact.ts, fact.ts, data
            self.seq = fact.seq
            self.base, self.branch, self.agent = data["base"], data["branch"], data["agent"]
            self.supervisor = data["supervisor"]
        elif fact.kind == Kind.DISPATCH_RESUMED:
            self.sitting, self.supervisor, self.finished = fact.ts, data["supervisor"], None
            self.seq, self.is_stopped = fact.seq, False
            self.ends = {task: end for task, end in self.ends.items() if self.is_done(task)}
        elif fact.kind == Kind.DISPATCH_STOPPED:
            self.is_stopped = True
        elif fact.kind == Kind.DISPATCH_FINISHED:
            self.finished = data
        elif fact.kind == Kind.RUN_STARTED:
            attempt = Attempt(str(fact.run), data["attempt"], data["agent"], fact.ts, data)
            self.attempts.setdefault(data["task"], []).append(attempt)
            self.ends.pop(data["task"], None)
        elif fact.kind in {Kind.RUN_FINISHED, Kind.RUN_LOST}:
            self._end_attempt(fact)
        elif fact.kind == Kind.TASK_FINISHED:
            self.ends[data["task"]] = End(data["status"], data["error"], fact.ts, data.get("why", ""))

    def _end_attempt(self, fact: Fact) -> None:
        data = fact.data
        attempts = self.attempts[data["task"]]
        at = next((at for at, a in enumerate(attempts) if a.run == fact.run and a.status == RunStatus.OPEN), None)
        if at is None:  # the end of a run that is not known, or ended before
            return
        lost = fact.kind == Kind.RUN_LOST
        attempts[at] = replace(
            attempts[at],
            status=RunStatus.LOST if lost else data["status"],
            seconds=data.get("seconds", 0.0),
            detail=data["why"] if lost else data["detail"],
            result=data,
        )

    @property
    def short(self) -> str:
        """The end of its id, which people use as its name."""
        return self.id[-_SHORT:]

    @property
    def open(self) -> tuple[Attempt, ...]:
        """The attempts that have not ended."""
        attempts = (attempt for own in self.attempts.values() for attempt in own)
        return tuple(attempt for attempt in attempts if attempt.status == RunStatus.OPEN)

    @property
    def open_runs(self) -> tuple[Run, ...]:
        """The runs that have not ended on record."""
        return tuple(run for run in self.work.runs.values() if run.status == RunStatus.OPEN)

    @property
    def seconds(self) -> float:
        """How long it took since it was last started or resumed; up to its last fact if it was cut off."""
        if self.finished:
            return float(self.finished["seconds"])
        return (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.sitting)).total_seconds()

    @property
    def names(self) -> frozenset[str]:
        """The names of its tasks; those of tasks that were never tried are missing if the tasks are in a blob."""
        given = self.given.get("tasks", ())
        return frozenset((*self.attempts, *self.ends, *(task["task_id"] for task in given)))

    def of(self, task: str) -> Sequence[Attempt]:
        """Return the attempts at a task, the first one first."""
        return self.attempts.get(task, ())

    def status(self, task: str) -> str:
        """Return the `TaskStatus` of a task; one that did not end was cancelled."""
        return self.ends[task].status if task in self.ends else TaskStatus.CANCELLED

    def is_done(self, task: str) -> bool:
        """Tell whether a task succeeded or was skipped: then a dispatch that is resumed has nothing to do for it."""
        return self.status(task) in {TaskStatus.SUCCESS, TaskStatus.SKIPPED}


def read_dispatch(projections: Projections, name: str | None = None, task: str | None = None) -> DispatchState:
    """Read a dispatch from the log. Raises NoSuchRun.

    `name` is its correlation id, or the beginning or end of one; None means the last one, or the last with the `task`.
    """
    starts = _starts(_events(projections))
    if not starts:
        raise NoSuchRun("no dispatch yet; start one with team dispatch tasks.json")
    if name is not None:
        return _folded(projections, starts[_named([*starts], name)])
    for start in reversed(starts.values()):
        if task is not None and not _may_have(start, task):
            continue
        state = _folded(projections, start)
        if task is None or task in state.names:
            return state
    raise NoSuchRun(f"no dispatch had a task {task!r}; team trace --index lists those of the last")


def read_unfinished(projections: Projections, most: int = _MOST) -> list[DispatchState]:
    """Read the dispatches that are not finished, those under way and those that were cut off: the last of them."""
    facts = _events(projections)
    last = {str(fact.data.get("dispatch")): fact.kind for fact in facts if fact.kind != Kind.DISPATCH_STOPPED}
    starts = _starts(facts)
    open_ = [starts[each] for each, kind in last.items() if kind != Kind.DISPATCH_FINISHED and each in starts]
    return [_folded(projections, start) for start in open_[-most:]]


def read_last(projections: Projections, most: int, before: str | None = None) -> list[DispatchState]:
    """Read the last dispatches, so many, the newest last; those before one of a name. Raises NoSuchRun for another."""
    starts = [*_starts(_events(projections)).items()]
    if before is not None:
        names = [name for name, _ in starts]
        starts = starts[: names.index(_named(names, before))] if names else []
    starts = starts[-most:]
    if not starts:
        return []
    states = {dispatch: DispatchState() for dispatch, _ in starts}
    rows = projections.rows("scheduler.state.of_dispatches", since=starts[0][1].seq)
    for fact in map(fact_of, rows):
        if state := states.get(str(fact.data.get("dispatch"))):
            state.add(fact)
    return [*states.values()]


def session_of(state: DispatchState) -> str | None:
    """Return the session that a dispatch belongs to; None for none."""
    name = state.given.get("session")
    return name if isinstance(name, str) else None


def under_way(projections: Projections) -> list[Run]:
    """List the open runs of the dispatches that are not finished, as the log has them; see `liveness`."""
    return [run for state in read_unfinished(projections) for run in state.open_runs]


def _named(ids: Sequence[str], name: str) -> str:
    matches = [known for known in ids if name in {known, known[-_SHORT:]}]
    matches = matches or [known for known in ids if len(name) >= _LEAST and known.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise NoSuchRun(f"{name!r} names {len(matches)} dispatches: {', '.join(matches[-5:])}; write more of it")
    raise NoSuchRun(f"no dispatch {name!r}; the last is {ids[-1]}")


def facts_of(projections: Projections, dispatch: str, since: int = 0) -> list[Fact]:
    """List the facts of a dispatch that count, from a seq on: that of its start, or one before."""
    plain = dispatch if _PLAIN.fullmatch(dispatch) else ""  # another one may be written in several ways
    rows = projections.rows("scheduler.state.dispatched", dispatch=dispatch, written=plain, since=since)
    return [*filter(counts, map(fact_of, rows))]


def _events(projections: Projections) -> list[Fact]:
    """List the starts and ends of all dispatches."""
    return [*filter(counts, map(fact_of, projections.rows("scheduler.state.dispatches")))]


def _starts(facts: Iterable[Fact]) -> dict[str, Fact]:
    """Return the first start of each dispatch, by its id, in the order of the log."""
    starts: dict[str, Fact] = {}
    for fact in facts:
        if fact.kind == Kind.DISPATCH_STARTED:
            starts.setdefault(str(fact.data.get("dispatch")), fact)
    return starts


def _may_have(start: Fact, task: str) -> bool:
    """Tell whether a dispatch may have a task, by its start; if the tasks are in a blob, only its runs tell."""
    given = start.data.get("tasks")
    if not isinstance(given, list):
        return True
    tables = (cast("dict[str, Any]", each) for each in cast("list[object]", given) if isinstance(each, dict))
    return any(table.get("task_id") == task for table in tables)


def _folded(projections: Projections, start: Fact) -> DispatchState:
    return folded(facts_of(projections, str(start.data.get("dispatch")), start.seq))


def folded(facts: Iterable[Fact]) -> DispatchState:
    """Fold a dispatch's facts, in the order of the log."""
    state = DispatchState()
    for fact in facts:
        state.add(fact)
    return state
