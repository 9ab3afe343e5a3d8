"""The state that a tick works with, kept current: read from the log once, then by folding what this process appends.

The log is read again only if others wrote to it: people, agents, another process. Its head shows that: if this process
appended every event since the last reading, folding them gives the same state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...mail.log.event import Event
from ...mail.log.log import Log
from ...mail.query.rows import Projections
from ..kinds import Kind
from .facts import Fact, Mail, Run
from .fold import Fold
from .reading import read_facts, read_refused, read_unread
from .sprints import State


class RecentState:
    """State since the last sprint began. `append` and `read` may be called from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._under_way = set[object]()  # appends whose events are not remembered yet
        self._fold: Fold | None = None
        self._unread: dict[str, tuple[Mail, ...]] = {}
        self._refused: tuple[Run, ...] = ()
        self._head = 0
        self._appended: dict[int, Event] = {}

    def append(self, append: Callable[[], list[Event]]) -> list[Event]:
        """Let events be appended to the log, and remember them. Appends of several threads share a flush of the disk.

        Nobody reads before they are remembered: they would be taken for those of others, and all be read again.
        """
        own, events = object(), list[Event]()
        with self._turn:
            self._under_way.add(own)
        try:
            events = append()
        finally:
            with self._turn:
                self._under_way.discard(own)
                if self._fold is not None:
                    self._appended |= {event.seq: event for event in events if event.seq > self._head}
                self._turn.notify_all()
        return events

    def read(self, projections: Projections, log: Log, roster: Sequence[str], now: str) -> State:
        """Return the state as of `now`, a timestamp; `roster` are the personas whose unread mail counts."""
        with self._turn:
            head = self._remembered(log)
            fold = self._fold_appended(projections, roster, head)
            if fold is None:
                fold = self._read(projections, roster, head, now)
                if log.head().seq != head:
                    self._fold = None  # of the events appended meanwhile, some were read and some not
            return replace(fold.state(), unread=self._unread, refused=self._refused)

    def _remembered(self, log: Log) -> int:
        """Return the seq of the log's head, once all that this process has appended up to there is remembered."""
        head, before = log.head().seq, {*self._under_way}
        self._turn.wait_for(lambda: before.isdisjoint(self._under_way))
        return max(head, self._head)

    def _fold_appended(self, projections: Projections, roster: Sequence[str], head: int) -> Fold | None:
        """Fold the events since the last reading; None if others wrote some, or one starts a sprint."""
        if self._fold is None or head < self._head:
            return None
        events = [self._appended.pop(seq, None) for seq in range(self._head + 1, head + 1)]
        own = [event for event in events if event is not None and event.kind != Kind.SPRINT_STARTED]
        if len(own) < len(events):
            return None
        for event in own:
            if not isinstance(event.data.get("dispatch"), str):  # what dispatches do is none of the sprints' state
                self._fold.add(fact_of_event(event))
        if any(_concerns(event, roster) for event in own):
            self._unread = read_unread(projections, roster)
        self._head = head
        return self._fold

    def _read(self, projections: Projections, roster: Sequence[str], head: int, now: str) -> Fold:
        self._fold = fold = Fold()
        self._head = head
        self._appended.clear()
        for fact in read_facts(projections):
            fold.add(fact)
        self._unread = read_unread(projections, roster)
        self._refused = read_refused(projections, now)
        return fold


def fact_of_event(event: Event) -> Fact:
    """Return what the fold needs of an event."""
    return Fact(event.seq, event.ts, event.kind, event.sender, event.ref, event.run, event.data, event.hash)


def _concerns(event: Event, roster: Sequence[str]) -> bool:
    """Tell whether an event may change what is unread for a persona of the roster."""
    return event.kind.startswith("mail.") and not {event.sender, *event.recipients}.isdisjoint(roster)
