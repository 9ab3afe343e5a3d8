"""Which items would touch the same files: found on their globs alone, before anybody has written a line.

What an item makes new is not there yet, so another's glob, which means the files that are, does not touch it; the same
path told by both does. A rename touches its old and its new path, and all that lies below either.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from ...mail.globs import end, is_path, start
from ..errors import InvalidTasks
from ..tasks.graph import depending
from .item import Item, Overlap, Roadmap
from .meeting import meet
from .parts import folder, meet_by_parts
from .roadmap import nodes

MOST = 20  # files told of one overlap
MAX_PAIRS = 250_000  # of tasks: twice what 500 have that all touch one file
_EFFORT = 20_000_000  # steps of comparing globs: some ten seconds
_CHANGES, _CREATES, _MOVES = "changes", "creates", "moves"
_STEPS = 4  # for each two letters of two globs that have to be walked, at most
_NAMES = 64  # letters in each two names, which are compared as one step
_FEWER = "name more exactly what each task changes"
_FILE = re.compile(r".*[^/]\.[A-Za-z]\w*")  # it ends as the names of files do: `.py`, `.md`

Pair = tuple[int, int]  # places of two items in the roadmap, the earlier one in front


class FileClaim(NamedTuple):
    """One way to touch files. All its paths begin with `start` and end with `end`; `path` says that it has no wildcard.

    `**/*.py` means files: that a folder may be called so and hold pages is no reason for it to meet `**/*.md`. So what
    ends like a file's name has an `end`, and is not taken for a folder where it meets another glob; no more is
    `src/a.py`. `folder` is the name of the folder that all these files lie in, where that is known.
    """

    start: str
    glob: str
    kind: str
    path: bool
    end: str
    folder: str


def overlaps(roadmap: Roadmap) -> tuple[Overlap, ...]:
    """Find each pair of items whose files meet, in the order given; a person's own items are left out.

    Raises InvalidTasks for items that depend on each other in a circle, and for more globs or pairs than make a plan.
    """
    items, shared = roadmap.items, _shared(roadmap.items)
    ordered = _ordered(roadmap, shared)
    return tuple(
        Overlap(items[left].id, items[right].id, tuple(shared[left, right]), (left, right) in ordered)
        for left, right in sorted(shared)
    )


def _shared(items: Sequence[Item]) -> dict[Pair, dict[str, None]]:
    """Map each pair of items to the files that both touch: of each two globs that meet the narrower one."""
    touched_by: dict[FileClaim, list[int]] = {}
    for place, item in enumerate(items):
        for touch in () if item.manual else dict.fromkeys(_touches(item)):
            touched_by.setdefault(touch, []).append(place)
    shared: dict[Pair, dict[str, None]] = {}
    comparing = _Comparing()
    for left, right in comparing.meeting(sorted(touched_by)):
        glob, ones, others = _narrower(left, right).glob, touched_by[left], touched_by[right]
        if max(len(shared), (len(ones) - 1) * (len(others) - 1) // 2) > MAX_PAIRS:
            raise InvalidTasks([f"files: more than {MAX_PAIRS:,} pairs of tasks touch the same files; {_FEWER}"])
        comparing.spend(len(ones) * len(others))
        for pair in _pairs(ones, others):
            files = shared.get(pair)
            if files is None:
                shared[pair] = {glob: None}
            elif len(files) < MOST:
                files[glob] = None
    return shared


def _touches(item: Item) -> Iterator[FileClaim]:
    moved = [path for pair in item.renames for path in pair]
    for kind, globs in ((_CHANGES, item.files), (_CREATES, item.creates), (_MOVES, moved)):
        for glob in globs:
            path, ends = is_path(glob), end(glob) if _FILE.fullmatch(glob) else ""
            yield FileClaim(start(glob), glob, kind, path, ends, folder(glob) if ends and not path else "")


class _Comparing:
    """Compares globs, with no more than so much effort: what comes in may be made to take for ever."""

    def __init__(self) -> None:
        self._left = _EFFORT

    def spend(self, steps: int) -> None:
        """Count steps. Raises InvalidTasks where they have become too many."""
        self._left -= steps
        if self._left < 0:
            raise InvalidTasks([f"files: comparing every glob with every other would take too long; {_FEWER}"])

    def meeting(self, touches: Sequence[FileClaim]) -> Iterator[tuple[FileClaim, FileClaim]]:
        """Go through the pairs that meet, each once."""
        for left, right in _near(touches):
            self.spend(1)
            ends = left.path or right.path or left.end.endswith(right.end) or right.end.endswith(left.end)
            if ends and self._meet(left, right):
                yield left, right

    def _meet(self, left: FileClaim, right: FileClaim) -> bool:
        """Tell whether two touch one path; `other` begins as `one` does."""
        if {left.kind, right.kind} == {_CHANGES, _CREATES}:
            made, changed = (left, right) if left.kind == _CREATES else (right, left)
            named = changed.path and not changed.glob.endswith("/")
            return named and self._share(made.glob, changed.glob, (True, False))
        if left.path and (right.path or right.start.startswith(f"{left.start}/")):
            return f"{right.start}/".startswith(f"{left.start}/")
        within = (not left.end, not right.end)
        if left.path or right.path:
            path, glob = (left, right) if left.path else (right, left)
            if path.end and glob.end not in f"/{path.glob}":
                return False
            within = (within[0] or not left.path, within[1] or not right.path)
        return self._share(left.glob, right.glob, within)

    def _share(self, left: str, right: str, within: tuple[bool, bool]) -> bool:
        size = len(left) * len(right)
        self.spend(size // _NAMES)
        known = meet_by_parts(left, right, within)
        if known is None:
            self.spend(_STEPS * size)
            known = meet(left, right, below=within)
        return known


def _near(touches: Sequence[FileClaim]) -> Iterator[tuple[FileClaim, FileClaim]]:
    """Go through the pairs that may meet: what begins otherwise cannot, nor what lies in another folder.

    In a sorted list those that begin alike stand together.
    """
    lying: dict[str, list[FileClaim]] = {}
    for touch in touches:
        lying.setdefault(touch.folder, []).append(touch)
    for claim in touches:
        for group in (lying.get(claim.folder, []), lying.get("", [])) if claim.folder else (touches,):
            for at in range(bisect_left(group, claim), len(group)):
                if not group[at].start.startswith(claim.start):
                    break
                yield claim, group[at]


def _narrower(left: FileClaim, right: FileClaim) -> FileClaim:
    return max(left, right, key=lambda touch: (len(touch.start), touch.path, len(touch.glob)))


def _pairs(places: Sequence[int], others: Sequence[int]) -> Iterator[Pair]:
    """Go through the pairs of two lists of places; those of one list with itself come once."""
    if places is others:
        return combinations(places, 2)
    return ((a, b) if a < b else (b, a) for a in places for b in others if a != b)


def _ordered(roadmap: Roadmap, pairs: Collection[Pair]) -> set[Pair]:
    """Return the pairs that never run at once, because of dependencies or of a phase barrier between them."""
    items = roadmap.items
    apart = {(left, right) for left, right in pairs if items[left].phase != items[right].phase}
    apart = apart if roadmap.phase_barriers else set[Pair]()
    asked = {(items[left].id, items[right].id): (left, right) for left, right in set(pairs) - apart}
    waiting = depending(nodes(items), [*asked, *((right, left) for left, right in asked)])
    return apart | {pair for (left, right), pair in asked.items() if {(left, right), (right, left)} & waiting}
