"""What the log says of one dispatch: its tasks, each attempt at them, how each ended. A fold over facts.

A dispatch that goes on feeds it what it writes; one that is looked at later, what is on record: the same facts, the
same answer. Inputs and results stay in their events' data until somebody wants them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ...mail.query.rows import Projections
from ..errors import NoSuchRun
from .facts import LOST, OPEN, Fact, Run
from .sprints import Fold, fact_of

SUCCESS, ERROR, BLOCKED, CANCELLED = "success", "error", "blocked", "cancelled"
_SHORT = 8
_LEAST = 4  # characters that name a dispatch by their beginning


@dataclass(frozen=True)
class Attempt:
    """One run of a task. `told` is the data of its start, `said` that of its end, empty while it is open."""

    run: str
    number: int
    agent: str
    started: str
    told: Mapping[str, Any]
    status: str = OPEN
    seconds: float = 0.0
    detail: str = ""
    said: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class End:
    """How a task ended, and when: `error` is why where it is no success."""

    status: str
    error: str
    ts: str


class DispatchState:
    """One dispatch. `tasks` and `config` are as they were given, `base` is empty where there was no repository."""

    def __init__(self) -> None:
        self.id = ""
        self.started = ""
        self.sitting = ""  # when it was started, or gone on with, the last time
        self.last = ""
        self.given: Mapping[str, Any] = {}
        self.agent: str | None = None
        self.base = ""
        self.branch = ""
        self.supervisor: Mapping[str, Any] = {}
        self.attempts: dict[str, list[Attempt]] = {}
        self.ends: dict[str, End] = {}
        self.finished: Mapping[str, Any] | None = None
        self.work = Fold()

    def add(self, fact: Fact) -> None:
        """Take in the next fact."""
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # an event of ours in name only
            self._add(fact)
        self.work.add(fact)
        self.last = fact.ts

    def _add(self, fact: Fact) -> None:
        told = fact.data
        if fact.kind == "dispatch.started":
            self.id, self.started, self.sitting, self.given = told["dispatch"], fact.ts, fact.ts, told
            self.base, self.branch, self.agent = told["base"], told["branch"], told["agent"]
            self.supervisor = told["supervisor"]
        elif fact.kind == "dispatch.resumed":
            self.sitting, self.supervisor, self.finished = fact.ts, told["supervisor"], None
            self.ends = {task: end for task, end in self.ends.items() if end.status == SUCCESS}
        elif fact.kind == "dispatch.finished":
            self.finished = told
        elif fact.kind == "run.started":
            attempt = Attempt(str(fact.run), told["attempt"], told["agent"], fact.ts, told)
            self.attempts.setdefault(told["task"], []).append(attempt)
            self.ends.pop(told["task"], None)
        elif fact.kind in {"run.finished", "run.lost"}:
            self._ended(fact)
        elif fact.kind == "task.finished":
            self.ends[told["task"]] = End(told["status"], told["error"], fact.ts)

    def _ended(self, fact: Fact) -> None:
        told = fact.data
        attempts = self.attempts[told["task"]]
        at = next(at for at, one in enumerate(attempts) if one.run == fact.run and one.status == OPEN)
        status = told["status"] if fact.kind == "run.finished" else LOST
        detail = told["detail"] if fact.kind == "run.finished" else told["why"]
        attempts[at] = replace(attempts[at], status=status, seconds=told.get("seconds", 0.0), detail=detail, said=told)

    @property
    def short(self) -> str:
        """The end of its id, by which people call it."""
        return self.id[-_SHORT:]

    @property
    def open(self) -> tuple[Attempt, ...]:
        """The attempts whose end is not on record."""
        return tuple(one for attempts in self.attempts.values() for one in attempts if one.status == OPEN)

    @property
    def seconds(self) -> float:
        """How long it took since it was last started or gone on with; up to its last word where it was cut off."""
        if self.finished:
            return float(self.finished["seconds"])
        return (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.sitting)).total_seconds()

    @property
    def names(self) -> frozenset[str]:
        """The tasks that are known by name: all, but those that nobody tried where a blob has them."""
        given = self.given.get("tasks", ())
        return frozenset((*self.attempts, *self.ends, *(one["task_id"] for one in given)))

    def of(self, task: str) -> Sequence[Attempt]:
        """Return the attempts at a task, the first one first."""
        return self.attempts.get(task, ())

    def status(self, task: str) -> str:
        """Return how a task ended; one that did not was cancelled."""
        return self.ends[task].status if task in self.ends else CANCELLED


def read_dispatch(projections: Projections, name: str | None = None, task: str | None = None) -> DispatchState:
    """Read a dispatch by its correlation id, or the beginning or end of one; None is the last, which had the `task`.

    Raises NoSuchRun.
    """
    rows = facts_of(projections, None)
    ids = list(dict.fromkeys(str(fact.data.get("dispatch")) for fact in rows if fact.kind == "dispatch.started"))
    if not ids:
        raise NoSuchRun("nothing was dispatched yet; team dispatch tasks.json starts")
    if name is not None:
        return _folded(projections, _named(ids, name))
    for id in reversed(ids):  # noqa: A001
        found = _folded(projections, id)
        if task is None or task in found.names:
            return found
    raise NoSuchRun(f"no dispatch had a task {task!r}; team trace --index lists those of the last")


def under_way(projections: Projections) -> list[Run]:
    """List the open runs of the dispatches that are not over."""
    going: dict[str, bool] = {}
    for fact in facts_of(projections, None):
        going[str(fact.data.get("dispatch"))] = fact.kind != "dispatch.finished"
    found = [_folded(projections, one) for one, goes in going.items() if goes]
    return [run for one in found for run in one.work.runs.values() if run.status == OPEN]


def _named(ids: Sequence[str], name: str) -> str:
    found = [one for one in ids if name in {one, one[-_SHORT:]}]
    found = found or [one for one in ids if len(name) >= _LEAST and one.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchRun(f"{name!r} names {len(found)} dispatches: {', '.join(found[-5:])}; write more of it")
    raise NoSuchRun(f"no dispatch {name!r}; the last is {ids[-1]}")


def facts_of(projections: Projections, dispatch: str | None) -> list[Fact]:
    """List the facts of a dispatch; None lists the start and end of all dispatches."""
    return [fact_of(row) for row in projections.rows("scheduler.state.dispatched", dispatch=dispatch)]


def _folded(projections: Projections, id: str) -> DispatchState:
    return folded(facts_of(projections, id))


def folded(facts: Iterable[Fact]) -> DispatchState:
    """Fold a dispatch's facts, in the order of the log."""
    found = DispatchState()
    for fact in facts:
        found.add(fact)
    return found
