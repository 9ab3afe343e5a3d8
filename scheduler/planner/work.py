"""The agents' part of a roadmap, ready to be scheduled: items with their durations and dependencies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from ...mail.text.units import and_more
from . import schedule as scheduling
from .item import Item, Roadmap
from .schedule import Pair, Schedule


@dataclass(frozen=True)
class Work:
    """Items for agents, by descending priority, and the items that each one waits for."""

    items: tuple[Item, ...]
    after: Mapping[str, Sequence[str]]

    @cached_property
    def durations(self) -> dict[str, float]:
        """The duration of each item in seconds, in order of priority."""
        return {item.id: item.estimate for item in self.items}

    @property
    def total(self) -> float:
        """The duration on one worker, in seconds."""
        return sum(self.durations.values(), 0.0)

    @property
    def sound(self) -> bool:
        """Whether the dependencies are acyclic."""
        try:
            return bool(self.critical_path) or not self.items
        except ValueError:
            return False

    def behind(self, edges: Iterable[Pair]) -> Work:
        """Return the same work with more dependencies: the second item of each pair waits for the first."""
        after = {task: [*waits] for task, waits in self.after.items()}
        for first, second in edges:
            after.setdefault(second, []).append(first)
        return Work(self.items, after)

    def schedule(
        self, workers: int, apart: Iterable[Pair] = (), goal: float = 0.0, plays: int | None = None
    ) -> Schedule:
        """Schedule the work; see `schedule.schedule`."""
        return scheduling.schedule(self.durations, self.after, workers, apart, goal=goal, plays=plays)

    def curve(self, most: int) -> tuple[Schedule, ...]:
        """Schedule the work on 1, 2 … `most` workers; see `schedule.curve`."""
        return scheduling.curve(self.durations, self.after, most)

    @cached_property
    def critical_path(self) -> tuple[str, ...]:
        """The longest chain of items, from first to last."""
        return scheduling.critical_path(self.durations, self.after)

    @property
    def longest(self) -> float:
        """The duration of the longest chain, in seconds."""
        return sum((self.durations[task] for task in self.critical_path), 0.0)

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Group the items so that each one waits only for items of earlier waves."""
        level: dict[str, int] = {}
        graph = {
            task: [dependency for dependency in self.after.get(task, ()) if dependency in self.durations]
            for task in self.durations
        }
        for task in TopologicalSorter(graph).static_order():
            level[task] = max((level[dependency] + 1 for dependency in graph[task]), default=0)
        return tuple(
            tuple(task for task in self.durations if level[task] == number)
            for number in range(max(level.values(), default=-1) + 1)
        )


def work_of(roadmap: Roadmap, phase: int | None = None) -> Work:
    """Return the agents' work of one phase of a roadmap, or of the whole.

    An item that depends on a manual one depends on that one's dependencies instead: people are assumed to be in time.
    """
    after = _agents_before(roadmap)
    items = [item for item in roadmap.items if not item.manual and phase in {None, item.phase}]
    items.sort(key=lambda item: -item.priority)
    return Work(tuple(items), {item.id: after[item.id] for item in items})


def _agents_before(roadmap: Roadmap) -> dict[str, list[str]]:
    """Return for each item the nearest agents' items before it, looking past manual ones."""
    by_id = {item.id: item for item in roadmap.items}
    graph = {item.id: [name for name in item.dependencies if name in by_id] for item in roadmap.items}
    before: dict[str, list[str]] = {}
    for task in TopologicalSorter(graph).static_order():
        nearest = ([name] if not by_id[name].manual else before[name] for name in graph[task])
        before[task] = list(dict.fromkeys(name for names in nearest for name in names))
    return before


def named(tasks: Collection[str], most: int = 4) -> str:
    """Join names for a sentence: `a, b and c`; of more than `most`, the first ones and the number of the rest."""
    shown = [*tasks][:most] if len(tasks) > most else [*tasks]
    if len(tasks) > most:
        return f"{', '.join(shown)} {and_more(len(tasks) - most)}"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
