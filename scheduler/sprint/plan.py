"""The plan of the next tick: the value that `decide` returns, `--dry-run` prints, and the tick carries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ...mail.log.event import Draft, derived_id
from ..kinds import Kind, Mode, RunStatus
from ..limits.budget import Overspent
from ..limits.parking import width_of
from ..progress import Progress
from ..runs.launch import Launch
from ..state.facts import Patch, Run
from ..state.sprints import State


@dataclass(frozen=True)
class Skip:
    """One persona that is not launched now, and why; `parked` is until when the service of its model takes no more."""

    persona: str
    why: str
    parked: datetime | None = None


@dataclass(frozen=True)
class Opening:
    """A sprint to be started. `reason` says why it starts; `personas` are those of its first batch."""

    number: int
    reason: str
    personas: tuple[str, ...]


@dataclass(frozen=True)
class TickPlan:
    """The next tick. An empty part has nothing to do; `idle` says why there is nothing to do at all.

    `lost` runs are given up, those of `harvest` taken over from a scheduler that is gone, `weave` patches woven,
    `aside` personas set aside for the rest of the sprint, `skips` not launched now. `finish` is the `SprintOutcome` if
    the sprint ends, `wait_until` when the next retry is due. `overspent` is the budget that lets nothing more start,
    and `idle_until` when there may be something to do although no event says so. `starts` are the launches for which
    there is room now, in the order in which they start. If the batch before is `over`, and was waited for, its tick is
    closed first.
    """

    tick: int = 1
    sprint: int | None = None
    mode: str = Mode.PARALLEL
    rule: str = ""
    opening: Opening | None = None
    lost: tuple[Run, ...] = ()
    harvest: tuple[Run, ...] = ()
    weave: tuple[Patch, ...] = ()
    launches: tuple[Launch, ...] = ()
    skips: tuple[Skip, ...] = ()
    aside: tuple[Skip, ...] = ()
    finish: str | None = None
    wait_until: datetime | None = None
    idle: str | None = None
    notes: tuple[str, ...] = field(default=())
    overspent: Overspent | None = None
    idle_until: datetime | None = None
    rolling: bool = False
    over: bool = False
    starts: tuple[Launch, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether there is anything to do now."""
        parts = (self.lost, self.harvest, self.weave, self.starts, self.aside, self.finish)
        begins = self.opening is not None and self.wait_until is None
        return begins or self.over or any(parts) or self.overspent is not None

    @property
    def wave(self) -> int:
        """The tick that people are told of: in a rolling sprint, which has a step for each end, the most attempts."""
        attempts = [launch.attempt for launch in self.starts or self.launches]
        return max(attempts) if self.rolling and attempts else self.tick

    def document(self) -> dict[str, Any]:
        """Return the plan as the JSON object of `scheduler --dry-run --json`."""
        return {
            "tick": self.tick,
            "sprint": self.sprint,
            "starts": self.opening.reason if self.opening else None,
            "mode": self.mode,
            "rule": self.rule,
            "lost": [{"run": run.id, "persona": run.persona, "attempt": run.attempt} for run in self.lost],
            "harvest": [{"run": run.id, "persona": run.persona, "attempt": run.attempt} for run in self.harvest],
            "weave": [{"run": p.run, "persona": p.persona, "base": p.base, "files": [*p.files]} for p in self.weave],
            "launches": [_launch_document(launch) for launch in self.launches],
            "skips": [
                {
                    "persona": skip.persona,
                    "why": skip.why,
                    "parked": skip.parked.isoformat() if skip.parked else None,
                }
                for skip in self.skips
            ],
            "set_aside": [{"persona": skip.persona, "why": skip.why} for skip in self.aside],
            "finish": self.finish,
            "wait_until": self.wait_until.isoformat() if self.wait_until else None,
            "idle": self.idle,
            "overspent": self.overspent and self.overspent.text,
            "notes": [*self.notes],
        }


def _launch_document(launch: Launch) -> dict[str, Any]:
    return {
        "persona": launch.persona,
        "agent": launch.agent,
        "route": (launch.route and launch.route.rule) or None,
        "instead_of": launch.route.instead_of if launch.route else [],
        "attempt": launch.attempt,
        "run": launch.run,
        "reason": launch.reason,
        "why": launch.why,
        "unread": len(launch.mail),
        "mail": [mail.seq for mail in launch.mail],
        "estimate": launch.estimate,
    }


@dataclass(frozen=True)
class TickPlanned(Progress):
    """A tick is decided and about to be carried out, or has nothing to do."""

    plan: TickPlan


@dataclass(frozen=True)
class Waiting(Progress):
    """The sprint waits until the next retry is due."""

    plan: TickPlan


def planned(plan: TickPlan) -> TickPlanned:
    """Return the progress report of a tick that is about to be carried out."""
    runs = f"{len(plan.starts)} start" if plan.rolling else f"{len(plan.launches)} to run"
    return TickPlanned(plan.idle or f"tick {plan.wave} of sprint {plan.sprint}, {plan.mode}: {runs}", plan)


def waiting(plan: TickPlan) -> Waiting:
    """Return the progress report of a plan that waits for a retry."""
    return Waiting(f"waiting until {plan.wait_until:%H:%M:%S}Z", plan)


def gathered(ends: Sequence[str], gather: float) -> datetime | None:
    """Return when patches are to be woven whose runs ended at these times: `gather` seconds after the first of them.

    Others that come until then are woven with them. None if there are no patches.
    """
    return datetime.fromisoformat(min(ends)) + timedelta(seconds=gather) if ends else None


def with_room(
    launches: Sequence[Launch], runs: Sequence[Run], most: int, most_of: Mapping[str, int]
) -> tuple[Launch, ...]:
    """Choose the launches that may start now, those first that are expected to take longest.

    Of the sprint's `runs`, those that are open take up room: `most` may go on at once, and of an agent as many as
    `most_of` says, or fewer after its service has refused some. Whoever has never run may take longest of all.
    """
    alive = [run for run in runs if run.status == RunStatus.OPEN]
    free: dict[str, int] = {}
    for agent in {launch.agent for launch in launches}:
        width = width_of(agent, runs, min(most, most_of.get(agent, most)))
        free[agent] = width.now - sum(run.agent == agent for run in alive)
    starts: list[Launch] = []
    for launch in sorted(launches, key=lambda launch: -(launch.estimate or float("inf"))):
        if len(starts) < most - len(alive) and free[launch.agent] > 0:
            free[launch.agent] -= 1
            starts.append(launch)
    return tuple(starts)


def all_parked(plan: TickPlan) -> str:
    """Say why no sprint starts although one is due: everybody waits for a service."""
    first = next(skip for skip in plan.skips if skip.parked == plan.wait_until)
    return f"nobody could start in a sprint: {first.persona} is {first.why}"


def tick_done(plan: TickPlan, state: State) -> Draft:
    """Return the event that a tick is over."""
    number, tick = plan.sprint, state.tick
    launched = sum((run.sprint, run.tick) == (number, tick) for run in state.runs)
    data = {"sprint": number, "tick": tick, "mode": plan.mode, "launched": launched}
    return Draft(Kind.TICK_DONE, "scheduler", data=data, id=derived_id("tick", str(number), str(tick)))
