"""The shipped fake: a log in memory, with the same rules, order and chain as the file, for your own tests."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..clock import Clock, SystemClock, rfc3339
from .event import START, Draft, Event, decode, serialise
from .snapshot import Snapshot
from .verify import Damage


class MemoryLog:
    """A log that lives as long as the object. Threads may share it."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._ids: dict[str, Event] = {}
        self._place = START
        self._folder = tempfile.mkdtemp(prefix="team-mail-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._written = 0
        self.append([Draft("log.opened", "team-mail", data={"format": 1})])

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Write the drafts in order; a draft whose id is known is not written again. Raises InvalidEvent."""
        stamp = rfc3339(self._clock.now())
        unsealed = [serialise(draft, stamp) for draft in drafts]
        with self._changed:
            for item in unsealed:
                if item.id not in self._ids:
                    line, self._place = item.seal(self._place)
                    self._lines.append(line)
                    self._ids[item.id] = item.event(self._place)
            self._changed.notify_all()
            return [self._ids[item.id] for item in unsealed]

    def read(self, after: int = 0, damage: list[Damage] | None = None) -> Iterator[Event]:
        """Go through the events behind seq `after`. Nothing damages memory, so `damage` stays as it is."""
        del damage
        for line in self._lines[after:]:
            event = decode(line[:-1])
            if event is not None:
                yield event

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Go on through the events as they come, from now or behind seq `after`, until `stop` is set."""
        return self._follow(len(self._lines) if after is None else after, stop)

    def _follow(self, last: int, stop: threading.Event | None) -> Iterator[Event]:
        while stop is None or not stop.is_set():
            for event in self.read(last):
                yield event
                last = event.seq
            with self._changed:
                if len(self._lines) == last:
                    self._changed.wait(timeout=0.1)

    def snapshot(self) -> Snapshot:
        """Put this moment into a file of its own folder, for readers of files."""
        path = Path(self._folder, "events.jsonl")
        with self._changed:
            with path.open("ab") as file:
                file.writelines(self._lines[self._written :])
            self._written = len(self._lines)
            status = path.stat()
            return Snapshot((), path, status.st_ino, status.st_size, self._written, self._place.hash)
