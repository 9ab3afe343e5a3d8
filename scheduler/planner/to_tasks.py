"""A work plan as the tasks that `team dispatch` takes.

Phase barriers and conflicts become dependencies; dependencies that others imply are left out. Manual items cannot be
dispatched: they are listed apart, with the tasks that have to wait for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from ...mail.errors import UsageError
from ...mail.text.nearest import suggestion
from ...mail.text.units import LONGEST
from ..errors import InvalidTasks
from ..tasks.references import references
from ..tasks.strict import read_json
from ..tasks.task import DispatchInput, Task
from .branch import slug, unique
from .item import Item, Roadmap
from .work_plan import WorkPlan

DEFAULT = "forge"  # the bundled persona that takes any task
TYPED = ("coder", "debug")  # personas with a typed input, which a roadmap cannot express
_GENEROUS, _LEAST = 2.0, 300.0  # a task's timeout: twice its estimate, and at least 5 minutes


@dataclass(frozen=True)
class DispatchTasks:
    """The dispatchable tasks as `tasks.json`, and manual items: `first` before the dispatch, `later` after it began.

    `left` are the tasks left out because they wait for a later manual item, each with that item.
    """

    document: dict[str, Any]
    first: tuple[Item, ...]
    later: tuple[Item, ...]
    left: tuple[tuple[Item, Item], ...]


def work_order(plan: WorkPlan, given: DispatchInput | None = None) -> DispatchTasks:
    """Make tasks of all items that need no person; `given` is the input that the roadmap was read from, if any.

    Raises InvalidTasks if a persona takes a typed input that the roadmap does not have.
    """
    items, before = plan.items, _before(plan)
    above, bits = _all_before(before), {task: 1 << place for place, task in enumerate(before)}
    agents = sum(bits[task] for task, item in items.items() if not item.manual)
    manual = [item for item in items.values() if item.manual]
    later = [item for item in manual if above[item.id] & agents]
    left = {
        task: next(cause for cause in later if above[task] & bits[cause.id])
        for task, item in items.items()
        if not item.manual and any(above[task] & bits[cause.id] for cause in later)
    }
    agents_tasks = [task for task, item in items.items() if not item.manual and task not in left]
    return DispatchTasks(
        _document(plan, given, agents_tasks, _reduced(_through(before, items), agents_tasks)),
        first=tuple(item for item in manual if item not in later),
        later=tuple(later),
        left=tuple((items[task], cause) for task, cause in left.items()),
    )


def given_in(data: bytes) -> DispatchInput | None:
    """Return the input in a file that was read as a roadmap; None if it is no `tasks.json`."""
    with suppress(InvalidTasks, ValueError):
        return DispatchInput.model_validate(read_json(data))
    return None


def without(roadmap: Roadmap, done: Collection[str]) -> Roadmap:
    """Return a roadmap without the items that are `done`; their dependents inherit their dependencies.

    Raises UsageError for an unknown item, and if nothing is left.
    """
    waits = {item.id: item.dependencies for item in roadmap.items}
    for task in dict.fromkeys(done):
        if task not in waits:
            raise UsageError(f"there is no task {task!r} to be done{suggestion(task, waits)}")
        inherited = waits.pop(task)
        waits = {
            dependent: tuple(dict.fromkeys(n for name in names for n in (inherited if name == task else (name,))))
            for dependent, names in waits.items()
        }
    if not waits:
        raise UsageError("every task is done; there is nothing left to plan")
    items = tuple(replace(item, dependencies=waits[item.id]) for item in roadmap.items if item.id in waits)
    return replace(roadmap, items=items)


def _before(plan: WorkPlan) -> dict[str, list[str]]:
    """Return for each item what it waits for: its dependencies, ordered conflicts, and phase barriers."""
    roadmap = plan.roadmap
    items = plan.items
    before = {item.id: [name for name in item.dependencies if name in items] for item in roadmap.items}
    for conflict in plan.conflicts:
        before[conflict.second].append(conflict.first)
    barrier: list[str] = []
    for phase in range(len(roadmap.phases)) if roadmap.phase_barriers else ():
        own = [item.id for item in roadmap.items if item.phase == phase]
        for task in own:
            before[task] += barrier
        barrier = own or barrier
    return before


def _all_before(before: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return for each item all that has to be done before it, as bits in the order of the items."""
    bits = {task: 1 << place for place, task in enumerate(before)}
    above: dict[str, int] = {}
    for task in TopologicalSorter(before).static_order():
        above[task] = 0
        for name in before[task]:
            above[task] |= above[name] | bits[name]
    return above


def _through(before: Mapping[str, Sequence[str]], items: Mapping[str, Item]) -> dict[str, list[str]]:
    """Replace manual items among the dependencies by the dependencies of those."""
    after: dict[str, list[str]] = {}
    for task in TopologicalSorter(before).static_order():
        nearest = (after[name] if items[name].manual else [name] for name in before[task])
        after[task] = list(dict.fromkeys(name for names in nearest for name in names))
    return after


def _reduced(before: Mapping[str, Sequence[str]], tasks: Sequence[str]) -> dict[str, list[str]]:
    """Drop the dependencies of an item that its other dependencies imply."""
    above = _all_before(before)
    bits = {task: 1 << place for place, task in enumerate(before)}
    reduced: dict[str, list[str]] = {}
    for task in tasks:
        implied = 0
        for name in before[task]:
            implied |= above[name]
        reduced[task] = [name for name in before[task] if not implied & bits[name]]
    return reduced


def _document(
    plan: WorkPlan, given: DispatchInput | None, tasks: Sequence[str], waits: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    names = _names(tasks)
    own = {task.task_id: task.model_dump(mode="json", exclude_unset=True) for task in (given.tasks if given else ())}
    config = given.config.model_dump(mode="json", exclude_unset=True) if given else {}
    items = plan.items
    problems = [
        f"task {task!r}: {items[task].persona} takes input of its own form, which a roadmap has not; "
        f"name another persona, as {DEFAULT}, or write the task into a tasks.json"
        for task in tasks
        if task not in own and items[task].persona in TYPED
    ]
    problems += [problem for task in tasks if task in own for problem in _lacking(own[task], tasks)]
    if problems:
        raise InvalidTasks(problems)
    entries = [
        (own.get(task) or _task(items[task], names[task])) | {"dependencies": [names[name] for name in waits[task]]}
        for task in tasks
    ]
    return {"tasks": entries, "config": config | {"max_workers": plan.workers}}


def _lacking(task: Mapping[str, Any], tasks: Collection[str]) -> Iterator[str]:
    """Yield a problem for each task that is left out and whose output a task asks for."""
    name = task["task_id"]
    for dependency in sorted(references(task.get("input_data")).difference(tasks)):
        yield (
            f"task {name!r}: its input refers to the output of {dependency!r}, which is left out here; "
            "put what it gave into the input, or go on with the dispatch that did it: team dispatch --resume"
        )
    condition: Mapping[str, Any] = task.get("when") or {"task": ""}
    if (about := condition["task"]) and about not in tasks:
        yield (
            f"task {name!r}: its condition is about the output of {about!r}, which is left out here; leave out the "
            "condition or the task, or go on with the dispatch that did it: team dispatch --resume"
        )


def _names(tasks: Sequence[str]) -> dict[str, str]:
    """Return a valid and unique task id for each item: its own if that is one, also when case is ignored."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for number, task in enumerate(tasks, 1):
        names[task] = (
            task if _is_name(task) and task.lower() not in taken else unique(slug(task) or f"task-{number}", taken)
        )
        taken.add(names[task].lower())
    return names


def _is_name(text: str) -> bool:
    try:
        Task(task_id=text, agent=DEFAULT)
    except ValueError:
        return False
    return True


def _task(item: Item, name: str) -> dict[str, Any]:
    renamed = [path for pair in item.renames for path in pair]
    touched = {"files": [*item.files], "creates": [*item.creates], "renames": dict(item.renames)}
    task: dict[str, Any] = {
        "task_id": name,
        "agent": item.persona or DEFAULT,
        "description": "\n\n".join(filter(None, (item.title, item.description))),
        "input_data": {key: value for key, value in touched.items() if value},
        "priority": item.priority,
        "timeout_seconds": min(max(_GENEROUS * item.estimate, _LEAST), LONGEST),
        "files": [*item.files, *renamed],
        "creates": [*item.creates],
        "estimate": item.estimate,
    }
    return {key: value for key, value in task.items() if value or key == "estimate"}
