"""The log's files as of one moment: which files, how many bytes of the active one, up to which seq, what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from .disk import open_file
from .segments import Segment


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
    end = f'"hash":"{seen.hash}"}}\n'.encode()
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


class Source(Protocol):
    """A log whose files a database can read."""

    def snapshot(self) -> Snapshot:
        """Return the log's files as of now; of a log that is known to be damaged, a copy of what verifies."""
        ...

    def damage(self) -> list[str]:
        """Check the log and say where it is damaged; that is known from then on."""
        ...
