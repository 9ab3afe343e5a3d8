"""Holding: tasks of a dispatch wait while nothing of its session is started, or while their files are claimed.

What runs goes on to its end.
"""

from __future__ import annotations

from ..claims.barring import barred
from ..context import Context
from ..progress import Listener, Progress
from ..runs.flow import StepResult
from ..sessions.sessions import held
from ..tasks.task import Task

_LOOK = 1.0  # seconds between two looks at a session that is not active, or at a claim that bars a task


class SessionHold:
    """What a dispatch asks before it starts a task; why nothing starts is told once each time."""

    def __init__(self, context: Context, listener: Listener) -> None:
        self._context, self._listener = context, listener
        self._told: str | None = None

    def of(self, task: str) -> StepResult | None:
        """Return that a task is to be looked at again; None if it may start."""
        why = held(self._context.mailbox.projections, self._context.session)
        if why and why != self._told:
            self._listener(Progress(f"{task} waits: {why}"))
        self._told = why
        return StepResult(done=False, again=_LOOK) if why else None


class ClaimHold:
    """What a dispatch asks before it starts a task whose files somebody may have claimed; it is told of once."""

    def __init__(self, context: Context, listener: Listener) -> None:
        self._context, self._listener = context, listener
        self._waits: set[str] = set()

    def of(self, task: Task) -> StepResult | None:
        """Return that a task is to be looked at again; None if it may start."""
        globs = (*task.files, *task.creates)
        bar = barred(self._context.claims.moment(), globs) if globs else None
        if bar is None:
            self._waits.discard(task.task_id)
            return None
        if task.task_id not in self._waits:
            self._waits.add(task.task_id)
            self._listener(Progress(f"{task.task_id}: waits, {bar.why}"))
        return StepResult(done=False, again=_LOOK)
