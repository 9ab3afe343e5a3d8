"""Controls a team: stop a run, pause, resume, approve or refuse a patch, judge a sprint again, land one, give one up.

All functions are for people: called from an agent's run, they raise UsageError.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ...mail.log.event import Draft
from ...scheduler.context import Context
from ...scheduler.hosts.regaining import regain
from ...scheduler.kinds import DeployOutcome, GateStatus, Kind
from ...scheduler.landing.branch import fast_forward_base
from ...scheduler.moments.history import state_at
from ...scheduler.progress import Listener, Progress, silent
from ...scheduler.sprint.control import (
    GatesOfSprint,
    abandon_sprint,
    approve_patch,
    by_people_only,
    gates_of_sprint,
    judge_again,
    refuse_patch,
    stop_run,
)
from ...scheduler.state.facts import Patch, Run
from ...scheduler.supervisor.deploy import Deployment, approved_round
from ..interrupts import Interrupts, uninterrupted

DEPLOY = "deploy"  # what `approve_deploy` is asked for by, where a run may be named as well


@dataclass(frozen=True)
class Stopping:
    """A run that was asked to end; the process that supervises it ends it."""

    run: Run

    def document(self) -> dict[str, Any]:
        """Return the run, its persona and its attempt as a JSON object."""
        return {"run": self.run.id, "persona": self.run.persona, "attempt": self.run.attempt}


@dataclass(frozen=True)
class SprintGates:
    """What the gates say of a sprint."""

    found: GatesOfSprint

    @property
    def are_green(self) -> bool:
        """Whether all have passed on its result."""
        result = self.found.gates[-1].commit if self.found.gates else ""
        return all(each.status == GateStatus.PASSED for each in self.found.gates if each.commit == result)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler gates --json`."""
        gates = [each._asdict() for each in self.found.gates]
        return {"sprint": self.found.sprint, "gates": gates, "landing": [*self.found.landing]}


@dataclass(frozen=True)
class Pause:
    """Whether the scheduler is paused, and who paused or resumed it."""

    paused: bool
    sender: str

    def document(self) -> dict[str, Any]:
        """Return both values as a JSON object."""
        return {"paused": self.paused, "sender": self.sender}


@dataclass(frozen=True)
class Approval:
    """A held patch that may land now, or with `refused` may not; `seq` is that of the event which says so."""

    patch: Patch
    seq: int
    refused: bool = False

    def document(self) -> dict[str, Any]:
        """Return the run, persona and files of the patch, and what was decided by which event, as a JSON object."""
        return {
            "run": self.patch.run, "persona": self.patch.persona, "files": [*self.patch.files],
            "refused": self.refused, "seq": self.seq,
        }  # fmt: skip


@dataclass(frozen=True)
class Release:
    """A commit that a person has let be deployed, the `DeployOutcome`, and what was told of it, in lines for people.

    The outcome is None if a persona is to deploy it, in a sprint.
    """

    commit: str
    outcome: str | None
    lines: tuple[str, ...]

    @property
    def has_failed(self) -> bool:
        """Whether it was to be live now, and nobody knows that it is."""
        return self.outcome in {DeployOutcome.FAILED, DeployOutcome.SKIPPED_POLICY}

    def document(self) -> dict[str, Any]:
        """Return all three values as a JSON object."""
        return {"commit": self.commit, "outcome": self.outcome, "lines": [*self.lines]}


@dataclass(frozen=True)
class LandedSprint:
    """The base branch after a sprint was landed on it. `gained` counts its new commits, 0 if it had them all.

    `blocked` is the decision about the sprint, if that is to block.
    """

    branch: str
    commit: str
    gained: int
    blocked: str | None = None

    def document(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return {"branch": self.branch, "commit": self.commit, "gained": self.gained, "blocked": self.blocked}


@dataclass(frozen=True)
class Abandonment:
    """A sprint that was given up: `kept` is the ref of what it landed, `patches` what is in no commit."""

    number: int
    branch: str
    kept: str | None
    patches: tuple[Patch, ...]

    def document(self) -> dict[str, Any]:
        """Return all values as a JSON object; of each patch its run, persona and files."""
        patches = [{"run": each.run, "persona": each.persona, "files": [*each.files]} for each in self.patches]
        return {"sprint": self.number, "branch": self.branch, "kept": self.kept, "patches": patches}


def stop(context: Context, run: str, sender: str) -> Stopping:
    """End an open run; it is not tried again in its sprint or dispatch.

    Raises NoSuchRun.

    Args:
        context: The team.
        run: The run's id, its beginning from 4 characters on, or its persona.
        sender: Who asks for it.
    """
    by_people_only("scheduler stop", context.home)
    return Stopping(stop_run(context, run, sender))


def pause(context: Context, sender: str) -> Pause:
    """Start no more runs until `resume`; open runs continue to their end."""
    by_people_only("scheduler pause", context.home)
    context.append([Draft(Kind.SCHEDULER_PAUSED, sender)])
    return Pause(paused=True, sender=sender)


def resume(context: Context, sender: str) -> Pause:
    """Start runs again after `pause`."""
    by_people_only("scheduler resume", context.home)
    context.append([Draft(Kind.SCHEDULER_RESUMED, sender)])
    return Pause(paused=False, sender=sender)


def approve(context: Context, run: str, sender: str) -> Approval:
    """Let a held patch land with the next weave. `run` is its run or persona, as in `stop`. Raises NoSuchRun."""
    by_people_only("scheduler approve", context.home)
    return Approval(*approve_patch(context, run, sender))


def refuse(context: Context, run: str, sender: str, why: str = "") -> Approval:
    """Refuse a held patch; its author is told by mail. `run` is its run or persona, as in `stop`. Raises NoSuchRun."""
    by_people_only("scheduler refuse", context.home)
    return Approval(*refuse_patch(context, run, sender, why), refused=True)


def approve_deploy(
    context: Context,
    sender: str,
    number: int | None = None,
    *,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> Release:
    """Let what a round approved be deployed, the last one or that with a number, and deploy it here and now.

    `listener` is told as it goes on. Raises NoSuchRun, NotReady if a persona is still to deploy another commit,
    NotLeader if another process deploys just now, and Stopped if it was interrupted.
    """
    by_people_only("scheduler approve", context.home)
    told: list[str] = []

    def tell(progress: Progress) -> None:
        told.append(progress.text)
        listener(progress)

    decided, stop = approved_round(context, number), threading.Event()
    with interrupts(stop.set):
        done = Deployment(context, tell).release(decided, sender, stop)
    if len(told) == 1:
        tell(Progress("deploy: it is asked for already"))
    return Release(decided.commit, done and done.outcome, tuple(told))


def gates(
    context: Context,
    number: int = 0,
    *,
    again: bool = False,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> SprintGates:
    """Return what the gates say of a sprint, 0 for the last: of what it starts from, and of its result.

    With `again`, those that have not passed on its result, or are red on its base, judge the same trees anew, and if
    all have passed on the result of a sprint that is over, `auto_land` is carried out. `listener` is told as it goes
    on. Raises NoSuchRun, NotReady if git lost a commit of it, and Stopped if it was interrupted.
    """
    if not again:
        return SprintGates(gates_of_sprint(context, number or None))
    by_people_only("scheduler gates --again", context.home)
    stop = threading.Event()
    with interrupts(stop.set):
        return SprintGates(judge_again(context, number or None, listener, stop))


def land(context: Context, number: int = 0) -> LandedSprint:
    """Fast-forward the base branch to sprint `number`, 0 for the last. Raises NoSuchRun, BranchMoved, NotReady."""
    by_people_only("scheduler land", context.home)
    state = state_at(context, number or None)
    number = number or state.number
    decided = next((each for each in reversed(state.decided) if each.sprint == number), None)
    blocked = decided.text if decided and not decided.approved else None
    if sprint := next((each for each in state.sprints if each.number == number and each.commits), None):
        regain(context, state, sprint=sprint)
    return LandedSprint(*fast_forward_base(context, state, number), blocked)


def abandon(context: Context, number: int, sender: str, why: str = "") -> Abandonment:
    """End the open sprint `number`, which cannot go on, and keep its work.

    Raises NoSuchRun, NotReady while runs of it go on, and NotLeader while a scheduler leads.
    """
    by_people_only("scheduler abandon", context.home)
    done = abandon_sprint(context, number, sender, why)
    return Abandonment(number, done.sprint.branch, done.kept, done.patches)
