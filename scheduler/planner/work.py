"""The agents' part of a roadmap, ready to be scheduled: what takes a worker, how long, and behind what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from . import schedule as scheduling
from .item import Item, Roadmap
from .schedule import Pair, Schedule

_MINUTE, _HOUR = 60, 3_600


@dataclass(frozen=True)
class Work:
    """Items that agents do, those of higher priority first, and what each one waits for among them."""

    items: tuple[Item, ...]
    after: Mapping[str, Sequence[str]]

    @cached_property
    def durations(self) -> dict[str, float]:
        """How long each item takes, in seconds, in order of preference."""
        return {item.id: item.estimate for item in self.items}

    @property
    def total(self) -> float:
        """How long one worker has to do with all of it."""
        return sum(self.durations.values(), 0.0)

    @property
    def sound(self) -> bool:
        """Whether no items wait for each other."""
        try:
            return bool(self.critical_path) or not self.items
        except ValueError:
            return False

    def behind(self, edges: Iterable[Pair]) -> Work:
        """Return the same work with more order: the second item of each pair waits for the first."""
        after = {task: [*waits] for task, waits in self.after.items()}
        for first, second in edges:
            after.setdefault(second, []).append(first)
        return Work(self.items, after)

    def schedule(
        self, workers: int, apart: Iterable[Pair] = (), goal: float = 0.0, plays: int | None = None
    ) -> Schedule:
        """Schedule it, as `schedule.schedule` does."""
        return scheduling.schedule(self.durations, self.after, workers, apart, goal=goal, plays=plays)

    def curve(self, most: int) -> tuple[Schedule, ...]:
        """Schedule it on 1, 2 … `most` workers, as `schedule.curve` does."""
        return scheduling.curve(self.durations, self.after, most)

    @cached_property
    def critical_path(self) -> tuple[str, ...]:
        """The longest chain, from first to last."""
        return scheduling.critical_path(self.durations, self.after)

    @property
    def longest(self) -> float:
        """How long the longest chain takes."""
        return sum((self.durations[task] for task in self.critical_path), 0.0)

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Group the items so that each one waits only for items of waves before its own."""
        level: dict[str, int] = {}
        graph = {
            task: [other for other in self.after.get(task, ()) if other in self.durations] for task in self.durations
        }
        for task in TopologicalSorter(graph).static_order():
            level[task] = max((level[other] + 1 for other in graph[task]), default=0)
        return tuple(
            tuple(task for task in self.durations if level[task] == number)
            for number in range(max(level.values(), default=-1) + 1)
        )


def work_of(roadmap: Roadmap, phase: int | None = None) -> Work:
    """Take the agents' work of one phase of a roadmap, or all of it.

    What waits for a person's work waits for what that waits for: the person is taken to be in time.
    """
    after = _agents_before(roadmap)
    items = [item for item in roadmap.items if not item.manual and phase in {None, item.phase}]
    items.sort(key=lambda item: -item.priority)
    return Work(tuple(items), {item.id: after[item.id] for item in items})


def _agents_before(roadmap: Roadmap) -> dict[str, list[str]]:
    """For each item, the agents' items nearest before it; those of people are passed through."""
    by_id = {item.id: item for item in roadmap.items}
    graph = {item.id: [other for other in item.dependencies if other in by_id] for item in roadmap.items}
    found: dict[str, list[str]] = {}
    for task in TopologicalSorter(graph).static_order():
        nearest = ([other] if not by_id[other].manual else found[other] for other in graph[task])
        found[task] = list(dict.fromkeys(before for some in nearest for before in some))
    return found


def span(seconds: float) -> str:
    """Write a length of work for people: `3 h`, `1 h 30 min`, `45 min`, `12.5 s`."""
    if seconds < _MINUTE:
        return f"{seconds:.3g} s" if seconds else "0"
    whole = round(seconds)
    if whole < _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    hours, minutes = divmod(round(seconds / _MINUTE), _MINUTE)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def named(tasks: Collection[str], most: int = 4) -> str:
    """List names for a sentence: `a, b and c`; of many the first few and how many more there are."""
    shown = [*tasks][:most] if len(tasks) > most else [*tasks]
    if len(tasks) > most:
        return f"{', '.join(shown)} and {len(tasks) - most} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
