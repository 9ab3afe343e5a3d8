"""The nouns of a plan of work, frozen: what is to be done, in which phase, and who would touch the same files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Item:
    """One piece of planned work. `estimate` is in seconds, `phase` the index of its phase in the roadmap.

    `files` are globs of what it changes, `creates` of what it makes new, `renames` are pairs of old and new path; a
    folder stands for all that lies in it. A `manual` one is done by a person: no agent runs, no worker is taken.
    """

    id: str
    title: str
    phase: int
    estimate: float
    persona: str = ""
    files: tuple[str, ...] = ()
    creates: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    dependencies: tuple[str, ...] = ()
    manual: bool = False
    priority: int = 0
    description: str = ""

    @cached_property
    def touched(self) -> frozenset[str]:
        """All that it names, whatever it does with it."""
        return frozenset((*self.files, *self.creates, *(path for pair in self.renames for path in pair)))


@dataclass(frozen=True)
class Phase:
    """One phase of a roadmap. Its items start when those of the phase before it are done, unless walls are off."""

    title: str
    note: str = ""


@dataclass(frozen=True)
class Roadmap:
    """Planned work: items in the order given, and the phases that they stand in. `workers` is as many as are meant."""

    title: str
    phases: tuple[Phase, ...]
    items: tuple[Item, ...]
    workers: int | None = None
    phase_barriers: bool = True


@dataclass(frozen=True)
class Overlap:
    """Two items that would touch the same files, `one` given before `other`; `files` are globs both may touch.

    `ordered` says that one depends on the other, also by way of others, or lies in a later phase behind a wall: then
    they never run at once, and it is no conflict.
    """

    one: str
    other: str
    files: tuple[str, ...]
    ordered: bool = False
