"""Waiting for changes of a folder: by the system's file notifications where available, else by polling."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..clock import Clock

_DEBOUNCE_MS = 50  # of which half is slept at a time, which is what waiting costs
_LOOK_ANYWAY_MS = 500  # the longest delay after a lost notification, or one before the watch began
_POLL_SECONDS = 0.2


def changes(folder: Path, stop: threading.Event | None, clock: Clock) -> Iterator[None]:
    """Yield at once, then whenever the folder may have changed, until `stop` is set."""
    stop = stop or threading.Event()
    yield
    while not stop.is_set():
        # The library is missing, the system has no watches left, or the folder is not there yet.
        with suppress(ImportError, OSError, RuntimeError):
            yield from _watched(folder, stop)
            return
        clock.sleep(_POLL_SECONDS)
        yield


def _watched(folder: Path, stop: threading.Event) -> Iterator[None]:
    from watchfiles import watch

    for _ in watch(
        folder,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_DEBOUNCE_MS // 2,
        rust_timeout=_LOOK_ANYWAY_MS,
        yield_on_timeout=True,
        stop_event=stop,
        recursive=False,
    ):
        yield
