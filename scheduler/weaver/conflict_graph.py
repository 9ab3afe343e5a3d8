"""Who stands in whose way, asked of git pairwise and only where files overlap, and the order that lands the most.

First come, first served can be ruinous: one reformat of the whole repository at the head of the queue landed 1 of 24
patches, this order 23. The patches to land first are a maximum weight independent set of the graph: exact for small
knots of patches, by least degree for larger ones. A patch's weight never makes fewer patches land.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import combinations
from typing import NamedTuple

from ...personas.git import Git
from .patch import Entry, PatchSubmission, text
from .tree import Applied

_AT_LEAST = 50  # merges that are worth a process
Pair = tuple[int, int]


class Stage(NamedTuple):
    """One side of a file in conflict: 1 what both started from, 2 the first commit's, 3 the second's."""

    path: bytes
    number: int
    entry: Entry


class Merge(NamedTuple):
    """What a merge gives: a tree, and where it is not clean, the files in conflict."""

    tree: str
    stages: tuple[Stage, ...] | None

    @property
    def files(self) -> tuple[str, ...]:
        """Name the files in conflict."""
        return tuple(dict.fromkeys(text(stage.path) for stage in self.stages or ()))


def overlapping(applied: Sequence[Applied]) -> list[Pair]:
    """Find the pairs that change the same file, or one a file and the other something within a folder of its name."""
    changers: dict[bytes, list[int]] = defaultdict(list)
    for number, each in enumerate(applied):
        for change in each.changes:
            changers[change.path].append(number)
    pairs = {pair for numbers in changers.values() for pair in combinations(numbers, 2)}
    for path, numbers in changers.items():
        parts = path.split(b"/")
        for above in (b"/".join(parts[:end]) for end in range(1, len(parts))):
            others = changers.get(above, ())
            pairs |= {(min(a, b), max(a, b)) for a in numbers for b in others if a != b}
    return sorted(pairs)


def merged(git: Git, pairs: Sequence[tuple[str, str]]) -> list[Merge]:
    """Merge pairs of commits, a great many in one process."""
    size = max(_AT_LEAST, -(-len(pairs) // (os.cpu_count() or 1)))
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    if len(parts) <= 1:
        return _merged(git, pairs) if pairs else []
    with ThreadPoolExecutor(len(parts)) as pool:
        return [merge for part in pool.map(_merged, [git] * len(parts), parts) for merge in part]


def _merged(git: Git, pairs: Sequence[tuple[str, str]]) -> list[Merge]:
    asked = "".join(f"{one} {other}\n" for one, other in pairs).encode()
    told = iter(git("merge-tree", "--stdin", "--no-messages", "--allow-unrelated-histories", stdin=asked).split(b"\0"))
    found: list[Merge] = []
    for _ in pairs:
        clean, tree = next(told) == b"1", next(told).decode()
        stages = tuple(map(_stage, iter(told.__next__, b"")))
        found.append(Merge(tree, None if clean else stages))
    return found


def _stage(line: bytes) -> Stage:
    told, _, path = line.partition(b"\t")
    mode, oid, number = told.decode().split(" ")
    return Stage(path, int(number), Entry(mode, oid))


def best_order(
    submissions: Sequence[PatchSubmission], edges: Iterable[Pair], late: Collection[int], exact: int
) -> list[int]:
    """Order offers, by number, so that as many as possible land; then those in their way, and then the late ones."""
    ways: dict[int, set[int]] = {number: set() for number in range(len(submissions))}
    for one, other in edges:
        ways[one].add(other)
        ways[other].add(one)
    weights = _weights(submissions)
    chosen: set[int] = set()
    for knot in _components(ways):
        chosen |= (_exactly if len(knot) <= exact else _greedily)(knot, ways, weights)
    return sorted(ways, key=lambda number: (number in late, number not in chosen, submissions[number].precedence))


def _weights(submissions: Sequence[PatchSubmission]) -> list[int]:
    """Weigh each offer so that a number of patches outweighs any merit, and any merit the age."""
    count, least = len(submissions), min((submission.priority for submission in submissions), default=0)
    merits = [submission.priority - least + submission.refusals for submission in submissions]
    ranks = {number: rank for rank, number in enumerate(sorted(range(count), key=lambda n: submissions[n].seniority))}
    merit = count * count + 1
    whole = merit * (sum(merits) + 1)
    return [whole + merit * merits[number] + count - ranks[number] for number in range(count)]


def _components(ways: Mapping[int, set[int]]) -> list[list[int]]:
    found: list[list[int]] = []
    seen: set[int] = set()
    for start in ways:
        knot, front = list[int](), [start]
        while front:
            if (number := front.pop()) not in seen:
                seen.add(number)
                knot.append(number)
                front += ways[number]
        if knot:
            found.append(sorted(knot))
    return found


def _greedily(knot: Sequence[int], ways: Mapping[int, set[int]], weights: Sequence[int]) -> set[int]:
    """Take the one in fewest others' way, drop those, and again."""
    left, chosen = set(knot), set[int]()
    while left:
        best = min(left, key=lambda number: (len(ways[number] & left), -weights[number]))
        chosen.add(best)
        left -= ways[best] | {best}
    return chosen


def _exactly(knot: Sequence[int], ways: Mapping[int, set[int]], weights: Sequence[int]) -> set[int]:
    """Branch on the one in most others' way: with it, or without it; sets of numbers are bits."""
    places = {number: place for place, number in enumerate(knot)}
    masks = [sum(1 << places[other] for other in ways[number]) for number in knot]

    @cache
    def best(left: int) -> tuple[int, int]:
        if not left:
            return 0, 0
        place = max(_bits(left), key=lambda place: ((masks[place] & left).bit_count(), -place))
        bit = 1 << place
        weight, chosen = best(left & ~bit & ~masks[place])
        with_it = weight + weights[knot[place]], chosen | bit
        return max(with_it, best(left & ~bit)) if masks[place] & left else with_it

    return {knot[place] for place in _bits(best((1 << len(knot)) - 1)[1])}


def _bits(number: int) -> list[int]:
    return [place for place in range(number.bit_length()) if number >> place & 1]
