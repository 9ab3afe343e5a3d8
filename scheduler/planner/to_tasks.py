"""A blueprint as the tasks that `team dispatch` takes: nobody waits without need, and no two in conflict run at once.

Walls and conflicts become dependencies, and of all dependencies only those are kept that others do not imply. What a
person has to do cannot be dispatched: it is named, and so is what has to wait for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from ...mail.errors import UsageError
from ...mail.nearest import suggestion
from ...mail.units import LONGEST
from ..errors import InvalidTasks
from ..tasks.references import references
from ..tasks.strict import read_json
from ..tasks.task import DispatchInput, Task
from .branch import slug, unique
from .item import Item, Roadmap
from .work_plan import WorkPlan

DEFAULT = "forge"  # the bundled persona that takes any task in words
TYPED = ("coder", "debug")  # these take input of a form that a roadmap does not have
_GENEROUS, _LEAST = 2.0, 300.0  # a task may take twice its estimate, and 5 minutes in any case


@dataclass(frozen=True)
class DispatchTasks:
    """What can be dispatched, as `tasks.json`, and people's work: `first` before it, `later` in its midst or behind.

    `left` are the tasks left out because they wait for people's work that comes later, each with what it waits for.
    """

    document: dict[str, Any]
    first: tuple[Item, ...]
    later: tuple[Item, ...]
    left: tuple[tuple[Item, Item], ...]


def work_order(blueprint: WorkPlan, given: DispatchInput | None = None) -> DispatchTasks:
    """Make tasks of all that agents can do by themselves; `given` are the tasks that the roadmap was read from, if so.

    Raises InvalidTasks where a persona takes input that a roadmap does not have.
    """
    items, before = blueprint.items, _before(blueprint)
    above, bits = _all_before(before), {task: 1 << place for place, task in enumerate(before)}
    agents = sum(bits[task] for task, item in items.items() if not item.manual)
    manual = [item for item in items.values() if item.manual]
    later = [item for item in manual if above[item.id] & agents]
    left = {
        task: next(cause for cause in later if above[task] & bits[cause.id])
        for task, item in items.items()
        if not item.manual and any(above[task] & bits[cause.id] for cause in later)
    }
    going = [task for task, item in items.items() if not item.manual and task not in left]
    return DispatchTasks(
        _document(blueprint, given, going, _reduced(_through(before, items), going)),
        first=tuple(item for item in manual if item not in later),
        later=tuple(later),
        left=tuple((items[task], cause) for task, cause in left.items()),
    )


def given_in(data: bytes) -> DispatchInput | None:
    """Return the tasks that a file holds which has been read as a roadmap already, None if it is no `tasks.json`."""
    with suppress(InvalidTasks, ValueError):
        return DispatchInput.model_validate(read_json(data))
    return None


def without(roadmap: Roadmap, done: Collection[str]) -> Roadmap:
    """Return what is left of a roadmap when some items are done; who waited for one waits for what it waited for.

    Raises UsageError for an item that is not there, and where nothing is left.
    """
    waits = {item.id: item.dependencies for item in roadmap.items}
    for task in dict.fromkeys(done):
        if task not in waits:
            raise UsageError(f"there is no task {task!r} to be done{suggestion(task, waits)}")
        gone = waits.pop(task)
        waits = {
            other: tuple(dict.fromkeys(name for old in names for name in (gone if old == task else (old,))))
            for other, names in waits.items()
        }
    if not waits:
        raise UsageError("all of it is done; there is nothing left to plan")
    items = tuple(replace(item, dependencies=waits[item.id]) for item in roadmap.items if item.id in waits)
    return replace(roadmap, items=items)


def _before(blueprint: WorkPlan) -> dict[str, list[str]]:
    """For each item, what it waits for by its dependencies, by the conflicts in their order, and by the walls."""
    roadmap = blueprint.roadmap
    items = blueprint.items
    before = {item.id: [other for other in item.dependencies if other in items] for item in roadmap.items}
    for conflict in blueprint.conflicts:
        before[conflict.second].append(conflict.first)
    wall: list[str] = []
    for phase in range(len(roadmap.phases)) if roadmap.phase_barriers else ():
        own = [item.id for item in roadmap.items if item.phase == phase]
        for task in own:
            before[task] += wall
        wall = own or wall
    return before


def _all_before(before: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """For each item all that has to be done before it, as bits in the order of the items."""
    bits = {task: 1 << place for place, task in enumerate(before)}
    found: dict[str, int] = {}
    for task in TopologicalSorter(before).static_order():
        found[task] = 0
        for other in before[task]:
            found[task] |= found[other] | bits[other]
    return found


def _through(before: Mapping[str, Sequence[str]], items: Mapping[str, Item]) -> dict[str, list[str]]:
    """Let agents' items wait for agents' items only: what people do between two is passed through."""
    found: dict[str, list[str]] = {}
    for task in TopologicalSorter(before).static_order():
        nearest = (found[other] if items[other].manual else [other] for other in before[task])
        found[task] = list(dict.fromkeys(other for some in nearest for other in some))
    return found


def _reduced(before: Mapping[str, Sequence[str]], tasks: Sequence[str]) -> dict[str, list[str]]:
    """Keep of each item's dependencies those that no other of them waits for anyway."""
    above = _all_before(before)
    bits = {task: 1 << place for place, task in enumerate(before)}
    found: dict[str, list[str]] = {}
    for task in tasks:
        implied = 0
        for other in before[task]:
            implied |= above[other]
        found[task] = [other for other in before[task] if not implied & bits[other]]
    return found


def _document(
    blueprint: WorkPlan, given: DispatchInput | None, going: Sequence[str], waits: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    names = _names(going)
    own = {task.task_id: task.model_dump(mode="json", exclude_unset=True) for task in (given.tasks if given else ())}
    config = given.config.model_dump(mode="json", exclude_unset=True) if given else {}
    items = blueprint.items
    problems = [
        f"task {task!r}: {items[task].persona} takes input of its own form, which a roadmap has not; "
        f"name another persona, as {DEFAULT}, or write the task into a tasks.json"
        for task in going
        if task not in own and items[task].persona in TYPED
    ]
    problems += [
        f"task {task!r}: its input refers to the output of {other!r}, which is left out here; put what it gave into "
        "the input, or go on with the dispatch that did it: team dispatch --resume"
        for task in going
        if task in own
        for other in sorted(references(own[task].get("input_data")) - {*going})
    ]
    if problems:
        raise InvalidTasks(problems)
    tasks = [
        (own.get(task) or _task(items[task], names[task])) | {"dependencies": [names[other] for other in waits[task]]}
        for task in going
    ]
    return {"tasks": tasks, "config": config | {"max_workers": blueprint.workers}}


def _names(tasks: Sequence[str]) -> dict[str, str]:
    """Give each item a name that a task may have: its own wherever it is one, and nobody's in other letters."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for number, task in enumerate(tasks, 1):
        found[task] = (
            task if _is_name(task) and task.lower() not in taken else unique(slug(task) or f"task-{number}", taken)
        )
        taken.add(found[task].lower())
    return found


def _is_name(text: str) -> bool:
    try:
        Task(task_id=text, agent=DEFAULT)
    except ValueError:
        return False
    return True


def _task(item: Item, name: str) -> dict[str, Any]:
    renamed = [path for pair in item.renames for path in pair]
    told = {"files": [*item.files], "creates": [*item.creates], "renames": dict(item.renames)}
    task: dict[str, Any] = {
        "task_id": name,
        "agent": item.persona or DEFAULT,
        "description": "\n\n".join(filter(None, (item.title, item.description))),
        "input_data": {key: value for key, value in told.items() if value},
        "priority": item.priority,
        "timeout_seconds": min(max(_GENEROUS * item.estimate, _LEAST), LONGEST),
        "files": [*item.files, *renamed],
        "creates": [*item.creates],
        "estimate": item.estimate,
    }
    return {key: value for key, value in task.items() if value or key == "estimate"}
