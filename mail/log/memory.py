"""The shipped fake: a log in memory with the same rules, order and chain as the file, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from ..clock import Clock, SystemClock, rfc3339
from ..kinds import LogKind
from ..process import OnOneHost
from .event import START, SYSTEM, ChainPosition, Draft, Event, decode, in_session, serialise
from .verify import Damage


class MemoryLog(OnOneHost):
    """A log that lives as long as the object. Threads may share it."""

    def __init__(self, *, clock: Clock | None = None, session: str | None = None) -> None:
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._ids: dict[str, Event] = {}
        self._head = START
        self.session: str | None = None
        self.append([Draft(LogKind.OPENED, SYSTEM, data={"format": 1})])
        self.session = session

    def append(self, drafts: Sequence[Draft], repeats: list[Event] | None = None) -> list[Event]:
        """Append drafts in order. Raises InvalidEvent.

        A draft whose id the log already has is not written again; its event is added to `repeats`.
        """
        stamp = rfc3339(self._clock.now())
        unsealed = [serialise(draft, stamp) for draft in in_session(drafts, self.session)]
        with self._changed:
            if repeats is not None:
                repeats += [self._ids[item.id] for item in unsealed if item.id in self._ids]
            for item in unsealed:
                if item.id not in self._ids:
                    line, self._head = item.seal(self._head)
                    self._lines.append(line)
                    self._ids[item.id] = item.event(self._head)
            self._changed.notify_all()
            return [self._ids[item.id] for item in unsealed]

    def read(self, after: int = 0, damage: list[Damage] | None = None) -> Iterator[Event]:
        """Yield the events after seq `after`. Memory is never damaged, so `damage` stays unchanged."""
        del damage
        for line in self._lines[after:]:
            event = decode(line[:-1])
            if event is not None:
                yield event

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Yield new events as they arrive, from now or after seq `after`, until `stop` is set."""
        return self._follow(len(self._lines) if after is None else after, stop)

    def head(self) -> ChainPosition:
        """Return the position of the last event."""
        return self._head

    def _follow(self, last: int, stop: threading.Event | None) -> Iterator[Event]:
        while stop is None or not stop.is_set():
            for event in self.read(last):
                yield event
                last = event.seq
            with self._changed:
                if len(self._lines) == last:
                    self._changed.wait(timeout=0.1)
