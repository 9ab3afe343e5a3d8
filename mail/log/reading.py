"""Reading the log as of one moment, while other processes append and rotate."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from .disk import Disk, open_file
from .event import MAX_LINE, START, ChainPosition, Event, decode
from .segments import Segments
from .snapshot import Damage, Snapshot, continues, seen_of_active
from .tail import first_seq, newest_line

_DISK = Disk()
_HEAD = b'{"v":1,"seq":'
_DIGITS = 17  # of a seq, and the comma


def look(active: Path, segments: Segments) -> tuple[Snapshot, io.BufferedReader | None]:
    """Return the log's files as of now, and the active file, opened.

    The active file is opened before the segments are listed. If it is sealed in between, or copied to a new inode and
    then sealed, its first seq shows that: a segment that ends after it was sealed later and is left out.
    """
    try:
        file = open_file(active)
    except FileNotFoundError:
        sealed = tuple(segments)
        return Snapshot(sealed, active, 0, 0, sealed[-1].last if sealed else 0, ""), None
    try:
        return _looked_at(active, segments, file), file
    except BaseException:
        file.close()
        raise


def _looked_at(active: Path, segments: Segments, file: io.BufferedReader) -> Snapshot:
    status = os.fstat(file.fileno())
    newest, size = newest_line(_DISK, file.fileno(), status.st_size)
    first = first_seq(_DISK, file.fileno())
    sealed = tuple(s for s in segments if (s.last < first if first else s.path.stat().st_ino != status.st_ino))
    head = newest.seq or (sealed[-1].last if sealed else 0)
    return Snapshot(sealed, active, status.st_ino, size, head, newest.hash)


def head_of(active: Path, segments: Segments) -> ChainPosition:
    """Return the position of the last event that verifies; START if there is none."""
    for path in (active, *(segment.path for segment in reversed(list(segments)))):
        try:
            with open_file(path) as file:
                newest, end = newest_line(_DISK, file.fileno(), os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            continue
        if end:
            return newest
    return START


def last_event(active: Path) -> Event | None:
    """Read the last line of a file; None if it is not an event that verifies."""
    try:
        with open_file(active) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_LINE - 1))
            *_, line, rest = [b"", b"", *file.read().split(b"\n")]
    except FileNotFoundError:
        return None
    return decode(line) if not rest else None


def events_in(
    snapshot: Snapshot,
    file: io.BufferedReader | None,
    after: int,
    damage: list[Damage] | None,
    start: int = 0,
) -> Iterator[Event]:
    """Yield the events of a snapshot after seq `after`; `start` is the offset to begin at in the active file."""
    return (event for _, event in _records(snapshot, file, after, damage, start))


class Cursor:
    """A reader's position in a growing log; each event is yielded once."""

    def __init__(self, active: Path, segments: Segments, last: int) -> None:
        self._active = active
        self._segments = segments
        self._last = last
        self._seen: Snapshot | None = None
        self._recent: deque[Event] = deque(maxlen=1000)

    def news(self) -> Iterator[Event]:
        """Yield the events since the last call, or since the position given to the constructor."""
        snapshot, file = look(self._active, self._segments)
        seen, self._seen = self._seen, snapshot
        if seen and not continues(seen, snapshot):
            seen = None
            self._go_back()
        start = seen_of_active(seen, snapshot)
        for event in events_in(snapshot, file, self._last, None, start):
            self._last = event.seq
            self._recent.append(event)
            yield event

    def _go_back(self) -> None:
        """Return to the last event that still exists, after an append was undone or the log was repaired."""
        if self._recent:
            first = self._recent[0].seq
            snapshot, file = look(self._active, self._segments)
            standing = {event.hash for event in events_in(snapshot, file, first - 1, None)}
            while self._recent and self._recent[-1].hash not in standing:
                self._recent.pop()
            self._last = self._recent[-1].seq if self._recent else first - 1


def verified_copy(snapshot: Snapshot, file: io.BufferedReader | None, target: Path) -> Snapshot:
    """Write the lines of a snapshot that verify to one file, each event once: what to read of a damaged log."""
    with target.open("wb") as copy:
        copy.writelines(line for line, _ in _records(snapshot, file, 0, None, 0))
    status = target.stat()
    return Snapshot((), target, status.st_ino, status.st_size, snapshot.head, snapshot.hash)


def _records(
    snapshot: Snapshot, file: io.BufferedReader | None, after: int, damage: list[Damage] | None, start: int
) -> Iterator[tuple[bytes, Event]]:
    last = after
    missing: set[int] = set()
    for path, lines in _lines(snapshot, file, after, start):
        offset = start if path == snapshot.active else 0
        for line in lines:
            if after and damage is None and 0 < _seq_of(line) <= after:
                continue
            event = decode(line[:-1])
            if event is None or not line.endswith(b"\n"):
                if damage is not None:
                    damage.append(Damage(path, offset, last + 1, "the line does not verify"))
            elif event.seq > last or event.seq in missing:
                missing.discard(event.seq)
                missing.update(range(last + 1, min(event.seq, last + 1000)))
                last = max(last, event.seq)
                yield line, event
            elif event.seq > after and damage is not None:
                damage.append(Damage(path, offset, last + 1, f"event {event.seq} is repeated here"))
            offset += len(line)


def _seq_of(line: bytes) -> int:
    """Return the seq that a line begins with, without a look at the rest; 0 if it does not begin so."""
    head, _, _ = line[len(_HEAD) : len(_HEAD) + _DIGITS].partition(b",")
    return int(head) if line.startswith(_HEAD) and head.isdigit() else 0


def _lines(
    snapshot: Snapshot, file: io.BufferedReader | None, after: int, start: int
) -> Iterator[tuple[Path, Iterator[bytes]]]:
    with file or nullcontext():
        for segment in snapshot.sealed:
            if segment.last > after:
                with open_file(segment.path) as sealed:
                    yield segment.path, iter(sealed)
        if file is not None:
            file.seek(start)
            yield snapshot.active, _until(file, snapshot.size - start)


def _until(file: io.BufferedReader, size: int) -> Iterator[bytes]:
    for line in file:
        if size <= 0:
            return
        size -= len(line)
        yield line
