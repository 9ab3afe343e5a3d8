"""Pairs of items that would touch the same files, by their globs alone, before any line is written.

A glob of changed files means existing files, so it does not match a file that another item creates; only the same path
without wildcards does. A rename touches its old and its new path, and everything below either.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from ...mail.text.globs import end, is_from_top, is_path, start
from ..errors import InvalidTasks
from ..tasks.graph import depending, waves
from ..tasks.references import has_reference
from ..tasks.task import Task
from .item import Item, Overlap, Phase, Roadmap
from .meeting import meet
from .parts import folder, meet_by_parts
from .roadmap import nodes

MOST = 20  # files that are listed for one overlap
MAX_PAIRS = 250_000  # of tasks: twice as many as 500 tasks have that all touch one file
_EFFORT = 20_000_000  # steps of comparing globs: about ten seconds
_CHANGES, _CREATES, _MOVES = "changes", "creates", "moves"
_STEPS = 4  # at most, for each pair of letters of two globs that `meet` compares
_NAMES = 64  # pairs of letters that count as one step if globs are compared name by name
_FEWER = "name more exactly what each task changes"
_FILE = re.compile(r".*[^/]\.[A-Za-z]\w*")  # ends like a file name: `.py`, `.md`

Pair = tuple[int, int]  # indexes of two items in the roadmap, the smaller one first


class FileClaim(NamedTuple):
    """One way to touch files. All its paths begin with `start` and end with `end`; `path` says that it has no wildcard.

    `**/*.py` is taken to mean files, although a folder could have such a name, and so does not meet `**/*.md`: a glob
    that ends like a file name has an `end`, and covers nothing below a match. Neither does the path `src/a.py`.
    `folder` is the name of the folder that holds all these files directly, or "" if that is not fixed.
    """

    start: str
    glob: str
    kind: str
    path: bool
    end: str
    folder: str


def overlaps(roadmap: Roadmap) -> tuple[Overlap, ...]:
    """Find each pair of items that may touch the same files, in the order given; manual items are left out.

    Raises InvalidTasks for circular dependencies, and for too many globs or pairs.
    """
    items, shared = roadmap.items, _shared(roadmap.items)
    ordered = _ordered(roadmap, shared)
    return tuple(
        Overlap(items[left].id, items[right].id, tuple(shared[left, right]), (left, right) in ordered)
        for left, right in sorted(shared)
    )


def in_order(tasks: Sequence[Task]) -> tuple[tuple[Task, ...], tuple[Overlap, ...]]:
    """Return tasks of which no two that may change the same files run at once, and the overlaps that were ordered.

    Of two such tasks the one that can start later, or was given later, depends on the other. An `output_path` counts as
    a file that the task changes or creates. Raises InvalidTasks for circles, and for too many globs or pairs.
    """
    items = tuple(
        Item(
            task.task_id, "", 0, 1.0, files=(*task.files, *_written(task)), creates=(*task.creates, *_written(task)),
            dependencies=task.dependencies,
        )
        for task in tasks
    )  # fmt: skip
    open_ = tuple(pair for pair in overlaps(Roadmap("", (Phase(""),), items)) if not pair.ordered)
    rank = {name: place for place, name in enumerate(name for wave in waves(tasks) for name in wave)}
    needs = {task.task_id: list(task.dependencies) for task in tasks}
    for pair in open_:
        first, second = sorted((pair.left, pair.right), key=rank.__getitem__)
        needs[second].append(first)
    ordered = tuple(task.model_copy(update={"dependencies": tuple(needs[task.task_id])}) for task in tasks)
    return ordered, open_


def _written(task: Task) -> tuple[str, ...]:
    path = task.input_data.get("output_path")
    return (path,) if isinstance(path, str) and is_from_top(path) and not has_reference(path) else ()


def _shared(items: Sequence[Item]) -> dict[Pair, dict[str, None]]:
    """Map each pair of items to the files that both touch: for each two globs that meet, the narrower one."""
    touched_by: dict[FileClaim, list[int]] = {}
    for place, item in enumerate(items):
        for touch in () if item.manual else dict.fromkeys(_touches(item)):
            touched_by.setdefault(touch, []).append(place)
    shared: dict[Pair, dict[str, None]] = {}
    comparing = _Comparing()
    for left, right in comparing.meeting(sorted(touched_by)):
        glob, places, others = _narrower(left, right).glob, touched_by[left], touched_by[right]
        if max(len(shared), (len(places) - 1) * (len(others) - 1) // 2) > MAX_PAIRS:
            raise InvalidTasks([f"files: more than {MAX_PAIRS:,} pairs of tasks touch the same files; {_FEWER}"])
        comparing.spend(len(places) * len(others))
        for pair in _pairs(places, others):
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
    """Compares globs within a budget, because input from outside could be made to take forever."""

    def __init__(self) -> None:
        self._left = _EFFORT

    def spend(self, steps: int) -> None:
        """Take steps from the budget. Raises InvalidTasks once it is used up."""
        self._left -= steps
        if self._left < 0:
            raise InvalidTasks([f"files: comparing every glob with every other would take too long; {_FEWER}"])

    def meeting(self, touches: Sequence[FileClaim]) -> Iterator[tuple[FileClaim, FileClaim]]:
        """Yield each pair of claims that touch the same path."""
        for left, right in _near(touches):
            self.spend(1)
            ends = left.path or right.path or left.end.endswith(right.end) or right.end.endswith(left.end)
            if ends and self._meet(left, right):
                yield left, right

    def _meet(self, left: FileClaim, right: FileClaim) -> bool:
        """Tell whether two claims touch the same path; `right` begins with the start of `left`."""
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
    """Yield the pairs of claims that may meet: the start of one begins that of the other, in the same folder.

    The claims are sorted, so those with a common start are neighbours.
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
    """Yield the pairs of two lists of indexes; of a list with itself, each pair once."""
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
