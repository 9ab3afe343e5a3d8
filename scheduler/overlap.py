"""Which items would touch the same files: found on their globs alone, before anybody has written a line.

What an item makes new is not there yet, so another's glob, which means the files that are, does not touch it; the same
path told by both does. A rename touches its old and its new path, and all that lies below either.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from .globs import common, end, is_path, start, walk
from .item import Item, Overlap, Roadmap
from .roadmap import nodes
from .task_graph import depending

MOST = 20  # files told of one overlap
_CHANGES, _CREATES, _MOVES = "changes", "creates", "moves"
_FILE = re.compile(r".*[^/]\.[A-Za-z]\w*")  # it ends as the names of files do: `.py`, `.md`

Pair = tuple[int, int]  # places of two items in the roadmap, the earlier one in front


class Touch(NamedTuple):
    """One way to touch files. All its paths begin with `start` and end with `end`; `path` says that it has no wildcard.

    `**/*.py` means files: that a folder may be called so and hold pages is no reason for it to meet `**/*.md`. So what
    ends like a file's name has an `end`, and is not taken for a folder where it meets another glob.
    """

    start: str
    glob: str
    kind: str
    path: bool
    end: str


def overlaps(roadmap: Roadmap) -> tuple[Overlap, ...]:
    """Find each pair of items whose files meet, in the order given; a person's own items are left out.

    Raises InvalidTasks for items that depend on each other in a circle.
    """
    items, shared = roadmap.items, _shared(roadmap.items)
    ordered = _ordered(roadmap, shared)
    return tuple(
        Overlap(items[one].id, items[other].id, tuple(shared[one, other]), (one, other) in ordered)
        for one, other in sorted(shared)
    )


def _shared(items: Sequence[Item]) -> dict[Pair, dict[str, None]]:
    """Map each pair of items to the files that both touch: of each two globs that meet the narrower one."""
    touched_by: dict[Touch, list[int]] = {}
    for place, item in enumerate(items):
        for touch in () if item.manual else dict.fromkeys(_touches(item)):
            touched_by.setdefault(touch, []).append(place)
    shared: dict[Pair, dict[str, None]] = {}
    for one, other in _meeting(sorted(touched_by)):
        glob = _narrower(one, other).glob
        for pair in _pairs(touched_by[one], touched_by[other]):
            files = shared.setdefault(pair, {})
            if len(files) < MOST:
                files[glob] = None
    return shared


def _touches(item: Item) -> Iterator[Touch]:
    moved = [path for pair in item.renames for path in pair]
    for kind, globs in ((_CHANGES, item.files), (_CREATES, item.creates), (_MOVES, moved)):
        for glob in globs:
            path = is_path(glob)
            yield Touch(start(glob), glob, kind, path, end(glob) if not path and _FILE.fullmatch(glob) else "")


def _meeting(touches: Sequence[Touch]) -> Iterator[tuple[Touch, Touch]]:
    """Go through the pairs that meet, each once; those that begin otherwise cannot, and are far apart when sorted."""
    for place, one in enumerate(touches):
        for at in range(place, len(touches)):
            other = touches[at]
            if not other.start.startswith(one.start):
                break
            if (one.end.endswith(other.end) or other.end.endswith(one.end)) and _meet(one, other):
                yield one, other


def _meet(one: Touch, other: Touch) -> bool:
    """Tell whether two touch one path; `other` begins as `one` does."""
    if {one.kind, other.kind} == {_CHANGES, _CREATES}:
        made, changed = (one, other) if one.kind == _CREATES else (other, one)
        named = changed.path and not changed.glob.endswith("/")
        return named and common(walk(made.glob), walk(changed.glob, within=False))
    if one.path and other.path:
        return f"{other.start}/".startswith(f"{one.start}/")
    if one.path or other.path:
        return common(walk(one.glob), walk(other.glob))
    return common(walk(one.glob, within=not one.end), walk(other.glob, within=not other.end))


def _narrower(one: Touch, other: Touch) -> Touch:
    return max(one, other, key=lambda touch: (len(touch.start), touch.path, len(touch.glob)))


def _pairs(ones: Sequence[int], others: Sequence[int]) -> set[Pair]:
    return {(min(one, other), max(one, other)) for one in ones for other in others if one != other}


def _ordered(roadmap: Roadmap, pairs: Collection[Pair]) -> set[Pair]:
    """Find the pairs that never run at once, be it by what they depend on or by a wall between their phases."""
    items = roadmap.items
    walled = {(one, other) for one, other in pairs if roadmap.walls and items[one].phase != items[other].phase}
    asked = {(items[one].id, items[other].id): (one, other) for one, other in set(pairs) - walled}
    waiting = depending(nodes(items), [*asked, *((other, one) for one, other in asked)])
    return walled | {pair for (one, other), pair in asked.items() if {(one, other), (other, one)} & waiting}
