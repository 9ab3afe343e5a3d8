"""Controls a team: stop a run, pause, resume, approve a patch, land a sprint.

All functions are for people: called from an agent's run, they raise UsageError.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ...mail.log.event import Draft
from ...scheduler.context import Context
from ...scheduler.errors import NotLeader
from ...scheduler.kinds import Kind
from ...scheduler.landing.base import fast_forward_base
from ...scheduler.leader import Leader
from ...scheduler.sprint.control import approve_patch, by_people_only, stop_run
from ...scheduler.sprint.history import state_at
from ...scheduler.state.facts import Patch, Run
from ...scheduler.supervisor.deploy import RELEASE, Deployment, release

DEPLOY = RELEASE  # what `approve_deploy` is asked for by, where a run may be named as well


@dataclass(frozen=True)
class Stopping:
    """A run that was asked to end; the process that supervises it ends it."""

    run: Run

    def document(self) -> dict[str, Any]:
        """Return the run, its persona and its attempt as a JSON object."""
        return {"run": self.run.id, "persona": self.run.persona, "attempt": self.run.attempt}


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
    """A held patch that may land now."""

    patch: Patch

    def document(self) -> dict[str, Any]:
        """Return the run, persona and files of the patch as a JSON object."""
        return {"run": self.patch.run, "persona": self.patch.persona, "files": [*self.patch.files]}


@dataclass(frozen=True)
class Release:
    """A commit that may be deployed now, and what became of it, in lines for people."""

    commit: str
    lines: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return both as a JSON object."""
        return {"commit": self.commit, "lines": [*self.lines]}


@dataclass(frozen=True)
class LandedSprint:
    """The base branch after a sprint was landed on it. `gained` counts its new commits, 0 if it had them all."""

    branch: str
    commit: str
    gained: int

    def document(self) -> dict[str, Any]:
        """Return all three values as a JSON object."""
        return {"branch": self.branch, "commit": self.commit, "gained": self.gained}


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
    return Approval(approve_patch(context, run, sender))


def approve_deploy(context: Context, sender: str) -> Release:
    """Let the last approved commit be deployed, and deploy it unless a scheduler leads. Raises NoSuchRun."""
    by_people_only("scheduler approve", context.home)
    decided = release(context, sender)
    told: list[str] = []
    try:
        with Leader(context.home / "work"):
            deploying = Deployment(context, lambda progress: told.append(progress.text))
            deploying.carry_out(context.state(whole=False), decided, threading.Event())
    except NotLeader:
        told.append(
            "a scheduler leads the team: one that runs with --continuous deploys it, else approve it again later"
        )
    return Release(decided.commit, (f"approved: {decided.commit[:12]}, {decided.text}", *told))


def land(context: Context, number: int = 0) -> LandedSprint:
    """Fast-forward the base branch to sprint `number`, 0 for the last. Raises NoSuchRun, BranchMoved."""
    by_people_only("scheduler land", context.home)
    state = state_at(context, number or None)
    return LandedSprint(*fast_forward_base(context, state, number or state.number))
