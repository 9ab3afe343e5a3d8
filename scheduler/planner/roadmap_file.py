"""A roadmap from bytes: YAML or JSON, or the tasks.json of a dispatch, with everything that is wrong told at once.

Each problem begins with its place, in YAML also the line. What comes in is a stranger's: its size and depth have caps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import PurePath
from typing import Any, cast

from ...mail.render import line
from ...personas.frontmatter import Fault, read_yaml
from ..errors import InvalidTasks
from ..problems import Problems, shown, where
from ..tasks.reader import input_from
from ..tasks.strict import Path, read_json
from ..tasks.task import DispatchInput, read_table
from .item import Phase, Roadmap
from .roadmap import NO_ESTIMATE, PhaseEntry, RoadmapEntry, TaskEntry, item_of
from .roadmap_problems import Located, Placed, check_personas, check_whole

MAX_YAML = 1 << 20
MAX_TASKS = 5_000
_NO_ROADMAP = "must be a roadmap: a title, workers, and phases that have tasks, or tasks alone"


def read_roadmap(data: bytes, name: str, personas: Collection[str] | None) -> Roadmap:
    """Read a roadmap; `name` is its file's, to be shown. Personas that are not among `personas` are refused, if given.

    Raises InvalidTasks with everything that is wrong.
    """
    value, problems = _read(data, name)
    if not isinstance(value, dict):
        raise InvalidTasks([f"{shown(name)}: {_NO_ROADMAP}"])
    table, title = cast("dict[str, Any]", value), PurePath(name).stem
    if _is_dispatch(table):
        return _roadmap_of(input_from(table, _agents(table) if personas is None else personas), title)
    head = read_table(RoadmapEntry, table, (), problems, "a roadmap") or RoadmapEntry()
    phases = [_phase(raw, path, problems) for path, raw in _entries(table, "phases")] or [Phase("")]
    placed, unread = _tasks(table, problems)
    items = tuple(one.item for one in placed)
    roadmap = Roadmap(head.title or title, tuple(phases), items, head.workers, head.phase_barriers)
    check_whole(roadmap, placed, unread, problems)
    if personas is not None:
        check_personas(placed, personas, problems)
    problems.refuse()
    return roadmap


def _read(data: bytes, name: str) -> tuple[Any, Problems]:
    """Return what a file holds, and where to put what is wrong with it."""
    kind = PurePath(name).suffix.lower()
    if kind == ".json" or (kind not in {".yaml", ".yml"} and data.lstrip()[:1] in {b"{", b"["}):
        return read_json(data), Problems()
    if len(data) > MAX_YAML:
        raise InvalidTasks([f"{shown(name)}: has more than {MAX_YAML:,} bytes; write a roadmap of that size as JSON"])
    try:
        found, lines = read_yaml(data.decode())
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise InvalidTasks([f"{shown(name)}:{at}: is not UTF-8; save it as UTF-8"]) from None
    except Fault as fault:
        raise InvalidTasks([f"{shown(name)}:{fault.line}: {line(str(fault))}"]) from None
    value = cast("dict[str, Any] | None", found) if isinstance(found, dict) else None
    if value and _is_dispatch(value):
        raise InvalidTasks([f"{shown(name)}: tasks with a task_id are those of a dispatch; write them as JSON"])
    return value, Located(name, lines)


def _entries(table: Mapping[str, Any], key: str, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Go through a list of a table, if it is one, each entry with its path."""
    found = table.get(key)
    for at, raw in enumerate(cast("list[Any]", found) if isinstance(found, list) else ()):
        yield (*above, key, at), raw


def _phase(raw: Any, path: Path, problems: Problems) -> Phase:
    entry = read_table(PhaseEntry, raw, path, problems, "a phase")
    return Phase(entry.title, entry.note) if entry else Phase("")


def _tasks(table: Mapping[str, Any], problems: Problems) -> tuple[list[Placed], set[str]]:
    """Read every task that can be read; return them, and the names of the others."""
    if table.get("tasks") and table.get("phases"):
        problems.add("tasks: stand beside phases; put each task into one of the phases")
    entries = list(islice(_raw_tasks(table), MAX_TASKS + 1))
    if not entries and not table.get("tasks") and not table.get("phases"):
        problems.add("tasks: there are none; write a list of tasks, or phases that have tasks")
    if len(entries) > MAX_TASKS:
        problems.add(f"tasks: there are more than {MAX_TASKS:,}; nobody could read that plan")
        problems.refuse()
    placed: list[Placed] = []
    unread: set[str] = set()
    for phase, path, raw in entries:
        if entry := read_table(TaskEntry, raw, path, problems, "a task"):
            placed.append(Placed(entry.item(phase), path))
        elif isinstance(raw, dict) and isinstance(name := cast("dict[str, Any]", raw).get("id"), str):
            unread.add(name)
    return placed, unread


def _raw_tasks(table: Mapping[str, Any]) -> Iterator[tuple[int, Path, Any]]:
    """Go through the tasks as they are written, each with the index of its phase, and its path."""
    for path, raw in _entries(table, "tasks"):
        yield 0, path, raw
    for phase, (path, held) in enumerate(_entries(table, "phases")):
        for below, raw in _entries(cast("dict[str, Any]", held) if isinstance(held, dict) else {}, "tasks", path):
            yield phase, below, raw


def _is_dispatch(table: Mapping[str, Any]) -> bool:
    return any(isinstance(raw, dict) and "task_id" in raw for _, raw in _entries(table, "tasks"))


def _agents(table: Mapping[str, Any]) -> set[str]:
    """Return all agents that are named, for whoever does not know the team."""
    raws = [cast("dict[str, Any]", raw) for _, raw in _entries(table, "tasks") if isinstance(raw, dict)]
    return {raw["agent"] for raw in raws if isinstance(raw.get("agent"), str)}


def _roadmap_of(found: DispatchInput, title: str) -> Roadmap:
    """Make a roadmap of one phase of the tasks of a dispatch. Raises InvalidTasks for those without an estimate."""
    problems = Problems()
    for at, task in enumerate(found.tasks):
        if not task.estimate:
            problems.add(
                f"{where(('tasks', at, 'estimate'))}: '{task.task_id}' {NO_ESTIMATE}; write \"30m\" or seconds"
            )
    problems.refuse()
    workers = found.config.max_workers if "max_workers" in found.config.model_fields_set else None
    return Roadmap(title, (Phase(""),), tuple(map(item_of, found.tasks)), workers)
