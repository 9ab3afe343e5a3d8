"""The dependency graph of tasks: unknown dependencies, circles, waves. Nothing here recurses.

A task is anything with the attributes `task_id` and `dependencies`, or for the two published functions a mapping with
these keys. The beginnings of the messages are published and do not change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from ..errors import InvalidTasks
from ..problems import Problems, shown

_NAMES = 1_000_000  # in all circles together; further circles are not reported
_ENDS = 6  # names shown at each end of a long circle


class Node(Protocol):
    """A task with a name and the names that it depends on."""

    @property
    def task_id(self) -> str:
        """The name of the task."""
        ...

    @property
    def dependencies(self) -> Sequence[str]:
        """The names of the tasks that have to be done before it."""
        ...


Tasks = Iterable[Node | Mapping[str, Any]] | Mapping[str, Any]  # objects, entries of `tasks.json`, or all of one


class _Named(NamedTuple):
    task_id: str
    dependencies: tuple[str, ...]


def validate_task_dependencies(tasks: Tasks) -> list[str]:
    """Return a message for each dependency on a task that does not exist.

    Tasks are objects such as `Task`, mappings as in `tasks.json`, or both, or one mapping with all `tasks`. Raises
    InvalidTasks for what is no task, and for dependencies that are no list of names.
    """
    return [unknown_text(*pair) for pair in unknown_dependencies(_nodes(tasks))]


def detect_circular_dependencies(tasks: Tasks) -> list[str]:
    """Return a message for each circular dependency, direct or indirect; tasks and errors as in the function above."""
    return [_circle_text(circle) for circle in cycles(_nodes(tasks))]


def _nodes(tasks: Tasks) -> list[Node]:
    """Return tasks with their names as attributes."""
    problems = Problems()
    whole = isinstance(tasks, Mapping)
    listed = cast("Mapping[str, Any]", tasks).get("tasks", [tasks]) if whole else tasks
    nodes = [_node(task, place, problems) for place, task in enumerate(cast("Iterable[Any]", listed))]
    problems.refuse()
    return nodes


def _node(task: Any, place: int, problems: Problems) -> Node:
    if isinstance(task, Mapping):
        return _named(cast("Mapping[str, Any]", task), place, problems)
    if not (hasattr(task, "task_id") and hasattr(task, "dependencies")):
        problems.add_at(("tasks", place), "must be a task: an object with task_id and dependencies")
        return _Named("", ())
    return task


def _named(task: Mapping[str, Any], place: int, problems: Problems) -> _Named:
    name, needs = task.get("task_id"), task.get("dependencies", ())
    if not isinstance(name, str):
        problems.add_at(("tasks", place, "task_id"), "must be text" if "task_id" in task else "is missing")
        name = ""
    if not isinstance(needs, list | tuple) or not all(isinstance(need, str) for need in cast("list[Any]", needs)):
        problems.add_at(("tasks", place, "dependencies"), "must be a list of the names of tasks")
        needs = ()
    return _Named(name, tuple(cast("list[str]", needs)))


def unknown_dependencies(tasks: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """Go through the dependencies on tasks that do not exist, as pairs of a task and the name it depends on."""
    known = {task.task_id for task in tasks}
    return ((task.task_id, name) for task in tasks for name in dict.fromkeys(task.dependencies) if name not in known)


def unknown_text(task: str, name: str) -> str:
    """Return the message for a dependency on a task that does not exist."""
    return f"Task '{shown(task)}' depends on unknown task '{shown(name)}'"


def circle_text(circle: Sequence[str]) -> str:
    """Return the message for a circle, with its path: `a -> b -> a`, where a depends on b."""
    names = [shown(name) for name in circle]
    if len(names) > 2 * _ENDS:
        names[_ENDS:-_ENDS] = [f"({len(names) - 2 * _ENDS} more)"]
    return f"{_circle_text(circle)}: {' -> '.join([*names, names[0]])}"


def _circle_text(circle: Sequence[str]) -> str:
    return f"Circular dependency detected involving task '{shown(circle[0])}'"


def cycles(tasks: Sequence[Node]) -> list[tuple[str, ...]]:
    """Find circles. Each runs from a task to what it depends on and starts with the task that was given first.

    An empty list means that there are none. Of circles that share edges only some are returned, and no further ones
    once a million names are reached.
    """
    edges = _edges(tasks)
    rank = {name: place for place, name in enumerate(edges)}
    circles: list[tuple[str, ...]] = []
    left = _NAMES
    for circle in _circles(edges):
        first = min(range(len(circle)), key=lambda place: rank[circle[place]])
        circles.append((*circle[first:], *circle[:first]))
        left -= len(circle)
        if left < 0:
            break
    return sorted(circles, key=lambda circle: rank[circle[0]])


def _circles(edges: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Search depth first; an edge back to a task on the current path closes a circle."""
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
    """Group tasks by their earliest start: a wave depends only on the waves before it. Keeps the order given.

    Unknown dependencies are ignored. Raises InvalidTasks for circles.
    """
    edges = _edges(tasks)
    needed_by = _reversed(edges)
    open_counts = {name: len(needs) for name, needs in edges.items()}
    grouped: list[tuple[str, ...]] = []
    wave = tuple(name for name, count in open_counts.items() if not count)
    while wave:
        grouped.append(wave)
        wave = _next_wave(wave, needed_by, open_counts)
    if sum(map(len, grouped)) < len(edges):
        raise InvalidTasks([circle_text(circle) for circle in cycles(tasks)])
    rank = {name: place for place, name in enumerate(edges)}
    return [tuple(sorted(wave, key=rank.__getitem__)) for wave in grouped]


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
    """Return the pairs whose first task depends on the second, directly or indirectly.

    Raises InvalidTasks for circles.
    """
    order = [name for wave in waves(tasks) for name in wave]
    bits = {name: 1 << place for place, name in enumerate(dict.fromkeys(target for _, target in pairs))}
    reached = _reached(order, _edges(tasks), bits)
    return {(task, target) for task, target in pairs if reached.get(task, 0) & bits[target]}


def _reached(order: Iterable[str], edges: Mapping[str, Sequence[str]], bits: Mapping[str, int]) -> dict[str, int]:
    """Return for each task the bits of all that it depends on."""
    reached: dict[str, int] = {}
    for name in order:
        mask = 0
        for need in edges[name]:
            mask |= reached[need] | bits.get(need, 0)
        reached[name] = mask
    return reached


def _edges(tasks: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """Map each task, in the order given, to the known tasks that it depends on."""
    edges: dict[str, dict[str, None]] = {}
    for task in tasks:
        edges.setdefault(task.task_id, {}).update(dict.fromkeys(task.dependencies))
    return {name: tuple(need for need in needs if need in edges) for name, needs in edges.items()}


def _reversed(edges: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    needed_by: dict[str, list[str]] = {name: [] for name in edges}
    for name, needs in edges.items():
        for need in needs:
            needed_by[need].append(name)
    return needed_by
