"""One thread that reads the output of all runs that are shown, and tells what happens to them, in order.

Whatever is watched is a `Member`; the hub asks each in turn to go on. Members are only ever touched by this thread.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable
from typing import Protocol

_PAUSE = 0.015  # seconds between two looks at the output of runs: what an agent writes is shown about so much later
_REST = 0.25  # the same while nothing is read


class Member(Protocol):
    """Something that the hub keeps going."""

    def step(self) -> bool:
        """Go on, for some milliseconds at most; tell whether there is more to do at once."""
        ...

    def abandon(self, why: str) -> None:
        """End because it could not go on."""
        ...

    @property
    def is_reading(self) -> bool:
        """Whether output may come at any time."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to do any more."""
        ...


class Hub:
    """The thread that keeps its members going; it begins with the first one, and ends with `close`."""

    def __init__(self) -> None:
        self._new: deque[Callable[[], object]] = deque()
        self._members: list[Member] = []
        self._news = threading.Event()
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()

    def add(self, member: Member) -> None:
        """Keep something going until it is settled."""
        self.call(lambda: self._members.append(member) if member not in self._members else None)

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called by the thread of the hub."""
        self._new.append(function)
        with self._turn:
            if self._thread is None and not self._is_closed.is_set():
                self._thread = threading.Thread(target=self._run, name="console", daemon=True)
                self._thread.start()
        self._news.set()

    def wake(self) -> None:
        """Have the members go on now: something has come for one of them."""
        self._news.set()

    def close(self) -> None:
        """End the thread."""
        self._is_closed.set()
        self._news.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._is_closed.is_set():
            self._news.clear()
            while self._new:
                self._new.popleft()()
            is_busy = sum(map(_stepped, self._members)) > 0
            self._members = [member for member in self._members if not member.is_settled]
            if not is_busy:
                self._wait()

    def _wait(self) -> None:
        """Wait for news, no longer than until the next look at what is read."""
        if any(member.is_reading for member in self._members):
            self._news.wait(_PAUSE)
        else:
            self._news.wait(_REST if self._members else None)


def _stepped(member: Member) -> bool:
    """Let a member go on; what it raises ends it alone."""
    try:
        return member.step()
    except Exception as error:  # noqa: BLE001 - a fault in one must not end what all others show
        why = f"{type(error).__name__}: {error}"
        member.abandon(f"this stream broke off: {why}")
        warnings.warn(f"a stream broke off: {why}", RuntimeWarning, stacklevel=2)
        return False
