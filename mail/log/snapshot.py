"""One moment of the log, named so that every reader reads the same: which files, how far, up to which seq."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from .segments import Segment


class Snapshot(NamedTuple):
    """The log as of seq `head`: the sealed files, and the first `size` bytes of the active one.

    `hash` is the head's own: who goes on reading later can tell whether it is still the same log.
    """

    sealed: tuple[Segment, ...]
    active: Path
    inode: int
    size: int
    head: int
    hash: str


def continues(seen: Snapshot, now: Snapshot) -> bool:
    """Tell whether what was read then is still the beginning of what is there now.

    It is not after a repair, or when lines were read of an append that was taken back; an inode alone would not tell,
    for the system gives out its number again.
    """
    if not seen.size:
        return now.sealed[: len(seen.sealed)] == seen.sealed
    path = next((s.path for s in now.sealed if s.first <= seen.head <= s.last), now.active)
    end = f'"hash":"{seen.hash}"}}\n'.encode()
    try:
        with path.open("rb") as file:
            file.seek(max(0, seen.size - len(end)))
            return file.read(len(end)) == end
    except FileNotFoundError:
        return False


class Source(Protocol):
    """A log whose moments can be read as files."""

    def snapshot(self) -> Snapshot:
        """Name this moment."""
        ...
