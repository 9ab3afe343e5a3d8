"""What happens next: one pure function from what is known to a plan. No clock, no disk, no process.

Within a tick the weave comes before the launches, and its outcome is news: a plan with patches to weave shows whom it
would launch as things stand, and the tick asks again once they are woven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ...mail.units import counted
from ..context import Member
from ..kinds import Mode
from ..runs.launch import Launch
from ..state.facts import LOST, OPEN, Run
from ..state.sprints import State
from .mode import ModeSettings, mode_of
from .plan import Opening, Skip, TickPlan

ASKED = "asked for"  # the reason of a sprint that a person started
_MOST_LOST = 3  # runs of one persona, in one sprint: an agent may be what ends its scheduler
_LONGEST_PAUSE = timedelta(minutes=10)


class Policy(ModeSettings, Protocol):
    """The `[sprint]` table. Durations are in seconds."""

    @property
    def max_attempts(self) -> int:
        """At most so many launches per persona and sprint."""
        ...

    @property
    def max_wakes(self) -> int:
        """At most so many launches by mail per sprint; 0 is three for each persona."""
        ...

    @property
    def retry_backoff(self) -> float:
        """The pause before the first retry; it doubles from there."""
        ...

    @property
    def deadline(self) -> float:
        """The longest a sprint may take."""
        ...


@dataclass(frozen=True)
class StartRequest:
    """What was asked for: `start` is the reason to start a sprint if none is open, `mode` overrides the flag.

    `personas` limits a new sprint's first batch; empty is everybody that is scheduled. Where nothing is to be started,
    `otherwise` says why, and `until` for how long.
    """

    start: str | None = None
    mode: str = "auto"
    personas: tuple[str, ...] = ()
    otherwise: str = "no sprint is open"
    until: datetime | None = None


def decide(state: State, roster: Sequence[Member], policy: Policy, now: datetime, request: StartRequest) -> TickPlan:
    """Decide the next tick. `roster` is who is scheduled, in the order in which they are launched."""
    if state.paused:
        return TickPlan(
            state.tick, state.sprint and state.sprint.number, idle=f"{state.paused}; scheduler resume goes on"
        )
    if state.sprint is None and (request.start is None or not roster):
        why = request.otherwise if roster else "nobody on the roster is scheduled; add a persona to .team/personas"
        return TickPlan(state.tick, idle=why)
    return _Decision(state, roster, policy, now, request).plan()


class _Decision:
    """One decision while it is being made: the rules, each a method, over facts that do not change."""

    def __init__(
        self, state: State, roster: Sequence[Member], policy: Policy, now: datetime, request: StartRequest
    ) -> None:
        self.state = state
        self.roster = roster
        self.policy = policy
        self.now = now
        self.sprint = state.sprint
        self.number = state.number + (0 if state.sprint else 1)
        self.runs = [run for run in state.runs if run.sprint == self.number]
        self.mode, self.rule = mode_of(self.number, policy, self.runs, request.mode, self.sprint)
        first = request.personas or tuple(member.id for member in roster)
        self.first = self.sprint.personas if self.sprint else first
        self.opening = None if self.sprint else Opening(self.number, request.start or "", first)
        self.due: list[datetime] = []

    def plan(self) -> TickPlan:
        """Put the parts together."""
        lost = tuple(run for run in self.runs if run.status == OPEN and run.id in self.state.dead)
        alive = [run for run in self.runs if run.status == OPEN and run.id not in self.state.dead]
        if self._late():
            busy = bool(alive or lost or self.state.pending)
            aside = () if busy else tuple(self._unlanded(()))
            return self._made(lost=lost, weave=self.state.pending, aside=aside, finish=None if busy else "deadline")
        if self._broken() and not (alive or lost or self.state.pending):
            return self._made(aside=tuple(self._unlanded(())), finish="broken")
        launches, skips, aside = self._sorted([run.persona for run in alive])
        if self.mode == Mode.SEQUENTIAL:
            turn = () if alive else launches[:1]
            skips += [Skip(one.persona, "waits its turn: sequential mode") for one in launches if one not in turn]
            launches = list(turn)
        if alive and not (launches or lost or self.state.pending):
            return self._made(skips=tuple(skips), idle=f"still running: {', '.join(run.persona for run in alive)}")
        over = not (launches or lost or alive or self.state.pending)
        if over and not self.due:
            aside += self._unlanded([skip.persona for skip in aside])
        return self._made(
            lost=lost, weave=self.state.pending, launches=tuple(launches), skips=tuple(skips), aside=tuple(aside),
            finish=self._outcome(aside) if over and not self.due else None,
            wait_until=min(self.due) if over and self.due else None,
        )  # fmt: skip

    def _made(self, **parts: Any) -> TickPlan:
        return TickPlan(self.state.tick, self.number, self.mode, self.rule, self.opening, **parts)

    def _broken(self) -> bool:
        """Tell whether all that ran has failed, retries too: then it is the agent, and more runs would only cost."""
        ended = [run for run in self.runs if run.status not in {OPEN, LOST, "stopped"}]
        names = {run.persona for run in ended}
        due = {member.id for member in self.roster if member.id in self.first}
        return due <= names and 1 < len(names) < len(ended) and all(self._fruitless(run) for run in ended)

    def _late(self) -> bool:
        if self.sprint is None:
            return False
        return self.now - datetime.fromisoformat(self.sprint.started) >= timedelta(seconds=self.policy.deadline)

    def _sorted(self, running: Sequence[str]) -> tuple[list[Launch], list[Skip], list[Skip]]:
        """Sort everybody into those to launch, those to skip, and those to set aside for the human."""
        launches: list[Launch] = []
        skips: list[Skip] = []
        aside: list[Skip] = []
        wakes = sum(run.reason == "mail" for run in self.runs)
        for member in self.roster:
            if member.id in running:
                skips.append(Skip(member.id, "still running"))
            elif member.id in self.state.aside and self.sprint:
                skips.append(Skip(member.id, f"set aside: {self.state.aside[member.id]}"))
            elif isinstance(found := self._reason(member), str):
                skips.append(Skip(member.id, found))
            elif why := self._exhausted(member.id, found, wakes):
                aside.append(Skip(member.id, why))
            else:
                wakes += found.reason == "mail"
                launches.append(found)
        return launches, skips, aside

    def _reason(self, member: Member) -> Launch | str:
        """Return the launch that a persona has a reason for, else why there is none now."""
        own = [run for run in self.runs if run.persona == member.id]
        mail = self.state.unread.get(member.id, ()) if self.sprint or self.opening else ()
        last = own[-1] if own else None
        if last and (pause := self._pause(own)):
            self.due.append(pause)
            return f"{last.detail or last.status}; next try at {pause:%H:%M:%S}Z"
        if last is None and member.id in self.first:
            return self._launch(member, own, "batch", "first launch of the sprint")
        if last and (last.status == "stopped" or last.stop):
            return f"stopped by hand: {last.detail}"
        if last and (last.status == LOST or self._fruitless(last)):
            return self._launch(member, own, "retry", f"attempt {last.attempt} {_end(last)}")
        if mail:
            return self._launch(member, own, "mail", f"{len(mail)} unread, last from {mail[-1].sender}")
        return "nothing unread"

    def _launch(self, member: Member, own: Sequence[Run], reason: str, why: str) -> Launch:
        mail = self.state.unread.get(member.id, ())
        estimate = self.state.estimate(member.id)
        return Launch(member.id, member.agent, len(own) + 1, self.number, reason, why, mail, estimate)

    def _fruitless(self, run: Run) -> bool:
        """Tell whether a run failed and left nothing to weave."""
        patch = self.state.patch(run.id)
        return run.status not in {"ok", OPEN} and (patch is None or patch.status == "dropped")

    def _pause(self, own: Sequence[Run]) -> datetime | None:
        """Return when the next retry of a persona is due, if that lies ahead: the pause doubles with each failure."""
        failures = 0
        for run in reversed(own):
            if run.stop or run.status in {LOST, "stopped"} or not self._fruitless(run):
                break
            failures += 1
        if not failures:
            return None
        pause = min(timedelta(seconds=self.policy.retry_backoff) * 2 ** (failures - 1), _LONGEST_PAUSE)
        due = datetime.fromisoformat(own[-1].finished or own[-1].started) + pause
        return due if due > self.now and failures < self.policy.max_attempts else None

    def _exhausted(self, persona: str, launch: Launch, wakes: int) -> str | None:
        """Say why a persona that has a reason to run must not run again in this sprint."""
        own = [run for run in self.runs if run.persona == persona]
        most = self.policy.max_attempts
        if sum(run.status != LOST for run in own) >= most:
            last = f"the last {_end(own[-1])}" if own[-1].status != "ok" else "mail still waits"
            return f"{counted(most, 'attempt')} spent and {self._open_end(persona) or last}"
        if sum(run.status == LOST and not run.orderly for run in own) >= _MOST_LOST:
            return f"{_MOST_LOST} runs were lost with their scheduler"
        if launch.reason == "mail" and (same := self._no_progress(persona)):
            return same
        budget = self.policy.max_wakes or 3 * len(self.roster)
        if launch.reason == "mail" and wakes >= budget:
            return f"loop guard: {budget} launches by mail in one sprint"
        return None

    def _no_progress(self, persona: str) -> str | None:
        """Tell of the same conflict, or the same refusal, twice running: a third try would only repeat it."""
        decided = [p for p in self.state.patches if p.persona == persona and p.sprint == self.number and p.tick]
        last = decided[-2:]
        if len(last) < 2 or last[0].why != last[1].why or last[0].status != last[1].status:  # noqa: PLR2004
            return None
        words = {"conflicted": "conflict", "refused": "refusal"}
        return f"no progress: the same {words[last[0].status]} twice running" if last[0].status in words else None

    def _unlanded(self, known: Sequence[str]) -> list[Skip]:
        """Find personas whose last patch came to nothing without anybody being told: their work is for the human."""
        names = [member.id for member in self.roster if member.id not in known and member.id not in self.state.aside]
        return [Skip(name, why) for name in names if (why := self._open_end(name))]

    def _open_end(self, persona: str) -> str | None:
        """Say how a persona's last patch came to nothing; a run that was stopped by hand left one on purpose."""
        last = next((p for p in reversed(self.state.patches) if (p.persona, p.sprint) == (persona, self.number)), None)
        if last is None or any(run.id == last.run and run.status == "stopped" for run in self.runs):
            return None
        ends = {
            "conflicted": "its patch conflicted and did not come again",
            "refused": "its patch was refused and did not come again",
            "rejected": f"its patch made {last.why} red and did not come again",
            "dropped": f"its work was cut off ({last.why}) and not taken up again",
        }
        return ends.get(last.status)

    def _outcome(self, aside: Sequence[Skip]) -> str:
        """Say how a sprint with nothing left to do ends: spent if somebody had to be given up."""
        return "spent" if aside or self.state.aside else "converged"


def _end(run: Run) -> str:
    return "was lost with its scheduler" if run.status == LOST else f"ended with {run.detail or run.status}"
