"""Holding: tasks of a dispatch wait while nothing of its session is started; what runs goes on to its end."""

from __future__ import annotations

from ..context import Context
from ..progress import Listener, Progress
from ..runs.flow import StepResult
from ..sessions.sessions import held

_LOOK = 1.0  # seconds between two looks at a session that is not active


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
