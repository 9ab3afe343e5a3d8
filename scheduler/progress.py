"""Progress reports of the engine: one type for every listener.

Each package that reports something derives a class from `Progress`, with the values that a face may need. A listener
that shows only `text` misses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """Something that happened. `text` says it in one line, for people."""

    text: str


class Listener(Protocol):
    """Whoever is told of progress: any function of one `Progress`."""

    def __call__(self, progress: Progress, /) -> object:
        """Take note of it; what is returned is ignored."""
        ...


def silent(_: Progress) -> None:
    """Listen to nothing."""
