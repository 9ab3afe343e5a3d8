"""`tasks.json`: read strictly, and checked as a whole before anything starts.

All problems are reported at once, each in one line that begins with its place or names the task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

from ..errors import InvalidTasks
from ..problems import Path, Problems, shown
from .graph import circle_text, cycles, depending, unknown_dependencies, unknown_text
from .references import find_references, has_reference
from .strict import MAX_BYTES, read_json
from .task import EVERY_OTHER, MAX_TASKS, DispatchConfig, DispatchInput, Task, read_table, too_many
from .typed import check_typed

_CHUNK = 1 << 16
_NO_TASKS = "is empty; there is nothing to dispatch"


class _Outline(NamedTuple):
    """The readable parts of a task, so that one mistake does not hide others; `position` is its index in the file."""

    position: int
    task_id: str
    agent: str
    agent_key: str
    description: str
    input_data: Mapping[str, Any] | None
    dependencies: tuple[str, ...]
    condition: str  # the task that its condition is about; empty without one

    def path(self, *parts: str | int) -> Path:
        """Return the path of a value in this task."""
        return ("tasks", self.position, *parts)


def read_limited(stream: BinaryIO, most: int = MAX_BYTES) -> bytes:
    """Read a stream to its end, or to one byte beyond `most`, which `read_input` refuses as too large."""
    chunks: list[bytes] = []
    left = most + 1
    while left and (chunk := stream.read(min(left, _CHUNK))):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def read_input(data: bytes, personas: Collection[str]) -> DispatchInput:
    """Read `tasks.json`, whose tasks are for `personas`. Raises InvalidTasks with all problems."""
    raw = read_json(data)
    if not isinstance(raw, dict):
        raise InvalidTasks(['the input must be an object: {"tasks": […], "config": {…}}'])
    return input_from(cast("dict[str, Any]", raw), personas)


def input_from(raw: Mapping[str, Any], personas: Collection[str]) -> DispatchInput:
    """Validate what `read_json` returned as a dispatch's input. Raises InvalidTasks with all problems."""
    problems = Problems()
    for name in raw:
        if name not in DispatchInput.model_fields:
            problems.add_at((name,), "is no field of the input", name, DispatchInput.model_fields)
    items = _items(raw, problems)
    tasks = [read_table(Task, item, ("tasks", index), problems, "a task") for index, item in enumerate(items)]
    config = read_table(DispatchConfig, raw.get("config", {}), ("config",), problems, "the config")
    outlines = [outline for index, item in enumerate(items) if (outline := _outline(item, index))]
    _check(outlines, config or DispatchConfig(), personas, problems)
    problems.refuse()
    return DispatchInput(tasks=tuple(task for task in tasks if task), config=config or DispatchConfig())


def _items(raw: Mapping[str, Any], problems: Problems) -> list[Any]:
    tasks = raw.get("tasks")
    if not isinstance(tasks, list):
        what = "must be a list: […]" if "tasks" in raw else 'is missing: write {"tasks": […]}'
        problems.add_at(("tasks",), what)
        return []
    items = cast("list[Any]", tasks)
    if not items:
        problems.add_at(("tasks",), _NO_TASKS)
    elif len(items) > MAX_TASKS:
        problems.add_at(("tasks",), too_many(len(items)))
        return []
    return items


def tasks_from(items: Iterable[Task | Mapping[str, Any]]) -> tuple[Task, ...]:
    """Return tasks that were made in Python, objects or mappings as in `tasks.json`. Raises InvalidTasks."""
    problems = Problems()
    tasks = [_task_from(item, ("tasks", place), problems) for place, item in enumerate(items)]
    problems.refuse()
    return tuple(task for task in tasks if task)


def _task_from(item: Any, path: Path, problems: Problems) -> Task | None:
    if isinstance(item, Task):
        return item
    table = dict(cast("Mapping[str, Any]", item)) if isinstance(item, Mapping) else item
    return read_table(Task, table, path, problems, "a task")


def problems_of(document: DispatchInput, personas: Collection[str]) -> list[str]:
    """Return what is wrong with valid tasks taken together, with their typed inputs, and with their personas."""
    problems = Problems()
    outlines = [_outline_of(task, index) for index, task in enumerate(document.tasks)]
    _check(outlines, document.config, personas, problems)
    if not outlines:
        problems.add_at(("tasks",), _NO_TASKS)
    return problems.messages()


def _outline_of(task: Task, index: int) -> _Outline:
    condition = task.when.task if task.when else ""
    return _Outline(
        index, task.task_id, task.agent, "agent", task.description, task.input_data, task.dependencies, condition
    )


def _outline(item: Any, index: int) -> _Outline | None:
    """Take the readable parts of a task that may be invalid; None for a task without an id."""
    if not isinstance(item, dict) or not isinstance((raw := cast("dict[str, Any]", item)).get("task_id"), str):
        return None
    agent_key = "persona" if "persona" in raw and "agent" not in raw else "agent"
    agent, description = (value if isinstance(value, str) else "" for value in map(raw.get, (agent_key, "description")))
    input_data, names, when = raw.get("input_data", {}), raw.get("dependencies"), raw.get("when")
    about = cast("dict[str, Any]", when).get("task") if isinstance(when, dict) else None
    return _Outline(
        index,
        raw["task_id"],
        agent,
        agent_key,
        description,
        cast("dict[str, Any]", input_data) if isinstance(input_data, dict) else None,
        tuple(name for name in cast("list[Any]", names) if isinstance(name, str)) if isinstance(names, list) else (),
        about if isinstance(about, str) else "",
    )


def _check(tasks: Sequence[_Outline], config: DispatchConfig, personas: Collection[str], problems: Problems) -> None:
    for task in tasks:
        if task.agent and task.agent not in personas:
            message = f"there is no persona '{shown(task.agent)}'"
            problems.add_at(task.path(task.agent_key), message, task.agent, personas)
        if task.input_data is not None:
            check_typed(task.agent, task.input_data, task.path("input_data"), problems)
    for name in config.max_per_agent:
        if name not in personas and name != EVERY_OTHER:
            problems.add_at(("config", "max_per_agent"), f"there is no persona '{shown(name)}'", name, personas)
    _check_names(tasks, problems)
    known = {task.task_id for task in tasks}
    for task, name in unknown_dependencies(tasks):
        problems.add(unknown_text(task, name), name, known)
    circles = cycles(tasks)
    for circle in circles:
        problems.add(circle_text(circle))
    _check_references(tasks, known, problems, acyclic=not circles)


def _check_names(tasks: Sequence[_Outline], problems: Problems) -> None:
    """Add ids that are repeated, also in another case: on some disks their traces would be the same file."""
    first: dict[str, _Outline] = {}
    for task in tasks:
        earlier = first.setdefault(task.task_id.casefold(), task)
        if earlier is not task:
            why = "" if earlier.task_id == task.task_id else f", but for its case, as '{shown(earlier.task_id)}'"
            message = f"'{shown(task.task_id)}' is there already, at tasks[{earlier.position}]{why}"
            problems.add_at(task.path("task_id"), message)


def _check_references(tasks: Sequence[_Outline], known: Collection[str], problems: Problems, *, acyclic: bool) -> None:
    """Add references and conditions without an output. Indirect dependencies are only known in an acyclic graph."""
    indirect: list[tuple[_Outline, str, Path]] = []
    for task in tasks:
        if has_reference(task.description):
            message = "references are filled in input_data only; put it there, and speak of it here"
            problems.add_at(task.path("description"), message)
        for path, target in _targets(task, problems):
            if target not in known:
                problems.add_at(path, f"refers to unknown task '{shown(target)}'", target, known)
            elif target not in task.dependencies:
                indirect.append((task, target, path))
    if not (indirect and acyclic):
        return
    reached = depending(tasks, {(task.task_id, target) for task, target, _ in indirect})
    for task, target, path in indirect:
        if (task.task_id, target) not in reached:
            message = f"refers to task '{shown(target)}', which '{shown(task.task_id)}' does not depend on"
            problems.add_at(path, f"{message}; add it to its dependencies")


def _targets(task: _Outline, problems: Problems) -> Iterator[tuple[Path, str]]:
    """Go through the tasks whose output a task asks for, each with the path where it does; add malformed references."""
    for reference in find_references(task.input_data):
        path = task.path("input_data", *reference.path)
        if reference.malformed:
            message = f"'{shown(reference.malformed)}' is no reference; write {{{{ tasks.ID.output.KEY }}}}"
            problems.add_at(path, message)
        else:
            yield path, reference.task
    if task.condition:
        yield task.path("when", "task"), task.condition
