"""A roadmap from bytes: YAML or JSON, or the `tasks.json` of a dispatch. All problems are reported at once.

Each problem begins with its place, in YAML also with the line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, cast

from ...mail.render import line
from ...personas.frontmatter import Fault, read_yaml
from ..errors import InvalidTasks
from ..problems import Path, Problems, shown, where
from ..tasks.graph import circle_text, cycles, unknown_text
from ..tasks.reader import input_from
from ..tasks.strict import read_json
from ..tasks.task import MAX_TASKS, DispatchInput, read_table, too_many
from .item import Item, Phase, Roadmap
from .roadmap import NO_ESTIMATE, PhaseEntry, RoadmapEntry, TaskEntry, item_of, nodes

MAX_YAML = 1 << 20  # bytes: parsing YAML in Python is slow
_NO_ROADMAP = "must be a roadmap: a title, workers, and phases that have tasks, or tasks alone"


class _Placed(NamedTuple):
    """An item and its path in the file."""

    item: Item
    path: Path


def read_roadmap(data: bytes, name: str, personas: Collection[str] | None) -> Roadmap:
    """Read a roadmap from the file `name`; `personas`, if given, are those that tasks may be for.

    Raises InvalidTasks with all problems.
    """
    value, problems = _read(data, name)
    if not isinstance(value, dict):
        raise InvalidTasks([f"{shown(name)}: {_NO_ROADMAP}"])
    table, title = cast("dict[str, Any]", value), PurePath(name).stem
    if _is_dispatch(table):
        return _roadmap_of(input_from(table, _agents(table) if personas is None else personas), title)
    head = read_table(RoadmapEntry, table, (), problems, "a roadmap") or RoadmapEntry()
    phases = [_phase(raw, path, problems) for path, raw in _entries(table, "phases")] or [Phase("")]
    placed, invalid = _tasks(table, problems)
    items = tuple(item for item, _ in placed)
    roadmap = Roadmap(head.title or title, tuple(phases), items, head.workers, head.phase_barriers)
    _check(roadmap, placed, invalid, problems)
    if personas is not None:
        _check_personas(placed, personas, problems)
    problems.refuse()
    return roadmap


def _read(data: bytes, name: str) -> tuple[Any, Problems]:
    """Return the value of a file, and a collector for its problems."""
    kind = PurePath(name).suffix.lower()
    if kind == ".json" or (kind not in {".yaml", ".yml"} and data.lstrip()[:1] in {b"{", b"["}):
        return read_json(data), Problems()
    if len(data) > MAX_YAML:
        raise InvalidTasks([f"{shown(name)}: has more than {MAX_YAML:,} bytes; write a roadmap of that size as JSON"])
    try:
        value, lines = read_yaml(data.decode())
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise InvalidTasks([f"{shown(name)}:{number}: is not UTF-8; save it as UTF-8"]) from None
    except Fault as fault:
        raise InvalidTasks([f"{shown(name)}:{fault.line}: {line(str(fault))}"]) from None
    if isinstance(value, dict) and _is_dispatch(cast("dict[str, Any]", value)):
        raise InvalidTasks([f"{shown(name)}: tasks with a task_id are those of a dispatch; write them as JSON"])
    return cast("Any", value), Problems(name, lines)


def _entries(table: Mapping[str, Any], key: str, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Go through the list `key` of a table, if it is a list: each entry with its path."""
    value = table.get(key)
    for index, raw in enumerate(cast("list[Any]", value) if isinstance(value, list) else ()):
        yield (*above, key, index), raw


def _phase(raw: Any, path: Path, problems: Problems) -> Phase:
    entry = read_table(PhaseEntry, raw, path, problems, "a phase")
    return Phase(entry.title, entry.note) if entry else Phase("")


def _tasks(table: Mapping[str, Any], problems: Problems) -> tuple[list[_Placed], set[str]]:
    """Read every valid task; return them with the names of the invalid ones."""
    if table.get("tasks") and table.get("phases"):
        problems.add_at(("tasks",), "stand beside phases; put each task into one of the phases")
    entries = list(_raw_tasks(table))
    if not entries and not table.get("tasks") and not table.get("phases"):
        problems.add_at(("tasks",), "there are none; write a list of tasks, or phases that have tasks")
    if len(entries) > MAX_TASKS:
        problems.add_at(("tasks",), too_many(len(entries)))
        problems.refuse()
    placed: list[_Placed] = []
    invalid: set[str] = set()
    for phase, path, raw in entries:
        if entry := read_table(TaskEntry, raw, path, problems, "a task"):
            placed.append(_Placed(entry.item(phase), path))
        elif isinstance(raw, dict) and isinstance(name := cast("dict[str, Any]", raw).get("id"), str):
            invalid.add(name)
    return placed, invalid


def _raw_tasks(table: Mapping[str, Any]) -> Iterator[tuple[int, Path, Any]]:
    """Go through the tasks before they are validated: the index of the phase, the path, the value."""
    for path, raw in _entries(table, "tasks"):
        yield 0, path, raw
    for phase, (path, entry) in enumerate(_entries(table, "phases")):
        for below, raw in _entries(cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}, "tasks", path):
            yield phase, below, raw


def _check(roadmap: Roadmap, placed: Sequence[_Placed], invalid: Collection[str], problems: Problems) -> None:
    """Add what is wrong with items taken together; `invalid` are the names of tasks with problems of their own."""
    _check_names(placed, problems)
    paths = {item.id: path for item, path in reversed(placed)}
    items = {item.id: item for item, _ in reversed(placed)}
    names = {*items, *invalid}
    for item, path in placed:
        for index, name in enumerate(item.dependencies):
            at = (*path, "dependencies", index)
            if name not in names:
                problems.add_at(at, unknown_text(item.id, name), name, names)
            elif name in items and roadmap.phase_barriers and items[name].phase > item.phase:
                problems.add_at(at, _too_late(roadmap, item, items[name]))
    for circle in cycles(nodes(item for item, _ in placed)):
        problems.add_at((*paths[circle[0]], "dependencies"), circle_text(circle))


def _check_personas(placed: Sequence[_Placed], personas: Collection[str], problems: Problems) -> None:
    """Add unknown personas; a manual task may name any person."""
    for item, path in placed:
        if item.persona and not item.manual and item.persona not in personas:
            problems.add_at((*path, "persona"), f"no persona '{shown(item.persona)}'", item.persona, personas)


def _check_names(placed: Sequence[_Placed], problems: Problems) -> None:
    """Add repeated names, also in another case: on some disks the traces of both would be the same file."""
    seen: dict[str, Path] = {}
    for item, path in placed:
        if earlier := seen.get(item.id.lower()):
            problems.add_at((*path, "id"), f"'{item.id}' is the name of {where(earlier)} too; give it its own")
        seen.setdefault(item.id.lower(), path)


def _too_late(roadmap: Roadmap, item: Item, needed: Item) -> str:
    title = shown(roadmap.phases[needed.phase].title) or str(needed.phase + 1)
    return (
        f"Task '{item.id}' depends on '{needed.id}' of a later phase, {title}; move one of them, "
        "or write phase_barriers: false at the top"
    )


def _is_dispatch(table: Mapping[str, Any]) -> bool:
    return any(isinstance(raw, dict) and "task_id" in raw for _, raw in _entries(table, "tasks"))


def _agents(table: Mapping[str, Any]) -> set[str]:
    """Return all personas that tasks name, for a caller that does not know the team."""
    raws = [cast("dict[str, Any]", raw) for _, raw in _entries(table, "tasks") if isinstance(raw, dict)]
    return {name for raw in raws for key in ("agent", "persona") if isinstance(name := raw.get(key), str)}


def _roadmap_of(document: DispatchInput, title: str) -> Roadmap:
    """Make a roadmap of one phase from the tasks of a dispatch. Raises InvalidTasks for those without an estimate."""
    problems = Problems()
    for index, task in enumerate(document.tasks):
        if not task.estimate:
            message = f"'{task.task_id}' {NO_ESTIMATE}; write \"30m\" or seconds"
            problems.add_at(("tasks", index, "estimate"), message)
    problems.refuse()
    workers = document.config.max_workers if "max_workers" in document.config.model_fields_set else None
    return Roadmap(title, (Phase(""),), tuple(map(item_of, document.tasks)), workers)
