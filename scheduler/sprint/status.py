"""Where a team stands now: who leads it, its last sprint, that sprint's runs and their pulse, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ...personas.running.process import read_usage
from ..context import Context
from ..foretell.places import NOWHERE, Places, read_places
from ..kinds import PatchStatus, RunStatus
from ..landing.at_work import gates_at_work
from ..leader import leading_anywhere
from ..limits.parking import Parked
from ..liveness import liveness
from ..state.facts import Patch, Run
from ..state.sprints import SCHEDULER_GONE, State
from ..state.summary import Summary, summary

_LATE = 3.0  # seconds without a heartbeat before the status mentions it


@dataclass(frozen=True)
class Pulse:
    """A run, how long it has taken so far, and how long ago its keeper last gave a sign of life, if that is long.

    `places` are the lines of files that it has changed so far, as it was last seen; none once it has ended.
    """

    run: Run
    since: str
    places: Places = NOWHERE


@dataclass(frozen=True)
class Status:
    """A team at one moment.

    `leader` is the process id of the leading scheduler, `paused` who paused the team and when, `sprint` the last
    sprint, each None if there is none; `leader_host` names the leader's host if the log is on a server. `runs` has the
    newest run of each persona in that sprint. `set_aside` maps personas to reasons. `unread` maps them to the numbers
    of messages that they have to be launched for, and `waiting` to those of messages that wait for their next run.
    `parked` maps them to the time until which the service of their model takes no more, to what it said, and to the
    agent. `pending` patches wait for the weaver, `held` ones for a person. `gates` are those at work: name, commit, and
    for how many seconds.
    """

    leader: int | None
    paused: str | None
    sprint: Summary | None
    runs: tuple[Pulse, ...]
    set_aside: Mapping[str, str]
    pending: tuple[Patch, ...]
    held: tuple[Patch, ...]
    unread: Mapping[str, int]
    waiting: Mapping[str, int] = field(default_factory=dict[str, int])
    parked: Mapping[str, Parked] = field(default_factory=dict[str, Parked])
    gates: tuple[tuple[str, str, float], ...] = ()
    leader_host: str = ""

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler status --json`."""
        where = {"host": self.leader_host} if self.leader_host else {}
        return {
            "leader": None if self.leader is None else {"pid": self.leader} | where,
            "paused": self.paused,
            "sprint": self.sprint and self.sprint.document() | {"outcome": self.sprint.outcome},
            "runs": [_run_document(pulse) for pulse in self.runs],
            "set_aside": dict(self.set_aside),
            "held": [_held_document(patch) for patch in self.held],
            "unread": dict(self.unread),
            "waiting": dict(self.waiting),
            "parked": {
                persona: {"until": parked.until.isoformat(), "why": parked.why, "agent": parked.agent}
                for persona, parked in self.parked.items()
            },
            "gates": [{"gate": gate, "commit": commit, "seconds": seconds} for gate, commit, seconds in self.gates],
        }


def _held_document(patch: Patch) -> dict[str, Any]:
    return {
        "run": patch.run,
        "persona": patch.persona,
        "files": [*patch.files],
        "unsigned": patch.is_unsigned,
    }


def status(context: Context, now: datetime) -> Status:
    """Read where the team of `context` stands at `now`."""
    state = _with_usage(context.state(whole=False), context.home)
    leader = leading_anywhere(context.home / "work", context.mailbox.log)
    never = context.settings.sprint.wakes_not
    unread = {persona: sum(each.wakes(never) for each in mail) for persona, mail in state.unread.items()}
    waiting = {persona: len(mail) - unread[persona] for persona, mail in state.unread.items()}
    return Status(
        leader["pid"] if leader else None,
        state.paused,
        summary(state, state.sprints[-1], now) if state.sprints else None,
        tuple(_pulses(state, context.home, now, is_led=leader is not None)),
        state.aside,
        state.pending,
        state.of(PatchStatus.HELD),
        {persona: count for persona, count in unread.items() if count},
        {persona: count for persona, count in waiting.items() if count},
        context.parked(state, now),
        tuple(
            (each.gate, each.commit, round(max(0.0, now.timestamp() - each.since), 1))
            for each in gates_at_work(context.home)
        ),
        str(leader["host"]) if leader and context.mailbox.log.place else "",
    )


def _with_usage(state: State, home: Path) -> State:
    """Return the state with what its open runs have used so far."""
    runs = tuple(
        replace(run, usage=read_usage(home / "runs" / run.id)) if run.status == RunStatus.OPEN else run
        for run in state.runs
    )
    return replace(state, runs=runs)


def _run_document(pulse: Pulse) -> dict[str, Any]:
    run = pulse.run
    return {
        "run": run.id, "persona": run.persona, "agent": run.agent, "attempt": run.attempt, "status": run.status,
        "since": pulse.since, "usage": run.usage.document(), "places": pulse.places.document(),
        "route": run.rule or None,
        "worker": dict(run.worker) or None,
        "instead_of": [{"agent": agent, "why": why} for agent, why in run.passed],
    }  # fmt: skip


def _pulses(state: State, home: Path, now: datetime, *, is_led: bool) -> Iterator[Pulse]:
    newest = {run.persona: run for run in state.runs if run.sprint == state.number}
    for run in newest.values():
        if run.status != RunStatus.OPEN:
            yield Pulse(run, f"{run.seconds or 0:.1f} s")
            continue
        elapsed = (now - datetime.fromisoformat(run.started)).total_seconds()
        since = f"{elapsed:.0f} s{_heartbeat(state, run, home, now, is_led=is_led)}"
        yield Pulse(run, since, read_places(home / "runs" / run.id))


def _heartbeat(state: State, run: Run, home: Path, now: datetime, *, is_led: bool) -> str:
    if run.id in state.left:
        goes_on = liveness(home, run).going
        if is_led:  # whoever leads takes over what others left before anything else
            return ", taken over" if goes_on else ", has ended"
        return ", goes on without a scheduler" if goes_on else ", has ended; the next scheduler puts that on record"
    if run.offered and not run.worker:
        return ", offered; no worker has taken it"
    if run.id in state.dead:
        return f", {SCHEDULER_GONE}; the next one gives it up"
    try:
        beat = (home / "runs" / run.id / "heartbeat").stat().st_mtime
    except FileNotFoundError:
        return ", being set up"
    silence = now.timestamp() - beat
    return "" if silence < _LATE else f", no heartbeat for {silence:.0f} s"
