"""What the log says of sprints: runs, patches, verdicts, and what waits. A fold over facts, which nobody changes.

`state_of` reads the two projections `schedule` and `unread`; `fold` is pure, so every rule can be tried on a list.
The first word on a run's end is the last: what a run says after it was given up stays on record as late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, ClassVar, Self

from ...mail.query.rows import Projections
from ..errors import NoSuchRun
from .facts import LOST, OPEN, PENDING, Fact, Mail, Patch, Run, Sprint, Weave

_UNUSABLE = frozenset({"timeout", "quota", "stopped", LOST})  # ends after which half a change may lie there


@dataclass(frozen=True)
class State:
    """Everything that `decide` may know. `unread` is by persona; `dead` are open runs whose supervisor is gone."""

    sprints: tuple[Sprint, ...] = ()
    runs: tuple[Run, ...] = ()
    patches: tuple[Patch, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict[str, str])
    green: frozenset[tuple[str, str]] = frozenset()
    paused: str | None = None
    unread: Mapping[str, tuple[Mail, ...]] = field(default_factory=dict[str, tuple[Mail, ...]])
    dead: frozenset[str] = frozenset()
    weaves: tuple[Weave, ...] = ()

    @property
    def sprint(self) -> Sprint | None:
        """The sprint that is open."""
        return self.sprints[-1] if self.sprints and self.sprints[-1].outcome is None else None

    @property
    def number(self) -> int:
        """The last sprint's number, 0 before the first."""
        return self.sprints[-1].number if self.sprints else 0

    @property
    def tick(self) -> int:
        """The number of the tick that is next or under way in the open sprint, from 1."""
        return self.sprint.ticks + 1 if self.sprint else 1

    @property
    def tip(self) -> str | None:
        """The commit that the open sprint's branch stands at, as the log tells it; None without one."""
        sprint = self.sprint
        return (sprint.commits or (sprint.base,))[-1] if sprint else None

    @property
    def pending(self) -> tuple[Patch, ...]:
        """The patches that wait for the weaver: captured, and their run has ended."""
        ended = {run.id for run in self.runs if run.status != OPEN}
        return tuple(patch for patch in self.patches if patch.status == PENDING and patch.run in ended)

    def of(self, *statuses: str) -> tuple[Patch, ...]:
        """Return patches by status, in the order of the log."""
        return tuple(patch for patch in self.patches if patch.status in statuses)

    def own(self, persona: str) -> tuple[Run, ...]:
        """Return a persona's runs in the open or last sprint, the oldest first."""
        return tuple(run for run in self.runs if run.persona == persona and run.sprint == self.number)

    def patch(self, run: str) -> Patch | None:
        """Return a run's patch."""
        return next((patch for patch in self.patches if patch.run == run), None)

    def estimate(self, persona: str) -> float | None:
        """Return the median length of a persona's runs that ended well, in seconds."""
        lengths = [run.seconds for run in self.runs if run.persona == persona and run.seconds and run.status == "ok"]
        return median(lengths) if lengths else None


def state_of(projections: Projections, roster: Sequence[str], *, whole: bool = True) -> State:
    """Read the state of a team as of now. What no program of ours wrote into these kinds is left out.

    Unless it is to be the `whole`, runs and patches of earlier sprints are left out, but for those still undecided.
    """
    found = [fact_of(row) for row in projections.rows("scheduler.state.schedule", whole=whole)]
    unread: dict[str, list[Mail]] = {}
    for row in projections.rows("unread", roster=list(roster)):
        unread.setdefault(row["persona"], []).append(Mail(**row))
    return replace(fold(found), unread={persona: tuple(mail) for persona, mail in unread.items()})


def sprint_numbered(state: State, number: int | None) -> Sprint:
    """Return a sprint by its number, the last one if the number is None. Raises NoSuchRun."""
    if not state.sprints:
        raise NoSuchRun("no sprint yet; scheduler sprint starts one")
    if number is None:
        return state.sprints[-1]
    for sprint in state.sprints:
        if sprint.number == number:
            return sprint
    raise NoSuchRun(f"no sprint {number}; the last is {state.number}, scheduler history lists all")


def fold(facts: Iterable[Fact]) -> State:
    """Fold facts, in the order of the log, into the state they tell of."""
    held = Fold()
    for fact in facts:
        held.add(fact)
    return held.state()


class Fold:
    """State while it is being folded."""

    def __init__(self) -> None:
        self.sprints: list[Sprint] = []
        self.runs: dict[str, Run] = {}
        self.patches: dict[str, Patch] = {}
        self.weaves: list[Weave] = []
        self.aside: dict[str, str] = {}
        self.green: set[tuple[str, str]] = set()
        self.paused: str | None = None

    def add(self, fact: Fact) -> None:
        """Take in the next fact of the log."""
        if told := self._KINDS.get(fact.kind):
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # an event of ours in name only
                told(self, fact)

    def state(self) -> State:
        """Return the state as of the last fact."""
        return State(
            tuple(self.sprints), tuple(self.runs.values()), tuple(self.patches.values()), self.aside,
            frozenset(self.green), self.paused, weaves=tuple(self.weaves),
        )  # fmt: skip

    def _dispatch_started(self, fact: Fact) -> None:
        told = fact.data
        self.sprints.append(
            Sprint(
                0, told["dispatch"], "", told["base"], told["branch"], "", "", "", (), fact.ts,
                dispatch=told["dispatch"],
            )
        )  # fmt: skip

    def _sprint_started(self, fact: Fact) -> None:
        told = fact.data
        self.sprints.append(
            Sprint(
                told["sprint"], told["id"], told["base_branch"], told["base"], told["branch"], told["mode"],
                told["rule"], told["reason"], tuple(told["personas"]), fact.ts,
            )
        )  # fmt: skip
        self.aside = {}

    def _sprint_finished(self, fact: Fact) -> None:
        if self.sprints:
            outcome = fact.data["outcome"]
            self.sprints[-1] = replace(self.sprints[-1], finished=fact.ts, outcome=outcome, ended=fact.seq)

    def _tick_done(self, fact: Fact) -> None:
        if self.sprints and self.sprints[-1].number == fact.data.get("sprint"):
            self.sprints[-1] = replace(self.sprints[-1], ticks=fact.data["tick"])

    def _run_started(self, fact: Fact) -> None:
        told = fact.data
        self.runs[str(fact.run)] = Run(
            str(fact.run), told["persona"], told["attempt"], told["tick"], told["sprint"], told["base"], told["agent"],
            told["reason"], fact.ts, tuple(told["mail"]), told["supervisor"],
        )  # fmt: skip

    def _run_finished(self, fact: Fact) -> None:
        told = fact.data
        self._end(fact, status=told["status"], seconds=told["seconds"], detail=told["detail"])

    def _run_lost(self, fact: Fact) -> None:
        self._end(fact, status=LOST, detail=fact.data["why"], orderly=bool(fact.data.get("orderly")))

    def _run_stopped(self, fact: Fact) -> None:
        if run := self.runs.get(str(fact.ref)):
            self.runs[run.id] = replace(run, stop=True)

    def _end(self, fact: Fact, **told: Any) -> None:
        run = self.runs.get(str(fact.run))
        if run is None:
            return
        if run.status == OPEN:
            self.runs[run.id] = replace(run, finished=fact.ts, **told)
            if run.id in self.patches and told["status"] in _UNUSABLE:
                self.patches[run.id] = replace(self.patches[run.id], status="dropped", why=told["detail"])
        else:
            self.runs[run.id] = replace(run, late=True)

    def _patch_captured(self, fact: Fact) -> None:
        run, told = self.runs.get(str(fact.run)), fact.data
        if run is None or run.status != OPEN or not told["patch"]["size"]:
            return
        blob = told["patch"]
        self.patches[run.id] = Patch(
            run.id, run.persona, run.sprint, run.base, blob["sha256"], blob["size"], fact.seq, fact.hash, fact.ts,
            tuple(told["files"]), task=told.get("task"),
        )  # fmt: skip

    def _patch_landed(self, fact: Fact) -> None:
        commit = fact.data["commit"]
        self._decide(fact, status="landed", commit=commit)
        if self.sprints:
            self.sprints[-1] = replace(self.sprints[-1], commits=(*self.sprints[-1].commits, commit))

    def _patch_decided(self, fact: Fact) -> None:
        self._decide(fact, status=fact.kind.removeprefix("patch."))

    def _patch_approved(self, fact: Fact) -> None:
        patch = self.patches.get(str(fact.ref))
        if patch and patch.status == "held":
            self.patches[patch.run] = replace(patch, status=PENDING, approved=True)

    def _decide(self, fact: Fact, **told: Any) -> None:
        if patch := self.patches.get(str(fact.ref)):
            why, tick = fact.data.get("signature") or fact.data.get("why", ""), fact.data["tick"]
            own = self.sprints[-1].number if self.sprints else patch.sprint
            self.patches[patch.run] = replace(patch, why=why, tick=tick, sprint=own, **told)

    def _weave_done(self, fact: Fact) -> None:
        told = fact.data
        conflicts = tuple((str(one), str(other), tuple(files)) for one, other, files in told["conflicts"])
        self.weaves.append(
            Weave(told["sprint"], told["tick"], told["start"], told["tip"], tuple(told["order"]), conflicts)
        )

    def _persona_skipped(self, fact: Fact) -> None:
        self.aside[fact.data["persona"]] = fact.data["why"]

    def _gate_judged(self, fact: Fact) -> None:
        if fact.data["passed"]:
            self.green.add((fact.data["mark"], fact.data["tree"]))

    def _scheduler_paused(self, fact: Fact) -> None:
        self.paused = f"paused by {fact.sender} at {fact.ts[:19]}Z"

    def _scheduler_resumed(self, _: Fact) -> None:
        self.paused = None

    _KINDS: ClassVar[Mapping[str, Callable[[Self, Fact], None]]] = {
        "dispatch.started": _dispatch_started,
        "sprint.started": _sprint_started,
        "sprint.finished": _sprint_finished,
        "tick.done": _tick_done,
        "run.started": _run_started,
        "run.finished": _run_finished,
        "run.lost": _run_lost,
        "run.stopped": _run_stopped,
        "patch.captured": _patch_captured,
        "patch.landed": _patch_landed,
        "patch.conflicted": _patch_decided,
        "patch.refused": _patch_decided,
        "patch.held": _patch_decided,
        "patch.rejected": _patch_decided,
        "patch.approved": _patch_approved,
        "weave.done": _weave_done,
        "persona.skipped": _persona_skipped,
        "gate.judged": _gate_judged,
        "scheduler.paused": _scheduler_paused,
        "scheduler.resumed": _scheduler_resumed,
    }


def fact_of(row: Mapping[str, Any]) -> Fact:
    """Take a fact from a row of a projection."""
    data = json.loads(row["data"]) if isinstance(row["data"], str) else row["data"]
    return Fact(row["seq"], row["ts"], row["kind"], row["sender"], row["ref"], row["run"], data or {}, row["hash"])
