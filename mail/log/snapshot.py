"""The log's files as of one moment: which files, how many bytes of the active one, up to which seq, what is damaged."""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple, Protocol

from .disk import open_file
from .segments import Segment

_MOST_MARKS = 256


class Damage(NamedTuple):
    """One place where the log does not verify. `seq` is the event expected there."""

    path: Path
    offset: int
    seq: int
    reason: str
    gap: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Return file, offset, seq and reason in one line."""
        return f"{self.path.name} byte {self.offset}, seq {self.seq}: {self.reason}"


class Snapshot(NamedTuple):
    """The log as of seq `head`: the sealed files, and the first `size` bytes of the active one.

    `hash` is that of the event `head`; a later reader can tell by it whether this is still the same log.
    """

    sealed: tuple[Segment, ...]
    active: Path
    inode: int
    size: int
    head: int
    hash: str


def continues(seen: Snapshot, now: Snapshot) -> bool:
    """Return whether an earlier snapshot is still the beginning of a later one.

    It is not after a repair, or if it included lines of an append that was undone. The inode alone does not show this,
    because the system reuses its number.
    """
    if not seen.size:
        return now.sealed[: len(seen.sealed)] == seen.sealed
    path = next((s.path for s in now.sealed if s.first <= seen.head <= s.last), now.active)
    end = _end_of(seen)
    try:
        with open_file(path) as file:
            file.seek(max(0, seen.size - len(end)))
            return file.read(len(end)) == end
    except FileNotFoundError:
        return False


def extends(seen: Snapshot, now: Snapshot) -> bool:
    """Return whether what was read of the log stands: no event was undone, and nothing was repaired."""
    return seen.active == now.active and continues(seen, now)


def has_moved(snapshot: Snapshot) -> bool:
    """Return whether the active file was rotated since the snapshot."""
    try:
        return snapshot.active.stat().st_ino != snapshot.inode
    except FileNotFoundError:
        return snapshot.inode != 0


def read_active(snapshot: Snapshot, start: int) -> bytes:
    """Return the lines of the active file from an offset on. Raises OSError."""
    with open_file(snapshot.active) as file:
        file.seek(start)
        return file.read(snapshot.size - start)


def seen_of_active(seen: Snapshot | None, now: Snapshot) -> int:
    """Return how many bytes of the active file an earlier snapshot has, of which `now` is a continuation.

    0 if its last event is in a sealed file by now. The inode would not show that, see `continues`.
    """
    sealed = now.sealed[-1].last if now.sealed else 0
    return seen.size if seen and seen.head > sealed else 0


class Marks:
    """Where in the active file readers of this process have been, so that the next one need not begin at its start.

    Readers follow at different distances behind the head: each takes the last mark before what it wants.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._seen: list[Snapshot] = []  # in the order of their heads

    def start(self, now: Snapshot, file: io.BufferedReader | None, after: int) -> int:
        """Return the offset in the active file from which the events after seq `after` are read; mark the end of it.

        `file` is the active file, opened.
        """
        if file is None:
            return 0
        with self._turn:
            at = bisect_right(self._seen, after, key=lambda seen: seen.head)
            seen = self._seen[at - 1] if at else None
            if seen and not _reaches(file, seen):
                self._seen.clear()
                seen = None
            if now.size and (not self._seen or now.head > self._seen[-1].head):
                self._seen.append(now)
                if len(self._seen) > _MOST_MARKS:
                    del self._seen[1::2]
        return seen_of_active(seen, now)


def _reaches(file: io.BufferedReader, seen: Snapshot) -> bool:
    """Tell whether the last event of an earlier snapshot still ends where it did, so that what is before is as it was.

    If the file was sealed meanwhile it does not, but for another file that has the same event at the same place.
    """
    end = _end_of(seen)
    return os.pread(file.fileno(), len(end), max(0, seen.size - len(end))) == end


def _end_of(seen: Snapshot) -> bytes:
    return f'"hash":"{seen.hash}"}}\n'.encode()


class Source(Protocol):
    """A log whose files a database can read."""

    def snapshot(self) -> Snapshot:
        """Return the log's files as of now; of a log that is known to be damaged, a copy of what verifies."""
        ...

    def damage(self) -> list[str]:
        """Check the log and say where it is damaged; that is known from then on."""
        ...
