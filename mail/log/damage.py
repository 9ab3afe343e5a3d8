"""A place where the log does not verify. Readers import this and not `verify`, which takes longer to load."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


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
