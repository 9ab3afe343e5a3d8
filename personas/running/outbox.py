"""The outbox of a run: which of its files an agent has finished writing.

A file that was moved into place is finished. One that was closed is so a moment later, if it looks whole: a shell that
appends to a file closes it after each command. Any other is finished when it has not changed for a while, which is all
that is known of a file where changes are not told, or that was there before anybody was told of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...mail.clock import Clock
from ..keeping.inotify import CLOSED, MOVED
from .folder import RunFolder

STILL = 0.3  # seconds without a change after which any file counts as written
PAUSE = 0.1  # after which one does that was closed and looks whole
LARGEST = 8 << 20  # bytes of a mail
_FENCE = b"---"
_NO_FILE = -1, -1  # the state of a folder, link or pipe, of which sending says that it is no file


class _Draft(NamedTuple):
    """A file that may not be finished: its size and time, since when it is so, and the kind of its last event."""

    state: tuple[int, int]
    since: float
    kind: int = 0


class Outbox:
    """The files of one outbox, as far as they are known. `folder` is the run's."""

    def __init__(self, folder: RunFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._kinds: dict[str, int] = {}  # of events since the last look
        self._drafts: dict[str, _Draft] = {}

    def note(self, name: str, kind: int) -> None:
        """Take note of an event of a file."""
        if kind & (CLOSED | MOVED):
            self._kinds[name] = kind

    def finished(self, names: Sequence[str]) -> list[str]:
        """Return which of the files that are there are finished."""
        now, kinds = self._clock.monotonic(), self._kinds
        self._kinds = {}
        self._drafts = {name: self._looked_at(name, kinds.get(name, 0), now) for name in names}
        return [name for name, draft in self._drafts.items() if self._is_finished(name, draft, now)]

    def wait(self) -> float:
        """Return the seconds until the next file may be finished, infinity if there is none."""
        now = self._clock.monotonic()
        ends = [draft.since + wait for draft in self._drafts.values() for wait in self._waits(draft)]
        return min((end - now for end in ends if end > now), default=math.inf)

    def _looked_at(self, name: str, kind: int, now: float) -> _Draft:
        state, draft = self._folder.state("outbox", name) or _NO_FILE, self._drafts.get(name)
        if draft is None or draft.state != state or kind:
            return _Draft(state, now, kind)
        return draft

    def _waits(self, draft: _Draft) -> tuple[float, ...]:
        return (PAUSE, STILL) if draft.kind & CLOSED else (STILL,)

    def _is_finished(self, name: str, draft: _Draft, now: float) -> bool:
        still = now - draft.since
        return bool(still >= STILL or draft.kind & MOVED or (draft.kind and still >= PAUSE and self._is_whole(name)))

    def _is_whole(self, name: str) -> bool:
        """Tell whether a file has front matter with an end, and a text after it."""
        try:
            data = self._folder.read("outbox", name, LARGEST)
        except (OSError, ValueError):  # sending it says why
            return True
        first, *lines = [line.rstrip() for line in data.removeprefix(b"\xef\xbb\xbf").splitlines()] or [b""]
        return first == _FENCE and _FENCE in lines and any(lines[lines.index(_FENCE) + 1 :])
