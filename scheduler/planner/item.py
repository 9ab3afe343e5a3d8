"""The values of a roadmap: its items and phases, and the overlaps between the files of items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Item:
    """One piece of planned work. `estimate` is in seconds, `phase` is the index of its phase.

    `files` are globs of the files that it changes, `creates` of those that it creates, `renames` pairs of old and new
    path; a folder means everything in it. A person does a `manual` item: it takes no agent and no worker. `when` is the
    condition without which it is skipped, in words.
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
    when: str = ""

    @cached_property
    def touched(self) -> frozenset[str]:
        """All globs and paths that it names."""
        return frozenset((*self.files, *self.creates, *(path for pair in self.renames for path in pair)))


@dataclass(frozen=True)
class Phase:
    """One phase of a roadmap. Unless phase barriers are off, its items start when the phase before it is done."""

    title: str
    note: str = ""


@dataclass(frozen=True)
class Roadmap:
    """Planned work: items in the order given, their phases, and the intended number of workers."""

    title: str
    phases: tuple[Phase, ...]
    items: tuple[Item, ...]
    workers: int | None = None
    phase_barriers: bool = True


@dataclass(frozen=True)
class Overlap:
    """Two items that may change the same files, `left` given before `right`; `files` are globs that both may change.

    `ordered` tells that they never run at once, because one depends on the other, directly or not, or a phase barrier
    is between them. Then the overlap is no conflict.
    """

    left: str
    right: str
    files: tuple[str, ...]
    ordered: bool = False
