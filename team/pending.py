"""The output of a dispatch that was started within a running event loop and has not ended yet."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import fields
from typing import Any

from ..scheduler.dispatch.output import DispatchOutput

_FIELDS = frozenset(field.name for field in fields(DispatchOutput))


class PendingOutput(DispatchOutput):
    """A `DispatchOutput` to be awaited, while a thread carries out the dispatch.

    Awaiting it does not block the event loop and raises what the dispatch raised. If the awaiting coroutine is
    cancelled, as by Ctrl-C in `asyncio.run`, the runs are ended before the cancellation goes on. Code that reads a
    value without awaiting the output, as in a notebook, blocks until the end of the dispatch.
    """

    _future: Future[DispatchOutput]
    _end: Callable[[], object]

    def __init__(self, future: Future[DispatchOutput], end: Callable[[], object]) -> None:
        object.__setattr__(self, "_future", future)
        object.__setattr__(self, "_end", end)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)  # `asyncio.gather` hashes what it is given, and the values are not there yet

    def __getattr__(self, name: str) -> Any:
        """Return a value of the finished output; called only for what has not been read before."""
        if name not in _FIELDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self).update(vars(self._future.result()))
        return vars(self)[name]

    def __await__(self) -> Generator[Any, None, DispatchOutput]:
        """Wait for the end of the dispatch; return its output."""
        return self._finished().__await__()

    async def _finished(self) -> DispatchOutput:
        import asyncio  # loaded already by a program that awaits; commands do without it

        waiting = asyncio.wrap_future(self._future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self._end()
            await asyncio.wait([waiting])
            raise


def carried_out(work: Callable[[], DispatchOutput], end: Callable[[], object]) -> DispatchOutput:
    """Carry out a dispatch; within a running event loop, in a thread. `end` ends it early, from any thread."""
    if not _within_event_loop():
        return work()
    future = Future[DispatchOutput]()
    future.set_running_or_notify_cancel()
    context = copy_context()
    threading.Thread(target=lambda: context.run(_fulfil, future, work), name="dispatch").start()
    return PendingOutput(future, end)


def _fulfil(future: Future[DispatchOutput], work: Callable[[], DispatchOutput]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised where the output is awaited
        future.set_exception(error)


def _within_event_loop() -> bool:
    """Tell whether this thread runs an event loop of asyncio; asyncio is not loaded for that."""
    if (asyncio := sys.modules.get("asyncio")) is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
