"""Progress reports of the engine: one type for every listener.

Each package that reports something derives a class from `Progress`, with the values that a face may need. A listener
that shows only `text` misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Something that happened. `text` says it in one line, for people."""

    text: str


Listener = Callable[[Progress], object]


def silent(_: Progress) -> None:
    """Listen to nothing."""
