"""Waking up when a folder changes: by the system's file watching where there is one, else by looking now and then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from ..clock import Clock

_DEBOUNCE_MS = 20
_LOOK_ANYWAY_MS = 500  # a lost notification, or one before the watch began, delays mail by no more
_POLL_SECONDS = 0.2


def changes(folder: Path, stop: threading.Event | None, clock: Clock) -> Iterator[None]:
    """Yield at once, then whenever something in the folder may have changed, until `stop` is set."""
    stop = stop or threading.Event()
    yield
    try:
        yield from _watched(folder, stop)
    except (ImportError, OSError, RuntimeError):  # no such library here, or no watches left in the system
        while not stop.is_set():
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
