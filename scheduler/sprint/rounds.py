"""What a supervisor adds to a sprint: mail that asks for reports, a decision before the end, and a deployment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from ..context import Context
from ..progress import Listener
from ..state.sprints import State
from .plan import TickPlan


class Rounds(Protocol):
    """What is done between a plan and its execution. Each method tells whether it has written anything."""

    def tell(self, state: State, plan: TickPlan, *, weaving: bool) -> bool:
        """Ask for the reports that are due, and tell authors of those that block. Raises GitError, LogError."""
        ...

    def conclude(self, state: State, stop: threading.Event) -> bool:
        """Decide a sprint that is about to end, and deploy. Raises Stopped once `stop` is set, GitError, LogError."""
        ...


Supervision = Callable[[Context, Listener], Rounds | None]


def unsupervised(context: Context, listener: Listener) -> Rounds | None:
    """Add nothing to a sprint."""
    del context, listener
    return None
