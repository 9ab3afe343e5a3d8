"""One moment of the log, named so that every reader reads the same: which files, how far, up to which seq."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from .segments import Segment


class Snapshot(NamedTuple):
    """The log as of seq `head`: the sealed files, and the first `size` bytes of the active one."""

    sealed: tuple[Segment, ...]
    active: Path
    inode: int
    size: int
    head: int


class Source(Protocol):
    """A log whose moments can be read as files."""

    def snapshot(self) -> Snapshot:
        """Name this moment."""
        ...
