"""The frames of one stream, kept once for all who watch it: on disk, so that a long output takes no memory.

One thread adds, any number read. Who does not read costs nothing.
"""

from __future__ import annotations

import os
import tempfile
import threading
from array import array
from enum import IntEnum

from .frames import MOST_BATCH


class Audience(IntEnum):
    """For whom a frame is: all, those who asked for more than the documented events, or for tool calls besides."""

    ALL = 0
    TEAM = 1
    TOOLS = 2


class Spool:
    """Frames by their position from 0 on. A frame is there for readers once `add` has returned."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="team-console-", buffering=0)  # noqa: SIM115 - closed by close()
        self._ends = array("Q", [0])
        self._audiences = array("B")
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._audiences)

    def add(self, data: bytes, audience: Audience = Audience.ALL) -> None:
        """Add a frame. Raises OSError where there is no room."""
        if not self._is_open:
            return
        start, rest = self._ends[-1], memoryview(data)
        while rest:
            rest = rest[os.pwrite(self._file.fileno(), rest, start + len(data) - len(rest)) :]
        with self._lock:
            self._audiences.append(audience)
            self._ends.append(start + len(data))

    def read(self, at: int, audience: Audience = Audience.ALL, most: int = MOST_BATCH) -> tuple[bytes, int]:
        """Return the frames from a position on that are for an audience, about `most` bytes, and where to go on.

        There is always one frame if there is any that has not been read.
        """
        with self._lock:
            there = len(self._audiences)
            if at >= there or at < 0:
                return b"", max(at, 0)
            start, end = self._ends[at], at + 1
            while end < there and self._ends[end + 1] - start <= most:
                end += 1
            ends, audiences = self._ends[at : end + 1], self._audiences[at:end]
        if not self._is_open:
            return b"", end
        data = os.pread(self._file.fileno(), ends[-1] - start, start)
        if max(audiences) > audience:
            spans = zip(ends, ends[1:], audiences, strict=False)
            data = b"".join(data[a - start : b - start] for a, b, whose in spans if whose <= audience)
        return data, end

    @property
    def _is_open(self) -> bool:
        return not self._file.closed

    def close(self) -> None:
        """Let go of the frames."""
        self._file.close()
