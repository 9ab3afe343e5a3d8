"""The offers as one process sees them: read from the log once, then kept current by whoever follows it.

The fold and its position belong together: an event that was told before the beginning was read is folded after it, in
the order of the log, and one that was read already is passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ...mail.clock import Clock
from ...mail.log.event import Event
from ...mail.mailbox import Mailbox
from ..state.fold import fact_of
from ..state.recent import fact_of_event
from .offers import KINDS, Offer, OfferFold

_LOOK = 0.5  # seconds for which it is taken to be known whether a process is there


class Board:
    """The runs that are handed out. Threads may share it; each `tell` wakes those that wait."""

    def __init__(self, mailbox: Mailbox, clock: Clock) -> None:
        self._mailbox, self._clock = mailbox, clock
        self._changed = threading.Condition()
        self._fold: OfferFold | None = None
        self._seq = 0
        self._told: list[Event] = []  # before the beginning was read
        self._present: dict[str, tuple[float, bool]] = {}

    def tell(self, event: Event) -> None:
        """Take note of the next event of the log."""
        if event.kind not in KINDS:
            return
        with self._changed:
            if self._fold is None:
                self._told.append(event)
            else:
                self._add(self._fold, event)
            self._changed.notify_all()

    def offer(self, run: str) -> Offer | None:
        """Return the offer of a run that has no end; None if there is none."""
        with self._changed:
            return self._begun().offers.get(run)

    def is_over(self, run: str) -> bool:
        """Tell whether a run that was handed out has ended."""
        with self._changed:
            return run in self._begun().over

    def offers(self) -> list[Offer]:
        """Return all offers, the oldest first."""
        with self._changed:
            return sorted(self._begun().offers.values(), key=lambda offer: offer.seq)

    def wait(self, seconds: float) -> None:
        """Wait until something was told, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def wake(self) -> None:
        """Let all return that wait; any thread may call it, and no signal handler."""
        with self._changed:
            self._changed.notify_all()

    def is_present(self, worker: Mapping[str, Any]) -> bool:
        """Tell whether the process of a worker is there, as of half a second ago at most."""
        name, now = str(sorted(worker.items())), self._clock.monotonic()
        with self._changed:
            looked, known = self._present.get(name, (float("-inf"), True))
        if now - looked >= _LOOK:
            known = self._mailbox.log.present(worker)
            with self._changed:
                self._present[name] = now, known
        return known

    def read(self) -> None:
        """Read on now: what this process has written is in the log before it is told of it."""
        with self._changed:
            fold = self._begun()
            for event in self._mailbox.log.read(self._seq):
                self._add(fold, event)

    def _begun(self) -> OfferFold:
        if self._fold is None:
            fold, self._seq = OfferFold(), self._mailbox.log.head().seq
            for row in self._mailbox.projections.rows("scheduler.state.offered"):
                fold.add(fact_of(row))
                self._seq = max(self._seq, row["seq"])
            for event in self._told:
                self._add(fold, event)
            self._fold, self._told = fold, []
        return self._fold

    def _add(self, fold: OfferFold, event: Event) -> None:
        if event.seq > self._seq:
            fold.add(fact_of_event(event))
            self._seq = event.seq
