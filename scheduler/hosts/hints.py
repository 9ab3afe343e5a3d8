"""The queue as leader and workers use it: whatever is wrong with it is told once and done without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeVar

from ...mail.clock import Clock
from ...mail.errors import LogError
from ...mail.log.log import Log
from ..progress import Listener, Progress
from .offers import Offer
from .queue import Hint, Queue

Result = TypeVar("Result")
_TEND = 2.0  # seconds between two looks at all hints
_PAUSE = 5.0  # seconds for which nothing is asked of a queue that did not answer


class Hints:
    """The hints of one team; there are none where its log is in a folder. Threads may share it."""

    def __init__(self, log: Log, clock: Clock, listener: Listener) -> None:
        self._clock, self._listener = clock, listener
        self._turn = threading.Lock()
        self._is_told = False
        self._rest_until = float("-inf")
        self._tended = clock.monotonic()
        self._queue: Queue | None = None
        if beside := log.beside():
            try:
                self._queue = Queue(beside)
            except ImportError:
                self._tell("procrastinate is not installed (team-mail[cluster])")

    @property
    def are_given(self) -> bool:
        """Whether there is a queue that hints come from."""
        return self._queue is not None and not self._is_told

    def give(self, offer: Offer) -> None:
        """Let workers know of an offer."""
        self._ask(lambda queue: queue.defer(offer), default=False)

    def next(self, agents: Collection[str], labels: Collection[str]) -> Hint | None:
        """Return the most urgent hint for a worker, None if there is none."""
        return self._ask(lambda queue: queue.next(agents, labels, self._clock.monotonic()), default=None)

    def done(self, hint: Hint) -> None:
        """Take a hint away that was followed; somebody else may have."""
        if self._queue:
            with suppress(LogError):
                self._queue.done(hint)

    def tend(self, offers: Callable[[], Sequence[Offer]]) -> None:
        """See every few seconds that each open offer has a hint, and that no other is left."""
        with self._turn:
            now = self._clock.monotonic()
            if self._queue is None or now - self._tended < _TEND:
                return
            self._tended = now
        self._ask(lambda queue: queue.tend(offers()), default=0)

    def leave(self) -> None:
        """Say that this worker takes no more."""
        if self._queue:
            self._queue.leave()

    def _ask(self, what: Callable[[Queue], Result], *, default: Result) -> Result:
        if self._queue is None or self._clock.monotonic() < self._rest_until:
            return default
        try:
            done = what(self._queue)
        except LogError as error:
            self._rest_until = self._clock.monotonic() + _PAUSE
            self._tell(str(error))
            return default
        self._is_told = False
        return done

    def _tell(self, why: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._listener(Progress(f"the queue of runs is not there, so they are looked for in the log: {why}"))
