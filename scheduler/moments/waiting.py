"""Who waits for what in a sprint, as of a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...mail.render import line, listed
from ...mail.text.units import counted
from ..context import Member
from ..kinds import PatchStatus, RunStatus
from ..state.facts import Run, Sprint
from ..state.sprints import State
from .verdicts import Verdict


@dataclass(frozen=True)
class Waits:
    """Somebody who waits: for what, and for whom or which run, "" if for no persona."""

    persona: str
    what: str
    on: str = ""

    def document(self) -> dict[str, Any]:
        """Return both as a JSON object."""
        return {"persona": self.persona, "for": self.what, "on": self.on or None}


def waits(
    state: State, sprint: Sprint, members: Sequence[Member], gates: Sequence[Verdict], human: str
) -> tuple[Waits, ...]:
    """Say who waits for what in an open sprint; nobody does in one that has ended, but for held patches."""
    held = (Waits(patch.persona, "a person's approval of its patch", human) for patch in state.of(PatchStatus.HELD))
    if sprint.outcome is not None:
        return tuple(held)
    runs = [run for run in state.runs if run.sprint == sprint.number]
    return (*held, *_patches(state, gates), *_first_runs(runs, sprint, members), *_again(state, runs))


def _patches(state: State, gates: Sequence[Verdict]) -> Iterator[Waits]:
    at_work = sorted({gate.gate for gate in gates if gate.passed is None})
    for patch in state.pending:
        yield Waits(patch.persona, f"gate {listed(at_work)}" if at_work else "the weaver, with its patch")


def _first_runs(runs: Sequence[Run], sprint: Sprint, members: Sequence[Member]) -> Iterator[Waits]:
    """Say what those of the first batch wait for that have not run yet."""
    after = {member.id: member.after for member in members}
    done = {run.persona for run in runs if run.status != RunStatus.OPEN}
    ran = {run.persona for run in runs}
    for name in sprint.personas:
        if name in ran:
            continue
        before = [other for other in after.get(name, ()) if other in sprint.personas and other not in done]
        yield Waits(name, f"{listed(before)}, whose work comes first", before[0]) if before else Waits(name, "its turn")


def _again(state: State, runs: Sequence[Run]) -> Iterator[Waits]:
    """Say who has a reason to run again: a conflict, a failure, mail; or is set aside."""
    last = {run.persona: run for run in runs}
    for name in sorted({*last, *state.unread}):
        run = last.get(name)
        if name in state.aside or (run and run.status == RunStatus.OPEN):
            continue
        yield from _reasons(state, name, run)


def _reasons(state: State, name: str, run: Run | None) -> Iterator[Waits]:
    patch = state.patch(run.id) if run else None
    if patch and patch.status in _RETURNED:
        yield Waits(name, f"its next run: its patch was {patch.status}")
    elif run and run.status == RunStatus.LIMITED and run.until:
        yield Waits(name, f"its model's service, until {run.until[:19]}Z")
    elif run and run.status != RunStatus.OK:
        yield Waits(name, f"its next run: the last one ended {run.status}")
    elif run and (mail := state.unread.get(name)):
        yield Waits(name, f"its next run, with unread mail: {line(mail[-1].subject)}", mail[-1].sender)


_RETURNED = frozenset({PatchStatus.CONFLICTED, PatchStatus.REFUSED, PatchStatus.REJECTED})


def phase(state: State, sprint: Sprint, gates: Sequence[Verdict], waiting: Sequence[Waits]) -> str:
    """Say in a few words what a sprint is doing."""
    if sprint.outcome is not None:
        return f"ended: {sprint.outcome}"
    going = sum(run.status == RunStatus.OPEN and run.sprint == sprint.number for run in state.runs)
    at_work = sorted({gate.gate for gate in gates if gate.passed is None})
    parts = [f"{counted(going, 'run')} at work"] if going else []
    parts += [f"gate {listed(at_work)} judges"] if at_work else []
    parts += [f"{counted(len(state.pending), 'patch')} to weave"] if state.pending and not at_work else []
    parts += [state.paused] if state.paused else []
    return ", ".join(parts) or ("between runs" if waiting else "nothing is left to do")
