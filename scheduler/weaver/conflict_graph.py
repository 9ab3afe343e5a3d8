"""Which patches conflict with each other, and the order that lands the most of them.

Git merges each pair of patches whose files overlap. First come, first served can be ruinous: with one reformat of the
whole repository at the head of the queue it landed 1 of 24 patches, this order 23. The patches to land first are a
maximum weight independent set of the conflict graph: exact for small components, by least degree for larger ones.
Weights never reduce the number of patches that land.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from .commit import write_commit
from .merging import Merge, Merging, PatchMerge, merged
from .patch import PatchSubmission
from .tree import Applied, Tree

PATIENCE = 2  # conflicts of one persona in one sprint
Pair = tuple[int, int]


@dataclass(frozen=True)
class ConflictGraph:
    """Which of some patches conflict, by their numbers: `pairs` with each other on the tip, `late` with the tip."""

    pairs: Mapping[Pair, Merge]
    late: Mapping[int, PatchMerge]


class Survey:
    """Finds out which patches conflict. Of its merges it knows those that were asked for last, by their contents.

    So it may be asked again and again, about the same patches and about what became of them.
    """

    def __init__(self, merging: Merging) -> None:
        self._merging = merging
        self._pairs = dict[tuple[str, str], Merge]()  # by the ids of the commits that were merged

    def graph(self, tree: Tree, tip: str, applied: Sequence[Applied]) -> ConflictGraph:
        """Compare patches with each other once each is on the commit `tip`, whose files are `tree`, and with it.

        A patch that conflicts with the tip is not compared with the others. Raises GitError.
        """
        moved = [number for number, each in enumerate(applied) if not tree.fits(each.changes)]
        queue = [applied[number] for number in moved]
        self._merging.keep(tree, queue)
        merges = dict(zip(moved, self._merging.merge(tree, queue), strict=True))
        late = {number: merge for number, merge in merges.items() if merge.stages is not None}
        pairs = [pair for pair in overlapping(applied) if late.keys().isdisjoint(pair)][: self._merging.limits.pairs]

        def commit(number: int) -> str:
            on_tip = tree.changed(merges[number].changes if number in merges else applied[number].changes)
            return write_commit(self._merging.quarantine.write, applied[number].submission, on_tip.oid, [tip])

        commits = {number: commit(number) for number in sorted({number for pair in pairs for number in pair})}
        tried = self._merged([(commits[first], commits[second]) for first, second in pairs])
        return ConflictGraph(
            {pair: merge for pair, merge in zip(pairs, tried, strict=True) if merge.stages is not None}, late
        )

    def _merged(self, asked: Sequence[tuple[str, str]]) -> list[Merge]:
        fresh = [pair for pair in dict.fromkeys(asked) if pair not in self._pairs]
        known = self._pairs | dict(zip(fresh, merged(self._merging.quarantine.git, fresh), strict=True))
        self._pairs = {pair: known[pair] for pair in asked}
        return [*map(known.__getitem__, asked)]


def overlapping(applied: Sequence[Applied]) -> list[Pair]:
    """Return the pairs that change the same file, or of which one changes a file where the other needs a folder."""
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


def best_order(
    submissions: Sequence[PatchSubmission], edges: Iterable[Pair], late: Collection[int], exact: int
) -> list[int]:
    """Return the numbers of the patches in the order that lands the most: those, then their rivals, then `late`.

    Nobody loses for ever to whoever comes in greater numbers: after `PATIENCE` conflicts, a patch comes first.
    """
    rivals: dict[int, set[int]] = {number: set() for number in range(len(submissions))}
    for first, second in edges:
        rivals[first].add(second)
        rivals[second].add(first)
    weights = _weights(submissions)
    chosen = _patient(submissions, rivals)
    gone = chosen.union(*(rivals[number] for number in chosen))
    rest = {number: rivals[number] - gone for number in rivals if number not in gone}
    for component in _components(rest):
        chosen |= (_exactly if len(component) <= exact else _greedily)(component, rest, weights)
    return sorted(rivals, key=lambda number: (number in late, number not in chosen, submissions[number].precedence))


def _patient(submissions: Sequence[PatchSubmission], rivals: Mapping[int, set[int]]) -> set[int]:
    """Choose of those that have lost too often the ones that do not conflict with each other."""
    chosen = set[int]()
    often = [number for number, submission in enumerate(submissions) if submission.refusals >= PATIENCE]
    for number in sorted(often, key=lambda number: submissions[number].precedence):
        if not rivals[number] & chosen:
            chosen.add(number)
    return chosen


def _weights(submissions: Sequence[PatchSubmission]) -> list[int]:
    """Weigh the patches so that their number counts more than any merit, and merit more than age."""
    count, least = len(submissions), min((submission.priority for submission in submissions), default=0)
    merits = [submission.priority - least + submission.refusals for submission in submissions]
    ranks = {number: rank for rank, number in enumerate(sorted(range(count), key=lambda n: submissions[n].seniority))}
    merit = count * count + 1
    whole = merit * (sum(merits) + 1)
    return [whole + merit * merits[number] + count - ranks[number] for number in range(count)]


def _components(rivals: Mapping[int, set[int]]) -> list[list[int]]:
    components: list[list[int]] = []
    seen: set[int] = set()
    for start in rivals:
        component, front = list[int](), [start]
        while front:
            if (number := front.pop()) not in seen:
                seen.add(number)
                component.append(number)
                front += rivals[number]
        if component:
            components.append(sorted(component))
    return components


def _greedily(component: Sequence[int], rivals: Mapping[int, set[int]], weights: Sequence[int]) -> set[int]:
    """Choose the patch with the fewest rivals, drop its rivals, and repeat."""
    left, chosen = set(component), set[int]()
    while left:
        best = min(left, key=lambda number: (len(rivals[number] & left), -weights[number]))
        chosen.add(best)
        left -= rivals[best] | {best}
    return chosen


def _exactly(component: Sequence[int], rivals: Mapping[int, set[int]], weights: Sequence[int]) -> set[int]:
    """Branch on the patch with the most rivals: with it or without it. Sets of patches are bit masks."""
    places = {number: place for place, number in enumerate(component)}
    masks = [sum(1 << places[rival] for rival in rivals[number]) for number in component]

    @cache
    def best(left: int) -> tuple[int, int]:
        if not left:
            return 0, 0
        place = max(_bits(left), key=lambda place: ((masks[place] & left).bit_count(), -place))
        bit = 1 << place
        weight, chosen = best(left & ~bit & ~masks[place])
        with_it = weight + weights[component[place]], chosen | bit
        return max(with_it, best(left & ~bit)) if masks[place] & left else with_it

    return {component[place] for place in _bits(best((1 << len(component)) - 1)[1])}


def _bits(number: int) -> list[int]:
    return [place for place in range(number.bit_length()) if number >> place & 1]
