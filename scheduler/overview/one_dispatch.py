"""One dispatch for people who look at it: its tasks with what each waits for, each attempt over time, and its money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...mail.clock import rfc3339
from ..context import Context
from ..kinds import RunStatus, TaskStatus
from ..liveness import is_led
from ..state.dispatches import Attempt, DispatchState, session_of
from ..state.facts import Patch
from ..state.usage import UsageTotal, total
from ..tasks.task import Task
from .dispatches import request_of, schedule_of
from .past import result_of

MOST_SHOWN = 1_000  # tasks
_WAITING, _AT_WORK, _CUT_OFF = "waiting", "running", "cut off"


@dataclass(frozen=True)
class ShownAttempt:
    """One run of a task. `start` and `end` are seconds since the dispatch was started the first time.

    `outcome` is the status of the run, or that of its task if the run ended well and was the last one: its patch may
    have been in the way of another. It is "cut off" for an open run that nobody leads.
    """

    attempt: Attempt
    outcome: str
    start: float
    end: float
    usage: UsageTotal
    patch: Patch | None

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        patch = self.patch
        return {
            "run": self.attempt.run, "attempt": self.attempt.number, "agent": self.attempt.agent,
            "status": self.attempt.status, "outcome": self.outcome, "detail": self.attempt.detail,
            "started": self.attempt.started, "start": self.start, "end": self.end, "usage": self.usage.document(),
            "patch": {"status": patch.status, "why": patch.why, "files": [*patch.files]} if patch else None,
        }  # fmt: skip


@dataclass(frozen=True)
class ShownTask:
    """A task of a dispatch. `status` is a `TaskStatus`, or "waiting", "running" or "cut off" for one without an end.

    `waits_for` are the dependencies that have not succeeded yet, none if the task has ended. `error` says why it
    failed, `why` why it was skipped.
    """

    task: Task
    status: str
    error: str
    why: str
    waits_for: tuple[str, ...]
    attempts: tuple[ShownAttempt, ...]
    usage: UsageTotal

    @property
    def seconds(self) -> float | None:
        """How long its attempts took, as far as that is on record, with one at work; None if nobody began it."""
        if not self.attempts:
            return None
        open_ = (each.end - each.start for each in self.attempts if each.attempt.status == RunStatus.OPEN)
        return sum((each.attempt.seconds for each in self.attempts), sum(open_))

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "task": self.task.task_id, "persona": self.task.agent, "status": self.status, "error": self.error or None,
            "why": self.why or None, "dependencies": [*self.task.dependencies], "waits_for": [*self.waits_for],
            "has_condition": self.task.when is not None, "priority": self.task.priority,
            "seconds": self.seconds, "usage": self.usage.document(),
            "attempts": [each.document() for each in self.attempts],
        }  # fmt: skip


@dataclass(frozen=True)
class DispatchView:
    """A dispatch as it is now. `seconds` is the time from its first start to its end, or to now while it goes on."""

    state: DispatchState
    result: str
    seconds: float
    tasks: tuple[ShownTask, ...]
    usage: UsageTotal

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object; of more than `MOST_SHOWN` tasks it has the first ones."""
        state = self.state
        return {
            "dispatch": state.id, "short": state.short, "started": state.started, "result": self.result,
            "resumed": state.sitting if state.sitting != state.started else None,
            "is_finished": state.finished is not None, "may_resume": self.result == _CUT_OFF,
            "seconds": self.seconds, "agent": state.agent, "base": state.base or None, "branch": state.branch or None,
            "session": session_of(state), "ask": request_of(state) or None, "schedule": schedule_of(state) or None,
            "usage": self.usage.document(), "counts": self._counts(), "task_count": len(self.tasks),
            "tasks": [task.document() for task in self.tasks[:MOST_SHOWN]],
        }  # fmt: skip

    def _counts(self) -> dict[str, int]:
        """Return the number of tasks by status."""
        counts: dict[str, int] = {}
        for task in self.tasks:
            counts[task.status] = counts.get(task.status, 0) + 1
        return counts


def dispatch_view(context: Context, state: DispatchState, tasks: Sequence[Task]) -> DispatchView:
    """Return a dispatch as it is now; `tasks` are those that it was given."""
    result = result_of(state)
    led = not state.finished and is_led(state.supervisor)
    until = rfc3339(context.clock.now()) if led else state.last
    length = _between(state.started, until)
    shown = tuple(_task(state, task, led=led, now=length) for task in tasks)
    return DispatchView(state, result, length, shown, _used(state, state.work.runs))


def _task(state: DispatchState, task: Task, *, led: bool, now: float) -> ShownTask:
    own, end = state.of(task.task_id), state.ends.get(task.task_id)
    left = "" if led else _CUT_OFF
    attempts = tuple(_attempt(state, each, now, left if each.status == RunStatus.OPEN else "") for each in own)
    if end and attempts and own[-1].status == RunStatus.OK:
        attempts = (*attempts[:-1], _attempt(state, own[-1], now, end.status))
    waits = () if end else tuple(each for each in task.dependencies if state.status(each) != TaskStatus.SUCCESS)
    return ShownTask(
        task, _status(state, task.task_id, led=led), end.error if end else "", end.why if end else "", waits, attempts,
        _used(state, (attempt.run for attempt in own)),
    )  # fmt: skip


def _status(state: DispatchState, task: str, *, led: bool) -> str:
    if task in state.ends or state.finished:
        return state.status(task)
    if any(attempt.status == RunStatus.OPEN for attempt in state.of(task)):
        return _AT_WORK if led else _CUT_OFF
    return _WAITING


def _attempt(state: DispatchState, attempt: Attempt, now: float, outcome: str = "") -> ShownAttempt:
    start = _between(state.started, attempt.started)
    run = state.work.runs.get(attempt.run)
    ended = run.finished if run else None
    end = _between(state.started, ended) if ended else now if attempt.status == RunStatus.OPEN else start
    return ShownAttempt(
        attempt, outcome or attempt.status, start, max(start, end), _used(state, (attempt.run,)),
        state.work.patches.get(attempt.run),
    )  # fmt: skip


def _used(state: DispatchState, runs: Iterable[str]) -> UsageTotal:
    return total(state.work.runs[run].usage for run in runs if run in state.work.runs)


def _between(since: str, until: str) -> float:
    """Return the seconds between two timestamps of the log, to the millisecond."""
    passed = (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
    return round(max(0.0, passed), 3)
