"""Foretells conflicts: a thread beside the open runs of a process that looks where they are and tells those that meet.

What that costs is bounded by rest: after each round it rests many times as long as the round took a processor. Nothing
else depends on it: what it cannot read, it leaves for later.
"""

from __future__ import annotations

import resource
import threading
import time
from contextlib import suppress

from ...mail.clock import SystemClock
from ...mail.errors import TeamMailError
from ...mail.log.event import Event
from ..context import Context
from ..kinds import Kind
from .looker import EFFORT, Looker, OpenRun

PAUSE = 3.0  # seconds between two rounds, at least
_PATIENCE = 30.0  # seconds for the end of a round


class Foreteller:
    """Foretells the conflicts of the open runs of one process. Its methods may be called from any thread."""

    def __init__(self, context: Context) -> None:
        self._context, self._pause = context, PAUSE
        self._clock = SystemClock()
        self._turn = threading.Lock()
        self._open: dict[str, OpenRun] = {}
        self._stop, self._landed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, run: OpenRun) -> None:
        """Look at a run from now on."""
        with self._turn:
            self._open[run.run] = run
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._serve, name="foretell", daemon=True)
                self._thread.start()

    def end(self, run: str) -> None:
        """Look at a run no more."""
        with self._turn:
            self._open.pop(run, None)

    def on_event(self, event: Event) -> None:
        """Take note that something has landed."""
        if event.kind == Kind.PATCH_LANDED:
            self._landed.set()

    def close(self) -> None:
        """Look at nothing any more; when this returns, nothing more is told."""
        with self._turn:
            self._stop.set()
        if self._thread:
            self._thread.join(_PATIENCE)

    def _is_open(self, run: str) -> bool:
        with self._turn:
            return run in self._open

    def _serve(self) -> None:
        rest = self._pause
        while not self._clock.wait(self._stop, rest):
            with suppress(TeamMailError, OSError), Looker(self._context, self._clock, self._stop.is_set) as looker:
                rest = self._rounds(looker)

    def _rounds(self, looker: Looker) -> float:
        """Look again and again until that is over, or it is time to begin anew; return how long to rest before."""
        while True:
            began = _effort()
            with self._turn:
                runs = [*self._open.values()]
            moved = self._landed.is_set()
            self._landed.clear()
            try:
                looker.round(runs, moved=moved, is_open=self._is_open)
            except (
                TeamMailError,
                OSError,
                ValueError,
                LookupError,
            ):  # what cannot be told now is told by the next round
                self._landed.set()
            rest = max(self._pause, EFFORT * (_effort() - began))
            if looker.is_full or self._clock.wait(self._stop, rest):
                return rest


def _effort() -> float:
    """Return the seconds of processor time that this thread has used, and all children that were waited for.

    Children of other threads count too, so it rests too long rather than too little.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + children.ru_utime + children.ru_stime
