"""What a supervisor adds to a sprint: the sprint knows no more of it than this."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from ..context import Context
from ..progress import Listener
from ..state.sprints import State
from .plan import TickPlan

Beside = Callable[[str, Callable[[threading.Event], object]], None]


class Rounds(Protocol):
    """What a supervisor adds to a sprint. `tell` and `conclude` return whether they have written anything."""

    def tell(
        self,
        state: State,
        plan: TickPlan,
        *,
        stop: threading.Event,
        weaving: bool,
        making: Collection[str] = (),
        beside: Beside | None = None,
    ) -> bool:
        """Ask for the reports that are due, and tell authors of those that block. Raises Stopped, GitError, LogError.

        What takes long to be made is made `beside` the runs, under a name, unless that is in `making`.
        """
        ...

    def outlook(self) -> Iterator[str]:
        """Say, a line each, what will be done with what has landed."""
        ...

    def conclude(self, state: State, stop: threading.Event) -> bool:
        """Decide a sprint that is about to end, and deploy. Raises Stopped once `stop` is set, GitError, LogError."""
        ...


Supervision = Callable[[Context, Listener], Rounds | None]


def unsupervised(context: Context, listener: Listener) -> Rounds | None:
    """Add nothing to a sprint."""
    del context, listener
    return None
