"""Wakes coroutines from threads: all who wait for the same thing by one call into their event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Signal:
    """Something that may change. The coroutines that wait for it share one event loop."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_pending = False

    def waiter(self) -> asyncio.Future[None]:
        """Return what is done with the next change from now on: get it, look, and only then wait for it."""
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.add(future)
        self._is_pending = False  # a loop may have ended before it woke anybody
        return future

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Wait no more."""
        self._waiters.discard(waiter)

    def tell(self) -> None:
        """Say that it has changed; any thread may."""
        if self._waiters and self._loop and not self._is_pending:
            self._is_pending = True
            with suppress(RuntimeError):  # the loop has ended, and who waited with it
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_pending = False
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
