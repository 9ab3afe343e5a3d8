"""Reads the fold of claims from the log: what is older by a projection, and then what is new by reading on."""

from __future__ import annotations

import threading

from ...mail.log.log import Log
from ...mail.query.rows import Projections
from ..state.fold import fact_of
from ..state.recent import fact_of_event
from .fold import ClaimFold


class ClaimReader:
    """A fold that is kept current. Threads may share it; what they are given may grow while they look at it."""

    def __init__(self, log: Log, projections: Projections) -> None:
        self._log, self._projections = log, projections
        self._turn = threading.Lock()
        self._fold: ClaimFold | None = None
        self._seq = 0

    def read(self) -> ClaimFold:
        """Return the fold as of now. Raises LogUnavailable, LogDamaged."""
        with self._turn:
            if self._fold is None:
                self._fold = ClaimFold()
                for row in self._projections.rows("scheduler.state.claims"):
                    self._fold.add(fact_of(row))
                    self._seq = row["seq"]
            for event in self._log.read(self._seq):
                self._fold.add(fact_of_event(event))
                self._seq = event.seq
            return self._fold
