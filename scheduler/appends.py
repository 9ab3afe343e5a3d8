"""How long the appends of the leading scheduler take, kept in `.team/work/appends` for whoever asks.

The log does not tell, and a look writes nothing. The file may be deleted; it counts for as long as its process lives.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..mail.log.disk import replace_file
from ..mail.process import alive, myself

_EVERY = 5.0  # seconds between two writes of the file


class Appended(NamedTuple):
    """How many appends there were since a process started, how many seconds they took, and the longest one."""

    number: int
    seconds: float
    longest: float


class AppendTimes:
    """Counts appends and their time; threads may share it. The file is written at most every so many seconds."""

    def __init__(self, home: Path, every: float = _EVERY) -> None:
        self._file, self._every = home / "work" / "appends", every
        self._turn, self._written = threading.Lock(), float("-inf")
        self._process, self._told = myself(), Appended(0, 0.0, 0.0)

    def add(self, seconds: float) -> None:
        """Count an append; a file that cannot be written hinders nothing."""
        with self._turn:
            number, total, longest = self._told
            self._told = Appended(number + 1, total + seconds, max(longest, seconds))
            if time.monotonic() - self._written >= self._every:
                self._written = time.monotonic()
                with suppress(OSError):
                    self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._file, json.dumps(self._told._asdict() | {"process": self._process}).encode())


def read_appended(home: Path) -> Appended | None:
    """Return what the scheduler that leads a team has counted; None if there is none."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        given = cast("dict[str, Any]", json.loads((home / "work" / "appends").read_text()))
        if alive(given["process"]):
            return Appended(int(given["number"]), float(given["seconds"]), float(given["longest"]))
    return None
