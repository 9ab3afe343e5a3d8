"""What the engine tells while it works: one type for every listener.

Each package that has something to tell derives its own class from `Progress`, with the values that a face may want. A
listener that shows `text` alone shows everything.
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
