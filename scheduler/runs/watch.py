"""Looking at the log while runs go on: a person stops one of them, or one writes more mail than it may."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from ...mail.log.event import Event
from ...personas.agent import Outcome
from ..context import Context


class Watch:
    """One thread that follows the log for the runs of a batch, held as a context manager."""

    def __init__(self, context: Context, stop: threading.Event) -> None:
        self._most = context.settings.sprint.max_mails
        self._stop = stop
        self._done = threading.Event()
        self._stops: dict[str, threading.Event] = {}
        self._flooded: set[str] = set()
        self._mails: Counter[str] = Counter()
        self._turn = threading.Lock()
        self._events = context.mailbox.log.follow(stop=self._done)
        self._thread = threading.Thread(target=self._follow, args=(self._events,), name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()

    def stop_of(self, run: str) -> threading.Event:
        """Return the event that ends a run; it is set when the whole batch is to end, too."""
        with self._turn:
            stop = self._stops.setdefault(run, threading.Event())
        if self._stop.is_set():
            stop.set()
        return stop

    def judged(self, run: str, outcome: Outcome) -> Outcome:
        """Return the outcome of a run, named for its quota where that is why it was stopped."""
        if run in self._flooded and outcome.status == "stopped":
            return replace(outcome, status="quota", detail=f"more than {self._most} mails in one run (max_mails)")
        return outcome

    def end(self) -> None:
        """End all runs of the batch."""
        self._stop.set()
        with self._turn:
            for stop in self._stops.values():
                stop.set()

    def _follow(self, events: Iterator[Event]) -> None:
        for event in events:
            if event.kind == "run.stopped" and event.ref:
                self.stop_of(event.ref).set()
            elif event.kind == "mail.sent" and event.run in self._stops:
                self._count(str(event.run))

    def _count(self, run: str) -> None:
        self._mails[run] += 1
        if self._most and self._mails[run] > self._most:
            self._flooded.add(run)
            self._stops[run].set()
