"""Conflicts: tasks that may change the same files at the same time, and how to resolve each: order, merge or split.

The order of each pair comes from one schedule in which no such pair runs at once, so that the orders never contradict
each other. Orders that cost no time become part of the plan; the other pairs are left to the weaver and to people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...mail.text.units import duration
from .item import Item, Overlap
from .schedule import Pair, Schedule, same
from .work import Work, named

ORDER, MERGE, SPLIT = "order", "merge", "split"
_MOSTLY = 0.5  # share of common files from which two tasks count as the same work
_PLAYS = 6  # of each schedule in the search for orders without cost
_MOST_TRIES, _LEAST_TRIES, _EDGES = 64, 4, 400_000  # schedules in that search, fewer with more edges


@dataclass(frozen=True)
class Conflict:
    """Two unordered items and the `files` that both may change; `resolution` is order, merge or split.

    If one has to wait, `first` goes first; `cost` is by how many seconds at most that prolongs the plan. `why` is a
    sentence for people.
    """

    left: str
    right: str
    files: tuple[str, ...]
    resolution: str
    first: str
    cost: float
    why: str

    @property
    def second(self) -> str:
        """The item that has to wait, if one has to."""
        return self.right if self.first == self.left else self.left


@dataclass(frozen=True)
class Settled:
    """Work with resolved conflicts: the shortest schedule, and the one in which no conflicting items run at once."""

    conflicts: tuple[Conflict, ...]
    plain: Schedule
    ordered: Schedule
    work: Work


def mostly_same(overlap: Overlap, left: Item, right: Item) -> bool:
    """Tell whether two items change mostly the same files, so that merging them would repeat the work of both."""
    shared = max(len(overlap.files), len(left.touched & right.touched))  # an overlap names no more than a few
    return shared >= _MOSTLY * (len(left.touched) + len(right.touched) - shared)


def settle(work: Work, overlaps: Sequence[Overlap], workers: int, plain: Schedule) -> Settled:
    """Resolve the unordered overlaps of some work; `plain` is its schedule on that many workers."""
    loose = [pair for pair in overlaps if not pair.ordered and {pair.left, pair.right} <= work.durations.keys()]
    if not loose:
        return Settled((), plain, plain, work)
    ordered = _natural(work, loose).schedule(workers, [(pair.left, pair.right) for pair in loose])
    begun = {slot.task: place for place, slot in enumerate(ordered.slots)}
    pairs = [(pair.left, pair.right) for pair in loose]
    edges = [(left, right) if begun[left] < begun[right] else (right, left) for left, right in pairs]
    if ordered.makespan <= plain.makespan or same(ordered.makespan, plain.makespan):
        plain, costs, work = ordered, dict.fromkeys(edges, 0.0), work.behind(edges)
    else:
        search = _Search(work, workers, plain, ordered.makespan)
        costs = search.costs(edges)
        plain, work = search.plain, work.behind(search.free)
    items = {item.id: item for item in work.items}
    conflicts = [
        _resolved(overlap, edge, costs[edge], items, workers) for overlap, edge in zip(loose, edges, strict=True)
    ]
    return Settled(tuple(conflicts), plain, ordered, work)


def _natural(work: Work, overlaps: Sequence[Overlap]) -> Work:
    """Order creating a file before changing it, and changing it before moving it, where that makes no cycle."""
    items = {item.id: item for item in work.items}
    pairs = [pair for both in overlaps for pair in ((both.left, both.right, both), (both.right, both.left, both))]
    edges = {(left, right) for left, right, overlap in pairs if _goes_first(items[left], items[right], overlap)}
    ordered = work.behind((left, right) for left, right in sorted(edges) if (right, left) not in edges)
    return ordered if ordered.sound else work


def _goes_first(left: Item, right: Item, overlap: Overlap) -> bool:
    if not left.creates and not right.renames:
        return False
    makes = any(file in left.creates and file in right.files for file in overlap.files)
    moved = [old.rstrip("/") + "/" for old, _ in right.renames]
    moves = not left.renames and any(f"{file}/".startswith(old) for file in overlap.files for old in moved)
    return makes or moves


class _Search:
    """Searches for orders that cost no time: tries many at once, and halves a group in which one does."""

    def __init__(self, work: Work, workers: int, plain: Schedule, ordered: float) -> None:
        self.work, self.workers, self.plain, self.ordered = work, workers, plain, ordered
        self.free: list[Pair] = []
        self.tries = _MOST_TRIES

    def costs(self, edges: Sequence[Pair]) -> dict[Pair, float]:
        """Return by how many seconds each order prolongs the plan; afterwards `free` lists those that cost nothing."""
        self.tries = max(_LEAST_TRIES, min(_MOST_TRIES, _EDGES // max(1, len(edges))))
        slots = {slot.task: slot for slot in self.plain.slots}
        self.free += [edge for edge in edges if slots[edge[0]].end <= slots[edge[1]].start]
        there = set(self.free)
        return dict.fromkeys(edges, 0.0) | dict(self._tried([edge for edge in edges if edge not in there]))

    def _tried(self, edges: Sequence[Pair]) -> Iterator[tuple[Pair, float]]:
        groups = [edges] if edges else []
        while groups:
            group = groups.pop()
            cost = self._cost(group)
            if not cost:
                self.free += group
            elif len(group) == 1 or not self.tries:
                yield from ((edge, cost) for edge in group)
            else:
                half = len(group) // 2
                groups += [group[half:], group[:half]]

    def _cost(self, edges: Sequence[Pair]) -> float:
        most = self.ordered - self.plain.makespan
        if not self.tries:
            return most
        self.tries -= 1
        goal = self.plain.makespan
        schedule = self.work.behind([*self.free, *edges]).schedule(self.workers, goal=goal, plays=_PLAYS)
        if schedule.makespan > goal and not same(schedule.makespan, goal):
            return min(schedule.makespan - goal, most)
        self.plain = schedule
        return 0.0


def _resolved(overlap: Overlap, edge: Pair, cost: float, items: dict[str, Item], workers: int) -> Conflict:
    much = mostly_same(overlap, items[overlap.left], items[overlap.right])
    resolution = ORDER if not cost else SPLIT if much else MERGE
    why = _why(resolution, overlap, edge, cost, workers)
    return Conflict(overlap.left, overlap.right, overlap.files, resolution, edge[0], cost, why)


def _why(resolution: str, overlap: Overlap, edge: Pair, cost: float, workers: int) -> str:
    first, second = edge
    if resolution == ORDER:
        on = "one worker" if workers == 1 else f"{workers} workers"
        return f"{first} first, then {second}: on {on} that costs no time"
    late = f"{second} behind {first} would cost {duration(cost)}"
    if resolution == SPLIT:
        return f"mostly the same files, and {late}: cut the work anew, so that no file is in both"
    return f"a small part of their files, and {late}: let the weaver merge, and look at {named(overlap.files, 2)}"
