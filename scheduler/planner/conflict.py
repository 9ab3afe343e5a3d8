"""Tasks that would change the same files at once, and how that is best resolved: in order, by a merge, or cut anew.

The direction of each pair comes from one schedule in which no two of them ever run at once, so that all orders agree
with each other. Whatever part of these orders costs no time is taken; the rest is for the weaver and for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .item import Item, Overlap
from .schedule import Pair, Schedule, same
from .work import Work, named, span

ORDER, MERGE, SPLIT = "order", "merge", "split"
_MOSTLY = 0.5  # of all that the two touch: so much in common is the same work
_PLAYS = 6  # of each schedule in the search for orders without cost
_MOST_TRIES, _LEAST_TRIES, _EDGES = 64, 4, 400_000  # schedules in that search, so that all their edges are so many


@dataclass(frozen=True)
class Conflict:
    """Two items that nothing orders, and `files` that both may touch; `resolution` is order, merge or split.

    If one is to wait it is the one that is not `first`; `cost` is by how many seconds that makes the plan longer, at
    most. `why` is a sentence for people.
    """

    one: str
    other: str
    files: tuple[str, ...]
    resolution: str
    first: str
    cost: float
    why: str

    @property
    def second(self) -> str:
        """The item that waits for the other, if one has to."""
        return self.other if self.first == self.one else self.one


@dataclass(frozen=True)
class Settled:
    """Work with its conflicts resolved: the schedule in which some run at once, and the one in which none do."""

    conflicts: tuple[Conflict, ...]
    plain: Schedule
    ordered: Schedule
    work: Work


def mostly_same(overlap: Overlap, one: Item, other: Item) -> bool:
    """Tell whether two items touch mostly the same files, so that a merge would be the work of both again."""
    shared = max(len(overlap.files), len(one.touched & other.touched))  # an overlap names no more than a few
    return shared >= _MOSTLY * (len(one.touched) + len(other.touched) - shared)


def settle(work: Work, overlaps: Sequence[Overlap], workers: int, plain: Schedule) -> Settled:
    """Resolve the overlaps of a piece of work that nothing orders; `plain` is its schedule on so many workers."""
    found = [one for one in overlaps if not one.ordered and {one.one, one.other} <= work.durations.keys()]
    if not found:
        return Settled((), plain, plain, work)
    ordered = _natural(work, found).schedule(workers, [(one.one, one.other) for one in found])
    begun = {slot.task: place for place, slot in enumerate(ordered.slots)}
    edges = [(one.one, one.other) if begun[one.one] < begun[one.other] else (one.other, one.one) for one in found]
    if ordered.makespan <= plain.makespan or same(ordered.makespan, plain.makespan):
        plain, costs, work = ordered, dict.fromkeys(edges, 0.0), work.behind(edges)
    else:
        search = _Search(work, workers, plain, ordered.makespan)
        costs = search.costs(edges)
        plain, work = search.plain, work.behind(search.free)
    items = {item.id: item for item in work.items}
    conflicts = [
        _resolved(overlap, edge, costs[edge], items, workers) for overlap, edge in zip(found, edges, strict=True)
    ]
    return Settled(tuple(conflicts), plain, ordered, work)


def _natural(work: Work, overlaps: Sequence[Overlap]) -> Work:
    """Let who makes a file go before who changes it, and who changes one before who moves it, where nothing forbids."""
    items = {item.id: item for item in work.items}
    pairs = [pair for one in overlaps for pair in ((one.one, one.other, one), (one.other, one.one, one))]
    wishes = {(one, other) for one, other, why in pairs if _goes_first(items[one], items[other], why)}
    kept = work.behind((one, other) for one, other in sorted(wishes) if (other, one) not in wishes)
    return kept if kept.sound else work


def _goes_first(one: Item, other: Item, overlap: Overlap) -> bool:
    if not one.creates and not other.renames:
        return False
    makes = any(file in one.creates and file in other.files for file in overlap.files)
    moved = [old.rstrip("/") + "/" for old, _ in other.renames]
    moves = not one.renames and any(f"{file}/".startswith(old) for file in overlap.files for old in moved)
    return makes or moves


class _Search:
    """The search for orders that cost no time: many at once, in halves where one of them does."""

    def __init__(self, work: Work, workers: int, plain: Schedule, ordered: float) -> None:
        self.work, self.workers, self.plain, self.ordered = work, workers, plain, ordered
        self.free: list[Pair] = []
        self.tries = _MOST_TRIES

    def costs(self, edges: Sequence[Pair]) -> dict[Pair, float]:
        """Tell by how much each order makes the plan longer; those that do not are in `free` from then on."""
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
        found = self.work.behind([*self.free, *edges]).schedule(self.workers, goal=goal, plays=_PLAYS)
        if found.makespan > goal and not same(found.makespan, goal):
            return min(found.makespan - goal, most)
        self.plain = found
        return 0.0


def _resolved(overlap: Overlap, edge: Pair, cost: float, items: dict[str, Item], workers: int) -> Conflict:
    much = mostly_same(overlap, items[overlap.one], items[overlap.other])
    resolution = ORDER if not cost else SPLIT if much else MERGE
    why = _why(resolution, overlap, edge, cost, workers)
    return Conflict(overlap.one, overlap.other, overlap.files, resolution, edge[0], cost, why)


def _why(resolution: str, overlap: Overlap, edge: Pair, cost: float, workers: int) -> str:
    first, second = edge
    if resolution == ORDER:
        on = "one worker" if workers == 1 else f"{workers} workers"
        return f"{first} first, then {second}: on {on} that costs no time"
    late = f"{second} behind {first} would cost {span(cost)}"
    if resolution == SPLIT:
        return f"mostly the same files, and {late}: cut the work anew, so that no file is in both"
    return f"a small part of their files, and {late}: let the weaver merge, and look at {named(overlap.files, 2)}"
