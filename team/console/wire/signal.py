"""Wakes coroutines from threads: all who wait for the same thing by one call into their event loop.

The more wait, the more time there is between two wakes: each costs the same for whoever wakes, however little there is
to be told, so that a crowd is told more at once instead of taking all the time there is.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

_EACH = 0.00025  # seconds for each that was woken until the next wake: 50 ms for two hundred


class Signal:
    """Something that may change. The coroutines that wait for it share one event loop."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_pending = False
        self._next = 0.0  # the time of the loop before which nobody is woken again

    def waiter(self) -> asyncio.Future[None]:
        """Return what is done with the next change from now on: get it, look, and only then wait for it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one before may have ended before it woke anybody
            self._loop, self._is_pending, self._next = loop, False, 0.0
        future: asyncio.Future[None] = loop.create_future()
        self._waiters.add(future)
        return future

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Wait no more."""
        self._waiters.discard(waiter)

    def tell(self) -> None:
        """Say that it has changed; any thread may."""
        if self._waiters and self._loop and not self._is_pending:
            self._is_pending = True
            with suppress(RuntimeError):  # the loop has ended, and who waited with it
                self._loop.call_soon_threadsafe(self._wake, self._loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.time() < self._next:
            loop.call_at(self._next, self._wake, loop)
            return
        self._is_pending = False
        waiters, self._waiters = self._waiters, set()
        self._next = loop.time() + _EACH * len(waiters)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
