"""How many runs of all asks go on at once: one pool of threads, of which each ask has a share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Value = TypeVar("Value")


class Slots:
    """So many slots; who comes first is first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="ask")

    def share(self, most: int) -> Executor:
        """Return an executor that works in these slots, and whose end waits for its own work alone."""
        del most  # the slots are the bound
        return _Share(self._pool)

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False)


class _Share(Executor):
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._own: set[Future[Any]] = set()

    def submit(
        self, fn: Callable[Given, Value], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Value]:  # pragma: no branch
        future = self._pool.submit(fn, *args, **kwargs)
        self._own.add(future)
        future.add_done_callback(self._own.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del cancel_futures
        if wait:
            _wait([*self._own])


_wait = wait
