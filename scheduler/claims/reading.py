"""Reads the fold of claims from the log: what is older by a projection, and then what is new by reading on."""

from __future__ import annotations

import threading

from ...mail.log.event import START
from ...mail.log.log import Log
from ...mail.query.rows import Projections
from ..kinds import Kind
from ..state.fold import fact_of
from ..state.recent import fact_of_event
from .fold import ClaimFold

_BEGINNINGS = ('"kind":"claim.', f'"kind":"{Kind.TASK_OPENED}"')  # without which other events mean nothing here


class ClaimReader:
    """A fold that is kept current. Threads may share it; what they are given stays as it is.

    Each event has to follow the one before it in the chain. One that does not shows that a line was seen which is gone
    since, because its writing was undone: then all is read anew.
    """

    def __init__(self, log: Log, projections: Projections) -> None:
        self._log, self._projections = log, projections
        self._turn = threading.Lock()
        self._fold: ClaimFold | None = None
        self._given = ClaimFold()  # a copy of it
        self._seq, self._hash = 0, ""

    def read(self) -> ClaimFold:
        """Return the fold as of now. Raises LogUnavailable, LogDamaged."""
        with self._turn:
            if self._fold is None or not self._read_on(self._fold):
                self._fold = self._begin()
                self._read_on(self._fold)
            return self._given

    def _begin(self) -> ClaimFold:
        fold, head = ClaimFold(), self._log.head()
        self._seq, self._hash = head.seq, head.hash
        for row in () if self._projections.lacks(*_BEGINNINGS) else self._projections.rows("scheduler.state.claims"):
            fold.add(fact_of(row))
            if row["seq"] > self._seq:
                self._seq, self._hash = row["seq"], row["hash"]
        self._given = fold.copy()
        return fold

    def _read_on(self, fold: ClaimFold) -> bool:
        """Fold what is new; return whether it follows on what was read before."""
        before = self._seq
        for event in self._log.read(self._seq):
            if self._hash not in {event.prev, START.hash}:
                return False
            fold.add(fact_of_event(event))
            self._seq, self._hash = event.seq, event.hash
        if self._seq != before:
            self._given = fold.copy()
        return True
