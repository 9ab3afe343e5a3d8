"""How often the tasks of a dispatch were tried, and what comes after an attempt that came to nothing.

What is no fault of a task's agent is no attempt at the task: a set-up that failed, and a service that takes no more.
Of each of these there is an end of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...mail.clock import Clock
from ...personas.agent import Outcome
from ..kinds import RunStatus, TaskStatus
from ..limits.routing import Fault, Unfit
from ..progress import Listener, Progress
from ..runs.flow import StepResult
from ..runs.launch import MOST_SETUPS
from ..tasks.task import Task

_LONGEST_PAUSE = 600.0  # seconds before a retry
_MOST_REFUSALS = 3  # of one task by the service of its agent


@dataclass
class Tries:
    """The attempts of this process at the tasks of a dispatch. `end` puts on record how a task ended, and why."""

    clock: Clock
    listener: Listener
    end: Callable[[Task, TaskStatus, str], StepResult]
    _tries: Counter[str] = field(default_factory=Counter[str])
    _setups: Counter[str] = field(default_factory=Counter[str])  # that failed
    _refusals: Counter[str] = field(default_factory=Counter[str])  # by the service of the agent

    def of(self, task: Task) -> int:
        """Return how often a task was tried."""
        return self._tries[task.task_id]

    def begin(self, task: Task) -> None:
        """Count an attempt."""
        self._tries[task.task_id] += 1

    def take_back(self, task: Task) -> None:
        """Count an attempt no more."""
        self._tries[task.task_id] -= 1

    def are_spent(self, task: Task, *, landing: bool = False) -> bool:
        """Tell whether a task has no attempt left; a patch that did not land (`landing`) gets at least one retry."""
        return self.of(task) >= max(1 + task.retries, 2 if landing else 1)

    def again(self, task: Task) -> StepResult:
        """Try a task once more, after a pause that doubles each time."""
        pause = task.retry_backoff * 2.0 ** (max(1, self.of(task)) - 1)
        return StepResult(done=False, again=min(pause, _LONGEST_PAUSE))

    def not_set_up(self, task: Task, why: str) -> StepResult:
        """Try a task again whose workspace could not be set up, a few times: that was no attempt of its agent."""
        self.take_back(task)
        self._setups[task.task_id] += 1
        if self._setups[task.task_id] < MOST_SETUPS:
            return self.again(task)
        return self.end(task, TaskStatus.ERROR, why)

    def limited(self, task: Task, why: str, until: datetime) -> StepResult:
        """Try a task again when the service of its agent takes more, a few times: that was no attempt of its agent."""
        self.take_back(task)
        self._refusals[task.task_id] += 1
        if self._refusals[task.task_id] >= _MOST_REFUSALS:
            return self.end(task, TaskStatus.ERROR, why)
        now = self.clock.now()
        pause = min(task.retry_backoff * 2 ** (self._refusals[task.task_id] - 1), _LONGEST_PAUSE)
        until = max(until, now + timedelta(seconds=pause))
        self.listener(Progress(f"{task.task_id}: parked until {until:%H:%M:%S}Z, {why}"))
        return StepResult(done=False, again=max(1.0, (until - now).total_seconds()))

    def handed_on(self, task: Task, outcome: Outcome, unfit: Unfit | None) -> StepResult | None:
        """Let a task go on that one of several agents could not do, which was no attempt at it.

        `unfit` is what hinders the next one. None if nobody can do more than this one.
        """
        if unfit and outcome.status == RunStatus.LIMITED:  # of which there must be an end, whoever refuses
            until, why = unfit.until or self.clock.now(), unfit.why or outcome.detail
            return self.limited(task, why, until) if outcome.until else None
        if unfit and unfit.fault >= Fault.HOPELESS:
            return None
        self.take_back(task)
        if unfit and unfit.fault == Fault.FAILING:
            return None if self.are_spent(task) else self.again(task)
        return StepResult(done=False, again=0.0)
