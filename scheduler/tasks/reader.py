"""`tasks.json` from outside: read so that it cannot hurt, and checked as a whole before anything starts.

Everything that is wrong is said at once, each in one line that begins with its place or names the task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

from ..errors import InvalidTasks
from ..problems import Problems, shown, where
from .graph import circle_text, cycles, depending, unknown_dependencies, unknown_text
from .references import Reference, find_references, has_reference
from .strict import MAX_BYTES, read_json
from .task import EVERY_OTHER, MAX_TASKS, DispatchConfig, DispatchInput, Task, read_table, too_many
from .typed import check_typed

_PIECE = 1 << 16
_NOTHING = "tasks: is empty; there is nothing to dispatch"


class _Given(NamedTuple):
    """A task as far as it can be read, so that one mistake in it does not hide the others; `place` is its index."""

    place: int
    task_id: str
    agent: str
    description: str
    input_data: Mapping[str, Any] | None
    dependencies: tuple[str, ...]


def read_limited(stream: BinaryIO, most: int = MAX_BYTES) -> bytes:
    """Read a stream to its end, but no more than one byte past the cap, which is what `read_input` refuses."""
    pieces: list[bytes] = []
    left = most + 1
    while left and (piece := stream.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def read_input(data: bytes, personas: Collection[str]) -> DispatchInput:
    """Read `tasks.json`, whose agents have to be among `personas`. Raises InvalidTasks with all that is wrong."""
    raw = read_json(data)
    if not isinstance(raw, dict):
        raise InvalidTasks(['the input must be an object: {"tasks": […], "config": {…}}'])
    return input_from(cast("dict[str, Any]", raw), personas)


def input_from(raw: Mapping[str, Any], personas: Collection[str]) -> DispatchInput:
    """Make a dispatch's input of what `read_json` gave. Raises InvalidTasks with all that is wrong."""
    problems = Problems()
    for name in raw:
        if name not in DispatchInput.model_fields:
            problems.add(f"{where((name,))}: is no field of the input", name, DispatchInput.model_fields)
    items = _items(raw, problems)
    tasks = [read_table(Task, item, ("tasks", place), problems, "a task") for place, item in enumerate(items)]
    config = read_table(DispatchConfig, raw.get("config", {}), ("config",), problems, "the config")
    given = [found for place, item in enumerate(items) if (found := _given(item, place))]
    _check(given, config or DispatchConfig(), personas, problems)
    problems.refuse()
    return DispatchInput(tasks=tuple(task for task in tasks if task), config=config or DispatchConfig())


def _items(raw: Mapping[str, Any], problems: Problems) -> list[Any]:
    tasks = raw.get("tasks")
    if not isinstance(tasks, list):
        what = "must be a list: […]" if "tasks" in raw else 'is missing: write {"tasks": […]}'
        problems.add(f"tasks: {what}")
        return []
    items = cast("list[Any]", tasks)
    if not items:
        problems.add(_NOTHING)
    elif len(items) > MAX_TASKS:
        problems.add(f"tasks: {too_many(len(items), MAX_TASKS)}")
        return []
    return items


def problems_of(found: DispatchInput, personas: Collection[str]) -> list[str]:
    """Say what is wrong with tasks that are well one by one: together, with their typed input, and for this team."""
    problems = Problems()
    given = [
        _Given(place, task.task_id, task.agent, task.description, task.input_data, task.dependencies)
        for place, task in enumerate(found.tasks)
    ]
    _check(given, found.config, personas, problems)
    if not given:
        problems.add(_NOTHING)
    return problems.told()


def _given(item: Any, place: int) -> _Given | None:
    """Take what can be taken of a task that may be wrong; nothing of one without a name."""
    if not isinstance(item, dict) or not isinstance((raw := cast("dict[str, Any]", item)).get("task_id"), str):
        return None
    agent, told = (value if isinstance(value, str) else "" for value in (raw.get("agent"), raw.get("description")))
    input_data, needs = raw.get("input_data", {}), raw.get("dependencies")
    return _Given(
        place,
        raw["task_id"],
        agent,
        told,
        cast("dict[str, Any]", input_data) if isinstance(input_data, dict) else None,
        tuple(name for name in cast("list[Any]", needs) if isinstance(name, str)) if isinstance(needs, list) else (),
    )


def _check(given: Sequence[_Given], config: DispatchConfig, personas: Collection[str], problems: Problems) -> None:
    for task in given:
        if task.agent and task.agent not in personas:
            path = where(("tasks", task.place, "agent"))
            problems.add(f"{path}: there is no persona '{shown(task.agent)}'", task.agent, personas)
        if task.input_data is not None:
            check_typed(task.agent, task.input_data, ("tasks", task.place, "input_data"), problems)
    for name in config.max_per_agent:
        if name not in personas and name != EVERY_OTHER:
            problems.add(f"config.max_per_agent: there is no persona '{shown(name)}'", name, personas)
    _check_names(given, problems)
    known = {task.task_id for task in given}
    for task, name in unknown_dependencies(given):
        problems.add(unknown_text(task, name), name, known)
    circles = cycles(given)
    for circle in circles:
        problems.add(circle_text(circle))
    _check_references(given, known, problems, ordered=not circles)


def _check_names(given: Sequence[_Given], problems: Problems) -> None:
    """Add ids that are there twice, also where only case tells them apart: their traces could be one file."""
    first: dict[str, _Given] = {}
    for task in given:
        other = first.setdefault(task.task_id.casefold(), task)
        if other is not task:
            why = "" if other.task_id == task.task_id else f", but for its case, as '{shown(other.task_id)}'"
            path = where(("tasks", task.place, "task_id"))
            problems.add(f"{path}: '{shown(task.task_id)}' is there already, at tasks[{other.place}]{why}")


def _check_references(given: Sequence[_Given], known: Collection[str], problems: Problems, *, ordered: bool) -> None:
    """Add references that cannot be filled. While there are circles, nobody can say what comes before what."""
    indirect: list[tuple[_Given, Reference]] = []
    for task in given:
        if has_reference(task.description):
            path = where(("tasks", task.place, "description"))
            problems.add(f"{path}: references are filled in input_data only; put it there, and speak of it here")
        for found in find_references(task.input_data):
            path = where(("tasks", task.place, "input_data", *found.path))
            if found.malformed:
                problems.add(f"{path}: '{shown(found.malformed)}' is no reference; write {{{{ tasks.ID.output.KEY }}}}")
            elif found.task not in known:
                problems.add(f"{path}: refers to unknown task '{found.task}'", found.task, known)
            elif found.task not in task.dependencies:
                indirect.append((task, found))
    if not (indirect and ordered):
        return
    reached = depending(given, {(task.task_id, found.task) for task, found in indirect})
    for task, found in indirect:
        if (task.task_id, found.task) not in reached:
            path = where(("tasks", task.place, "input_data", *found.path))
            problems.add(
                f"{path}: refers to task '{found.task}', which '{shown(task.task_id)}' does not depend on; "
                "add it to its dependencies"
            )
