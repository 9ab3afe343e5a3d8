"""A sprint in figures: one pure function from the state to everything that a report or a picture shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from statistics import fmean
from typing import Any

from ...mail.clock import rfc3339
from ...personas.spending.usage import UNKNOWN, Usage
from ..kinds import Mode, PatchStatus, RunStatus
from .facts import DanglingName, Patch, Run, Sprint
from .sprints import State
from .summary import unjudged, waves
from .usage import NO_USAGE, UsageTotal, total

NO_CHANGE = "no change"


@dataclass(frozen=True)
class Bar:
    """One run in time: its start and end, in seconds since the sprint's start, its outcome, and what it used."""

    run: str
    persona: str
    attempt: int
    tick: int
    reason: str
    start: float
    end: float
    seconds: float | None
    outcome: str
    usage: Usage = UNKNOWN


@dataclass(frozen=True)
class Node:
    """One patch that was woven. `attempt` is that of its run, `tick` as in Metrics."""

    run: str
    persona: str
    attempt: int
    tick: int
    status: str
    commit: str | None


@dataclass(frozen=True)
class Link:
    """Two runs whose patches conflicted, and the files in which they did."""

    run: str
    rival: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Resolution:
    """A persona's way out of a conflict: the tick that found it, and the one in which a patch of its landed."""

    persona: str
    since: int
    landed: int | None

    @property
    def ticks(self) -> int | None:
        """How many ticks it took; None while nothing has landed."""
        return None if self.landed is None else self.landed - self.since


@dataclass(frozen=True)
class Share:
    """One persona's part. `waiting` is the time until its last run ended, less that of its runs.

    `usage` is what its runs used, and `landed` how many of its patches landed.
    """

    persona: str
    runs: int
    seconds: float
    waiting: float
    outcome: str
    usage: UsageTotal = NO_USAGE
    landed: int = 0


@dataclass(frozen=True)
class Comparison:
    """A sequential sprint of the same personas from the same base; `ratio` is its wall time over this one's."""

    sprint: int
    ticks: int
    seconds: float
    ratio: float


@dataclass(frozen=True)
class Metrics:
    """A sprint in figures; times are in seconds.

    `wall` is the sprint's length, `busy` the sum of its runs' lengths. `runs` and `patches` count by status, `mails` by
    type. `offered` counts the patches that the weaver was given. `nodes` are the woven patches tick by tick, those that
    landed first, in that order; `boundaries` pair each tick with the second at which it began. `setups` are the lengths
    of the set-ups of workspaces, which are no part of `busy`. `usage` is what its runs used, `dangling` the names that
    were gone and still used after a weave. `unjudged` are the gates that judged nothing of what landed last. In a
    `rolling` sprint, which has a step for each end, the `tick` of what was woven is the number of the weave.
    """

    sprint: int
    mode: str
    rule: str
    base: str
    branch: str
    started: str
    finished: str | None
    outcome: str | None
    ticks: int
    wall: float
    busy: float
    runs: Mapping[str, int]
    offered: int
    patches: Mapping[str, int]
    resolutions: tuple[Resolution, ...]
    personas: tuple[Share, ...]
    measured: Comparison | None
    bars: tuple[Bar, ...]
    boundaries: tuple[tuple[int, float], ...]
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    mails: Mapping[str, int] = field(default_factory=dict[str, int])
    setups: tuple[float, ...] = ()
    usage: UsageTotal = NO_USAGE
    dangling: tuple[DanglingName, ...] = ()
    unjudged: tuple[str, ...] = ()
    rolling: bool = False

    @property
    def usd_per_patch(self) -> float | None:
        """US dollars of all runs for each patch that landed; None if no money is known, or nothing landed."""
        landed = len(self.landing_order)
        return None if self.usage.usd is None or not landed else self.usage.usd / landed

    @property
    def turn(self) -> str:
        """What the `tick` of a woven patch counts."""
        return "weave" if self.rolling else "tick"

    @property
    def conflict_rate(self) -> float | None:
        """Patches that conflicted as a share of those that were offered to the weaver; None if none was."""
        return self.patches.get(PatchStatus.CONFLICTED, 0) / self.offered if self.offered else None

    @property
    def resolved(self) -> tuple[int, ...]:
        """How many ticks each resolved conflict took."""
        return tuple(each.ticks for each in self.resolutions if each.ticks is not None)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Personas of which nothing has landed since their last conflict."""
        return tuple(dict.fromkeys(each.persona for each in self.resolutions if each.landed is None))

    @property
    def estimated_speedup(self) -> float | None:
        """Busy time over wall time: the least speed-up over running the same runs in sequence."""
        return self.busy / self.wall if self.mode != Mode.SEQUENTIAL and self.wall > 0 and self.busy else None

    @property
    def landing_order(self) -> tuple[Node, ...]:
        """The patches that landed, in that order."""
        return tuple(node for node in self.nodes if node.status == PatchStatus.LANDED)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler report --json`: every field, and what is computed from them.

        `dangling` is there if there are any, and `rolling` if it is true.
        """
        resolved, fields = self.resolved, asdict(self)
        for name in ("dangling", "rolling"):
            if not fields[name]:
                del fields[name]
        return fields | {
            "links": [{"one": link.run, "other": link.rival, "files": link.files} for link in self.links],
            "conflict_rate": self.conflict_rate,
            "ticks_to_resolve": {
                "mean": fmean(resolved) if resolved else None,
                "max": max(resolved, default=None),
                "unresolved": [*self.unresolved],
            },
            "speedup": {"estimated": self.estimated_speedup, "measured": self.measured and self.measured.ratio},
            "landing_order": [node.persona for node in self.landing_order],
            "usage": self.usage.document(),
            "personas": [asdict(share) | {"usage": share.usage.document()} for share in self.personas],
            "usd_per_patch": self.usd_per_patch,
        }


def measure(state: State, sprint: Sprint, now: datetime, mails: Mapping[str, int] | None = None) -> Metrics:
    """Compute a sprint's figures.

    `now` stands in for the end of what is still open. `mails` counts messages by type, as `count_mails` returns them.
    """
    runs = [run for run in state.runs if run.sprint == sprint.number]
    patches = {patch.run: patch for patch in _numbered(sprint, state.patches)}
    bars = tuple(_bar(run, patches.get(run.id), sprint.started, rfc3339(now)) for run in runs)
    wall = _between(sprint.started, sprint.finished or rfc3339(now))
    nodes = _nodes(state, patches.values(), sprint)
    return Metrics(
        sprint.number, sprint.mode, sprint.rule, sprint.base, sprint.branch, sprint.started, sprint.finished,
        sprint.outcome, _ticks(state, sprint), wall, _busy(bars), dict(Counter(run.status for run in runs)),
        sum(patch.tick > 0 for patch in patches.values()), dict(Counter(patch.status for patch in patches.values())),
        _resolutions(patches.values()), _shares(sprint, bars), _comparison(state, sprint, wall), bars,
        _boundaries(sprint, bars), nodes, _links(state, sprint, nodes), dict(mails or {}),
        tuple(run.setup for run in runs if run.setup is not None), total(run.usage for run in runs),
        tuple(name for weave in state.weaves if weave.sprint == sprint.number for name in weave.dangling),
        unjudged(sprint), sprint.rolling,
    )  # fmt: skip


def _between(since: str, until: str) -> float:
    """Return the seconds between two timestamps of the log, 0 if the clock was set back in between."""
    return max(0.0, round((datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds(), 3))


def _busy(bars: Sequence[Bar]) -> float:
    return round(sum(bar.seconds or 0.0 for bar in bars), 3)


def _bar(run: Run, patch: Patch | None, start: str, now: str) -> Bar:
    """Place a run in time. A run that was lost with its scheduler has no length, for nobody measured it."""
    began, ended = _between(start, run.started), _between(start, run.finished or now)
    seconds = round(ended - began, 3) if run.status == RunStatus.OPEN else run.seconds
    return Bar(
        run.id, run.persona, run.attempt, run.tick, run.reason, began, max(began, ended), seconds, _outcome(run, patch),
        run.usage,
    )  # fmt: skip


def _outcome(run: Run, patch: Patch | None) -> str:
    """Return a run's outcome: the fate of its patch if it has one, else its status."""
    if patch and (patch.tick or run.status == RunStatus.OK):
        return _fate(patch)
    return NO_CHANGE if run.status == RunStatus.OK else run.status


def _shares(sprint: Sprint, bars: Sequence[Bar]) -> tuple[Share, ...]:
    """Compute each persona's part: those of the first batch in its order, then those that mail alone launched."""
    shares: list[Share] = []
    ran = dict.fromkeys(bar.persona for bar in bars)
    for persona in dict.fromkeys([name for name in sprint.personas if name in ran] + [*ran]):
        own = [bar for bar in bars if bar.persona == persona]
        seconds, end = _busy(own), max(bar.end for bar in own)
        outcome = PatchStatus.LANDED if any(bar.outcome == PatchStatus.LANDED for bar in own) else own[-1].outcome
        landed = sum(bar.outcome == PatchStatus.LANDED for bar in own)
        waiting, used = max(0.0, round(end - seconds, 3)), total(bar.usage for bar in own)
        shares.append(Share(persona, len(own), seconds, waiting, outcome, used, landed))
    return tuple(shares)


def _numbered(sprint: Sprint, patches: Iterable[Patch]) -> Iterator[Patch]:
    """Yield a sprint's patches; in a rolling one with the number of the weave in place of that of the step."""
    own = [patch for patch in patches if patch.sprint == sprint.number]
    steps = sorted({patch.tick for patch in own if patch.tick})
    weaves = {step: number for number, step in enumerate(steps, 1)} if sprint.rolling else {}
    return (replace(patch, tick=weaves.get(patch.tick, patch.tick)) for patch in own)


def _resolutions(patches: Iterable[Patch]) -> tuple[Resolution, ...]:
    """Follow each persona from a conflict to its next patch that lands; a conflict after that is another one."""
    waiting: dict[str, int] = {}
    resolved: list[Resolution] = []
    for patch in sorted(patches, key=lambda patch: (patch.tick, patch.seq)):
        if patch.status == PatchStatus.CONFLICTED:
            waiting.setdefault(patch.persona, patch.tick)
        elif patch.status in {PatchStatus.LANDED, PatchStatus.PRESENT} and patch.persona in waiting:
            resolved.append(Resolution(patch.persona, waiting.pop(patch.persona), patch.tick))
    return (*resolved, *(Resolution(persona, since, None) for persona, since in waiting.items()))


def _ticks(state: State, sprint: Sprint) -> int:
    """Return the ticks that a sprint is said to have, here as everywhere."""
    return waves(sprint, [run for run in state.runs if run.sprint == sprint.number and not run.withdrawn])


def _comparison(state: State, sprint: Sprint, wall: float) -> Comparison | None:
    """Find the last sequential sprint of the same personas from the same base."""
    if sprint.mode == Mode.SEQUENTIAL or not wall:
        return None
    for rival in reversed(state.sprints):
        same = rival.base == sprint.base and set(rival.personas) == set(sprint.personas)
        if rival.mode == Mode.SEQUENTIAL and same and rival.finished:
            seconds = _between(rival.started, rival.finished)
            return Comparison(rival.number, _ticks(state, rival), seconds, seconds / wall)
    return None


def _boundaries(sprint: Sprint, bars: Sequence[Bar]) -> tuple[tuple[int, float], ...]:
    """Find when each tick began: the first with the sprint, each later one when the last run before it had ended.

    In a rolling sprint none does: others go on.
    """
    if sprint.rolling:
        return ()
    last = max([sprint.ticks, *(bar.tick for bar in bars)])
    return tuple((tick, max((bar.end for bar in bars if bar.tick < tick), default=0.0)) for tick in range(1, last + 1))


def _nodes(state: State, patches: Iterable[Patch], sprint: Sprint) -> tuple[Node, ...]:
    """Sort the woven patches by tick and commit; the run of one that was held before may be an earlier sprint's."""
    commits = {commit: number for number, commit in enumerate(sprint.commits)}
    attempts = {run.id: run.attempt for run in state.runs}
    woven = [patch for patch in patches if patch.tick]
    woven.sort(key=lambda patch: (patch.tick, commits.get(patch.commit or "", len(commits)), patch.seq))
    return tuple(
        Node(patch.run, patch.persona, attempts[patch.run], patch.tick, _fate(patch), patch.commit) for patch in woven
    )


def _fate(patch: Patch) -> str:
    """Return a patch's status; one that was approved but is not woven again yet counts as held."""
    return PatchStatus.HELD if patch.status == PatchStatus.PENDING and patch.tick else patch.status


def _links(state: State, sprint: Sprint, nodes: Sequence[Node]) -> tuple[Link, ...]:
    known = {node.run for node in nodes}
    links = {
        (run, rival): files
        for weave in state.weaves
        if weave.sprint == sprint.number
        for run, rival, files in weave.conflicts
        if run in known and rival in known
    }
    return tuple(Link(run, rival, files) for (run, rival), files in links.items())
