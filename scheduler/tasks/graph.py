"""The graph of tasks and what they depend on: unknown ones, circles, waves. Nothing here recurses.

Whatever has a `task_id` and `dependencies` is a task here. Texts that begin as the documents have them are contracts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ..errors import InvalidTasks
from ..problems import shown

_NAMES = 1_000_000  # in all circles together; a knot with more is told in part
_BATCH = 4_096  # tasks asked about in one pass
_ENDS = 6  # of a long circle


class Node(Protocol):
    """What has a name and depends on others by name."""

    @property
    def task_id(self) -> str:
        """Its name."""
        ...

    @property
    def dependencies(self) -> Sequence[str]:
        """The names of those that have to be done before it."""
        ...


def validate_task_dependencies(tasks: Sequence[Node]) -> list[str]:
    """Say which tasks depend on tasks that are not there, one line for each such dependency."""
    return [unknown_text(*pair) for pair in unknown_dependencies(tasks)]


def detect_circular_dependencies(tasks: Sequence[Node]) -> list[str]:
    """Say which tasks depend on themselves, by way of others or directly: one line for each circle found."""
    return [_circle_text(circle) for circle in cycles(tasks)]


def unknown_dependencies(tasks: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """Go through the dependencies on tasks that are not there: who depends, on what."""
    known = {task.task_id for task in tasks}
    return ((task.task_id, name) for task in tasks for name in dict.fromkeys(task.dependencies) if name not in known)


def unknown_text(task: str, name: str) -> str:
    """Say that a task depends on one that is not there."""
    return f"Task '{shown(task)}' depends on unknown task '{shown(name)}'"


def circle_text(circle: Sequence[str]) -> str:
    """Say that these tasks depend on each other, and on the way: `a -> b -> a`, where a depends on b."""
    names = [shown(name) for name in circle]
    if len(names) > 2 * _ENDS:
        names[_ENDS:-_ENDS] = [f"({len(names) - 2 * _ENDS} more)"]
    return f"{_circle_text(circle)}: {' -> '.join([*names, names[0]])}"


def _circle_text(circle: Sequence[str]) -> str:
    return f"Circular dependency detected involving task '{shown(circle[0])}'"


def cycles(tasks: Sequence[Node]) -> list[tuple[str, ...]]:
    """Find circles: each in order along its edges, from a task to what it depends on, its first given task in front.

    None told means none there. Of circles that share edges, and of a knot too large to read, only some are told.
    """
    edges = _edges(tasks)
    rank = {name: place for place, name in enumerate(edges)}
    found: list[tuple[str, ...]] = []
    left = _NAMES
    for circle in _circles(edges):
        first = min(range(len(circle)), key=lambda place: rank[circle[place]])
        found.append((*circle[first:], *circle[:first]))
        left -= len(circle)
        if left < 0:
            break
    return sorted(found, key=lambda circle: rank[circle[0]])


def _circles(edges: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Walk depth first; an edge back to a task on the way closes a circle."""
    done: set[str] = set()
    for start in edges:
        if start not in done:
            yield from _circles_from(start, edges, done)


def _circles_from(start: str, edges: Mapping[str, Sequence[str]], done: set[str]) -> Iterator[list[str]]:
    way, place, turns = [start], {start: 0}, [iter(edges[start])]
    while way:
        name = next(turns[-1], None)
        if name is None:
            turns.pop()
            done.add(way.pop())
        elif name in done:
            continue
        elif name in place:
            yield way[place[name] :]
        else:
            place[name] = len(way)
            way.append(name)
            turns.append(iter(edges[name]))


def waves(tasks: Sequence[Node]) -> list[tuple[str, ...]]:
    """Group tasks by when they can start at the earliest: each wave needs only those before it; in the order given.

    Dependencies that are not there are left out. Raises InvalidTasks for circles.
    """
    edges = _edges(tasks)
    needed_by = _turned(edges)
    open_counts = {name: len(needs) for name, needs in edges.items()}
    found: list[tuple[str, ...]] = []
    wave = tuple(name for name, count in open_counts.items() if not count)
    while wave:
        found.append(wave)
        wave = _next_wave(wave, needed_by, open_counts)
    if sum(map(len, found)) < len(edges):
        raise InvalidTasks([circle_text(circle) for circle in cycles(tasks)])
    rank = {name: place for place, name in enumerate(edges)}
    return [tuple(sorted(wave, key=rank.__getitem__)) for wave in found]


def _next_wave(
    wave: Iterable[str], needed_by: Mapping[str, Sequence[str]], open_counts: dict[str, int]
) -> tuple[str, ...]:
    ready: list[str] = []
    for name in wave:
        for later in needed_by[name]:
            open_counts[later] -= 1
            if not open_counts[later]:
                ready.append(later)
    return tuple(ready)


def depending(tasks: Sequence[Node], pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those pairs whose first task depends on the second, also by way of others; at little cost for many tasks.

    Raises InvalidTasks for circles.
    """
    edges = _edges(tasks)
    order = [name for wave in waves(tasks) for name in wave]
    targets = list(dict.fromkeys(other for _, other in pairs))
    found: set[tuple[str, str]] = set()
    for start in range(0, len(targets), _BATCH):
        bits = {name: 1 << place for place, name in enumerate(targets[start : start + _BATCH])}
        reached = _reached(order, edges, bits)
        found |= {(one, other) for one, other in pairs if reached.get(one, 0) & bits.get(other, 0)}
    return found


def _reached(order: Iterable[str], edges: Mapping[str, Sequence[str]], bits: Mapping[str, int]) -> dict[str, int]:
    """Carry the bits of some tasks to all that depend on them."""
    reached: dict[str, int] = {}
    for name in order:
        mask = 0
        for need in edges[name]:
            mask |= reached[need] | bits.get(need, 0)
        reached[name] = mask
    return reached


def _edges(tasks: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """Map each task, in the order given, to those among the given that it depends on."""
    edges: dict[str, dict[str, None]] = {}
    for task in tasks:
        edges.setdefault(task.task_id, {}).update(dict.fromkeys(task.dependencies))
    return {name: tuple(need for need in needs if need in edges) for name, needs in edges.items()}


def _turned(edges: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {name: [] for name in edges}
    for name, needs in edges.items():
        for need in needs:
            turned[need].append(name)
    return turned
