"""The earlier turns of conversations. Each belongs to whoever asked, in a session or none, and to a persona."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from .wanted import Turn

_MOST_THREADS = 500
_MOST_TURNS = 20
_MOST_TEXT = 20_000  # characters of a conversation; older turns go first


class Turns:
    """Conversations in memory, the least recent of which are forgotten. Threads share it."""

    def __init__(self) -> None:
        self._turns: OrderedDict[tuple[str, str, str], list[Turn]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, owner: str, session: str) -> Mapping[str, Sequence[Turn]]:
        """Return the turns of an asker in a session, by persona."""
        with self._lock:
            return {key[2]: [*turns] for key, turns in self._turns.items() if key[:2] == (owner, session)}

    def add(self, owner: str, session: str, persona: str, turn: Turn) -> None:
        """Add a turn to the conversation with a persona."""
        key = (owner, session, persona)
        with self._lock:
            turns = self._turns.setdefault(key, [])
            self._turns.move_to_end(key)
            turns.append((turn[0][:_MOST_TEXT], turn[1][:_MOST_TEXT]))
            while len(turns) > _MOST_TURNS or (len(turns) > 1 and sum(len(a) + len(b) for a, b in turns) > _MOST_TEXT):
                turns.pop(0)
            while len(self._turns) > _MOST_THREADS:
                self._turns.popitem(last=False)
