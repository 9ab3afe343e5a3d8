"""The state of all claims as a fold over facts, in the order of the log.

No clock decides here: a claim goes on until an event ends it, so every reader sees the same owner. An event that comes
too late, by a token whose claim is over, changes nothing, except that the end of a task is kept as late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any, ClassVar, Self, cast

from ...mail.log.event import PRIORITIES
from ..kinds import Kind, TaskStatus
from ..state.facts import Fact
from .facts import Claim, OpenTask, TaskEnd
from .overlap import shared

SHORTEST, LONGEST = 1.0, 86_400.0  # seconds of a lease


class ClaimFold:
    """The tasks by name, and the claims of paths and names that go on, as far as facts were added."""

    def __init__(self) -> None:
        self.tasks: dict[str, OpenTask] = {}
        self.holds: dict[int, Claim] = {}
        self.ended: dict[int, Claim] = {}  # claims of paths and names that are over, by token
        self.task_of: dict[int, str] = {}  # by the token of each claim of a task

    def add(self, fact: Fact) -> None:
        """Fold the next fact of the log. One that is not of the form of its kind changes nothing."""
        if rule := self._RULES.get(fact.kind):
            try:
                rule(self, fact, fact.data)
            except (KeyError, TypeError, ValueError, AttributeError):
                return

    def copy(self) -> ClaimFold:
        """Return the fold as it is now, which does not grow."""
        copied = ClaimFold()
        copied.tasks, copied.holds = dict(self.tasks), dict(self.holds)
        copied.ended, copied.task_of = dict(self.ended), dict(self.task_of)
        return copied

    @property
    def current(self) -> tuple[Claim, ...]:
        """The claims that go on, as far as events tell, the oldest first."""
        own = (task.current for task in self.tasks.values())
        every = [claim for claim in (*own, *self.holds.values()) if claim]
        return tuple(sorted(every, key=lambda claim: claim.token))

    def claim(self, token: int) -> Claim | None:
        """Return the claim with a token, whether it goes on or is over; None if there is none."""
        if name := self.task_of.get(token):
            return next(claim for claim in self.tasks[name].claims if claim.token == token)
        return self.holds.get(token) or self.ended.get(token)

    def rival(self, globs: Iterable[str], names: Iterable[str]) -> tuple[Claim, str] | None:
        """Return a claim that goes on and has one of some globs or names, and which that is."""
        globs, names = tuple(globs), tuple(names)
        if not globs and not names:
            return None
        pairs = ((claim, shared(globs, names, claim)) for claim in self.current)
        return next(((claim, what) for claim, what in pairs if what), None)

    def _open(self, fact: Fact, data: Mapping[str, Any]) -> None:
        name, priority = _text(data["task"]), _text(data["priority"])
        if name in self.tasks or not name or priority not in PRIORITIES:
            return
        self.tasks[name] = OpenTask(
            name, fact.seq, fact.ts, fact.sender, _text(data["title"]), _text(data["to"]), priority,
            _texts(data["after"]), _texts(data["paths"]), data, fact.seq,
        )  # fmt: skip

    def _take(self, fact: Fact, data: Mapping[str, Any]) -> None:
        name, lease = _text(data["task"]), _lease(data["lease"])
        globs, names, process = _texts(data["paths"]), _texts(data["names"]), data.get("process")
        if process is not None and not isinstance(process, dict):
            return
        process = cast("dict[str, Any] | None", process)
        claim = Claim(
            name, data["epoch"], fact.seq, fact.sender, lease, fact.ts, fact.seq, process, globs, names
        )  # fmt: skip
        if not name:
            if (globs or names) and not self.rival(globs, names):
                self.holds[fact.seq] = claim
            return
        task = self.tasks[name]
        if claim.epoch != task.epoch + 1:
            return
        task = replace(task, epoch=claim.epoch)  # an id is given once, so this number is used up in any case
        if task.end is None and task.current is None and not self.rival(globs, names):
            self.task_of[fact.seq] = name
            task = replace(task, claims=(*task.claims, claim), version=fact.seq)
        self.tasks[name] = task

    def _renew(self, fact: Fact, data: Mapping[str, Any]) -> None:
        lease, claim = _lease(data["lease"]), self._going(data)
        if claim and self._is_expected(claim, data):
            self._put(fact, replace(claim, lease=lease, since=fact.ts, renewed=fact.seq))

    def _release(self, fact: Fact, data: Mapping[str, Any]) -> None:
        claim = self._going(data)
        if claim and self._is_expected(claim, data):
            self._put(fact, _over(claim, fact, _text(data["why"])))

    def _expire(self, fact: Fact, data: Mapping[str, Any]) -> None:
        claim = self._going(data)
        if claim and claim.renewed == data["renewed"]:  # else it was renewed before this was written
            self._put(fact, _over(claim, fact, _text(data["why"])))

    def _finish(self, fact: Fact, data: Mapping[str, Any]) -> None:
        name, status = self.task_of[data["token"]], _text(data["status"])
        task = self.tasks[name]
        if data["task"] != name or status not in {TaskStatus.SUCCESS, TaskStatus.ERROR}:
            return
        end = TaskEnd(data["token"], fact.sender, fact.ts, fact.seq, status, _text(data["error"]), data)
        if task.end is None and _may_end(task, end.token) and data.get("expect") in {None, task.version}:
            self.tasks[name] = replace(task, end=end, version=fact.seq)
        elif task.end is None or task.end.token != end.token:
            self.tasks[name] = replace(task, late=(*task.late, end))

    def _going(self, data: Mapping[str, Any]) -> Claim | None:
        """Return the claim that an event is about, if it goes on."""
        claim = self.claim(data["token"])
        if claim is None or claim.ended or claim.task != data["task"]:
            return None
        return None if claim.task and self.tasks[claim.task].end else claim

    def _is_expected(self, claim: Claim, data: Mapping[str, Any]) -> bool:
        expect = data.get("expect")
        return expect is None or expect == (self.tasks[claim.task].version if claim.task else claim.renewed)

    def _put(self, fact: Fact, claim: Claim) -> None:
        if claim.task:
            task = self.tasks[claim.task]
            self.tasks[claim.task] = replace(task, claims=(*task.claims[:-1], claim), version=fact.seq)
        elif claim.ended:
            del self.holds[claim.token]
            self.ended[claim.token] = claim
        else:
            self.holds[claim.token] = claim

    _RULES: ClassVar[Mapping[str, Callable[[Self, Fact, Mapping[str, Any]], None]]] = {
        Kind.TASK_OPENED: _open,
        Kind.CLAIM_TAKEN: _take,
        Kind.CLAIM_RENEWED: _renew,
        Kind.CLAIM_RELEASED: _release,
        Kind.CLAIM_EXPIRED: _expire,
        Kind.TASK_FINISHED: _finish,
    }


def _may_end(task: OpenTask, token: int) -> bool:
    """Tell whether a token ends its task: that of the last claim, unless it was given back or taken away.

    One whose time was up counts as long as nobody else has taken the task: what it did is not in anybody's way.
    """
    last = task.claims[-1]
    return last.token == token and last.ended in {"", Kind.CLAIM_EXPIRED}


def _over(claim: Claim, fact: Fact, why: str) -> Claim:
    forced = fact.data.get("force") is True
    return replace(claim, ended=fact.kind, by=fact.sender, at=fact.ts, why=why, forced=forced)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, cast("list[Any]", value)))


def _lease(value: Any) -> float:
    if isinstance(value, bool) or not isfinite(value) or not SHORTEST <= value <= LONGEST:
        raise ValueError(value)
    return float(value)
