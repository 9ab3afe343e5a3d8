"""The nouns of a sprint, frozen: what the log says of one run, one patch, one sprint, one message that waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OPEN = "open"
LOST = "lost"
PENDING = "pending"


class Mail(NamedTuple):
    """An unread message as it waits for one persona."""

    persona: str
    seq: int
    id: str
    ts: str
    sender: str
    subject: str
    type: str
    priority: str
    run: str | None


@dataclass(frozen=True)
class Run:
    """One attempt of one persona. `status` is open, ok, failed, timeout, quota, stopped or lost.

    `orderly` is a run lost because its scheduler was told to end; `late` one that went on after it was given up.
    """

    id: str
    persona: str
    attempt: int
    tick: int
    sprint: int
    base: str
    agent: str
    reason: str
    started: str
    mail: tuple[str, ...] = ()
    supervisor: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: str = OPEN
    finished: str | None = None
    seconds: float | None = None
    detail: str = ""
    stop: bool = False
    late: bool = False
    orderly: bool = False


@dataclass(frozen=True)
class Patch:
    """What a run changed. `status` is pending, landed, conflicted, refused, held, rejected by a gate, or dropped."""

    run: str
    persona: str
    sprint: int
    base: str
    sha256: str
    size: int
    seq: int
    hash: str
    ts: str
    files: tuple[str, ...] = ()
    status: str = PENDING
    tick: int = 0
    commit: str | None = None
    why: str = ""
    approved: bool = False
    task: str | None = None


@dataclass(frozen=True)
class Sprint:
    """One sprint, from its launch on. `outcome` is converged, spent, broken or deadline, and None while it is open.

    To the weaver a dispatch is a sprint too, without a number: `dispatch` is its id then.
    """

    number: int
    id: str
    base_branch: str
    base: str
    branch: str
    mode: str
    rule: str
    reason: str
    personas: tuple[str, ...]
    started: str
    finished: str | None = None
    outcome: str | None = None
    ticks: int = 0
    commits: tuple[str, ...] = ()
    ended: int = 0
    dispatch: str | None = None


@dataclass(frozen=True)
class Weave:
    """One weave: the runs whose patches landed, in that order, and who stood in whose way, in which files."""

    sprint: int
    tick: int
    start: str
    tip: str
    order: tuple[str, ...]
    conflicts: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


class Fact(NamedTuple):
    """One event, as much of it as the fold needs."""

    seq: int
    ts: str
    kind: str
    sender: str
    ref: str | None
    run: str | None
    data: Mapping[str, Any]
    hash: str
