"""The nouns of claims, frozen: a task that can be claimed, one claim, how a task ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ...mail.log.event import PRIORITIES, derived_id

MOST_CLAIMS = 3  # of a task that end without an end of it, before it goes to the human
_RANKS = {priority: rank for rank, priority in enumerate(reversed(PRIORITIES))}


@dataclass(frozen=True)
class Claim:
    """Something taken for a time: a `task`, or paths and names where that is "".

    `token` is the seq of the event that took it. The lease, in seconds, counts from `since`, and `renewed` is the seq
    of the event that says so. `process` is whose life holds the claim, as `myself` names one; None if only time does.
    `ended` is the kind of the event that ended it, "" while none did, with who wrote it, when, and why; it was
    `forced` if somebody took the claim away.
    """

    task: str
    epoch: int
    token: int
    owner: str
    lease: float
    since: str
    renewed: int
    process: Mapping[str, Any] | None = None
    globs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ended: str = ""
    by: str = ""
    at: str = ""
    why: str = ""
    forced: bool = False

    @property
    def until(self) -> datetime:
        """When its lease is over, unless it is renewed."""
        return datetime.fromisoformat(self.since) + timedelta(seconds=self.lease)

    @property
    def what(self) -> str:
        """What it is a claim of, for people."""
        return self.task or ", ".join((*self.globs, *self.names))


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended by a token: the `TaskStatus`, and why it failed. `data` holds the output, see `payload.held`."""

    token: int
    sender: str
    ts: str
    seq: int
    status: str
    error: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class OpenTask:
    """A task that was added to be claimed, whatever has become of it.

    `to` is the persona that it is for, "" for anybody; it comes after the tasks `after`, and changes the files that
    `globs` match. `data` holds the input, see `payload.held`. `epoch` is the number of the last claim, `version` the
    seq of the last event that changed it, and `late` are ends that came by a token whose claim was over.
    """

    name: str
    seq: int
    ts: str
    sender: str
    title: str
    to: str
    priority: str
    after: tuple[str, ...]
    globs: tuple[str, ...]
    data: Mapping[str, Any]
    version: int
    epoch: int = 0
    claims: tuple[Claim, ...] = ()
    end: TaskEnd | None = None
    late: tuple[TaskEnd, ...] = ()

    @property
    def id(self) -> str:
        """The id of the event that opened it, derived from its name, so that a name is given once."""
        return task_id(self.name)

    @property
    def session(self) -> str | None:
        """The session that it belongs to, None for none."""
        name = self.data.get("session")
        return name if isinstance(name, str) else None

    @property
    def current(self) -> Claim | None:
        """The claim that goes on, as far as events tell."""
        return self.claims[-1] if self.claims and not self.claims[-1].ended and self.end is None else None

    @property
    def is_spent(self) -> bool:
        """Whether it was claimed so often that a person has to look at it if the last claim is over."""
        return self.end is None and len(self.claims) >= MOST_CLAIMS

    @property
    def rank(self) -> tuple[int, int]:
        """What the next task has the least of: the highest priority first, then the oldest."""
        return _RANKS[self.priority], self.seq


def task_id(name: str) -> str:
    """Return the id of the event that opens a task."""
    return derived_id("task", name)
