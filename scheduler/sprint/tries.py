"""What the runs and patches of a sprint so far mean for who may run again, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...mail.text.units import counted
from ..kinds import LaunchReason, PatchStatus, RunStatus
from ..limits.parking import excess
from ..limits.routing import Fault
from ..runs.launch import MOST_SETUPS, Launch
from ..state.facts import Patch, Run
from ..state.sprints import State
from .mode import Policy

_MOST_LOST = 3  # runs of one persona in one sprint: an agent may be what ends its scheduler
_LONGEST_PAUSE = timedelta(minutes=10)
_NO_ATTEMPT = frozenset({RunStatus.LOST, RunStatus.SETUP, RunStatus.LIMITED})  # of the agent's
INCOMPLETE = frozenset(
    {RunStatus.OPEN, RunStatus.LOST, RunStatus.STOPPED, RunStatus.LIMITED}
)  # says nothing about the agent


@dataclass(frozen=True)
class Tries:
    """The `runs` of sprint `number`, oldest first, and its patches, which are in `state`."""

    state: State
    runs: Sequence[Run]
    number: int
    policy: Policy

    def fruitless(self, run: Run) -> bool:
        """Tell whether a run failed and left nothing to weave."""
        patch = self.state.patch(run.id)
        failed = run.status not in {RunStatus.OK, RunStatus.OPEN}
        return failed and (patch is None or patch.status == PatchStatus.DROPPED)

    def pause(self, own: Sequence[Run], now: datetime) -> datetime | None:
        """Return when the next retry of a persona is due, if that is later than now: the pause doubles each time."""
        failures = 0
        for run in reversed(own):
            if run.stop or run.status in INCOMPLETE or not self.fruitless(run):
                break
            failures += 1
        if not failures:
            return None
        pause = min(timedelta(seconds=self.policy.retry_backoff) * 2 ** (failures - 1), _LONGEST_PAUSE)
        due = datetime.fromisoformat(own[-1].finished or own[-1].started) + pause
        over = own[-1].hopeless or self._spent(own, own[-1].status)
        return due if due > now and not over else None

    def unstartable(self, launch: Launch) -> str | None:
        """Say why a persona must not run again: no agent can start, or the budget of a run ended it."""
        if not (launch.route and launch.route.hindered(Fault.HOPELESS)):
            return None
        last = next(run for run in reversed(self.runs) if (run.persona, run.agent) == (launch.persona, launch.agent))
        return last.detail if last.status == RunStatus.QUOTA else f"it cannot start: {last.detail}"

    def exhausted(self, launch: Launch, wakes: int, size: int) -> str | None:
        """Say why a persona that has a reason to run must not run again in this sprint, in a team of `size`."""
        persona = launch.persona
        own = [run for run in self.runs if run.persona == persona]
        most = self.policy.max_attempts
        if launch.reason == LaunchReason.REVIEW:
            return self._reviewed_enough(own)
        if self._spent(own, RunStatus.FAILED):
            last = f"the last {end_of(own[-1])}" if own[-1].status != RunStatus.OK else "mail still waits"
            return f"{counted(most, 'attempt')} spent and {self.loose_end(persona) or last}"
        if sum(run.status == RunStatus.LOST and not run.orderly for run in own) >= _MOST_LOST:
            return f"{_MOST_LOST} runs were lost with their scheduler"
        if self._spent(own, RunStatus.SETUP):
            return f"the set-up of its workspace failed {MOST_SETUPS} times; the last {end_of(own[-1])}"
        budget = self.policy.max_wakes or 3 * size
        guard = f"loop guard: {budget} launches by mail in one sprint" if wakes >= budget else None
        return (self._no_progress(persona) or guard) if launch.reason == LaunchReason.MAIL else None

    def _reviewed_enough(self, own: Sequence[Run]) -> str | None:
        """Say that a persona has done its reviews of this sprint; None if one more may be asked for."""
        reviews = sum(run.reason == LaunchReason.REVIEW and run.status not in _NO_ATTEMPT for run in own)
        most = self.policy.max_reviews
        return f"{counted(most, 'review')} done, and one more is asked for" if reviews >= most else None

    def _spent(self, own: Sequence[Run], status: str) -> bool:
        """Tell whether a persona has used up its attempts, or its set-ups if the status is `setup`."""
        if status == RunStatus.SETUP:
            return sum(run.status == RunStatus.SETUP for run in own) >= MOST_SETUPS
        tries = [
            run for run in own if run.status not in _NO_ATTEMPT and not _is_done_review(run) and not is_asking(run)
        ]
        return len(tries) + excess(own) >= self.policy.max_attempts

    def _no_progress(self, persona: str) -> str | None:
        """Return why the persona makes no progress: the same conflict or refusal twice in a row."""
        decided = [patch for patch in self.patches(persona) if patch.tick]
        last = decided[-2:]
        if len(last) < 2 or len({(each.status, each.signature or each.why) for each in last}) > 1:  # noqa: PLR2004
            return None
        words: dict[str, str] = {PatchStatus.CONFLICTED: "conflict", PatchStatus.REFUSED: "refusal"}
        return f"no progress: the same {words[last[0].status]} twice in a row" if last[0].status in words else None

    def patches(self, persona: str) -> list[Patch]:
        """List the patches of a persona in the sprint, oldest first."""
        return [p for p in self.state.patches if (p.persona, p.sprint) == (persona, self.number)]

    def loose_end(self, persona: str) -> str | None:
        """Say why a persona's last patch did not land; a run that a person stopped left its patch on purpose."""
        last = next(reversed(self.patches(persona)), None)
        if last is None or any(run.id == last.run and run.status == RunStatus.STOPPED for run in self.runs):
            return None
        ends: dict[str, str] = {
            PatchStatus.CONFLICTED: "its patch conflicted and did not come again",
            PatchStatus.REFUSED: "its patch was refused and did not come again",
            PatchStatus.REJECTED: f"its patch made {last.why} red and did not come again",
            PatchStatus.DROPPED: f"its work was cut off ({last.why}) and not taken up again",
        }
        return ends.get(last.status)


def _is_done_review(run: Run) -> bool:
    return run.reason == LaunchReason.REVIEW and run.status == RunStatus.OK


def is_asking(run: Run) -> bool:
    """Tell whether a run ended well with a question, which is no attempt spent: its persona goes on with the answer."""
    return bool(run.asked) and run.status == RunStatus.OK


def end_of(run: Run) -> str:
    """Say how a run ended."""
    lost = run.status == RunStatus.LOST
    return "was lost with its scheduler" if lost else f"ended with {run.detail or run.status}"
