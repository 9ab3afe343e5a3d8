"""Roadmaps as people write them: phases and tasks with their times and files, checked field by field when read.

What only shows when all tasks are seen together is found by `roadmap_problems`. Every value may be text, as YAML has
it; times become seconds here, where a number alone is hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ...mail.globs import checked, is_path
from ...mail.units import seconds
from ...personas.frontmatter import BOOLEANS
from ..tasks.task import Table, Task, TaskId, Workers
from .item import Item

MAX_LIST = 1_000  # entries in one list of a task
_HOUR = 3_600.0
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
NO_ESTIMATE = "has no estimate, and a plan needs the time of every task"


class Node(NamedTuple):
    """An item as the graph of tasks takes it."""

    task_id: str
    dependencies: tuple[str, ...]


def nodes(items: Iterable[Item]) -> list[Node]:
    """Make items what `task_graph` takes."""
    return [Node(item.id, item.dependencies) for item in items]


def _hours(value: Any) -> float:
    """Read a time: `"2h"`, `"1h30m"`, or a number of hours. Returns seconds."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    try:
        found = seconds(value * _HOUR if isinstance(value, int | float) and not isinstance(value, bool) else value)
    except ValueError:
        found = 0.0
    if not found:
        raise ValueError('must be a span of time ("90m", "2h", "1h30m") or a number of hours, above 0')
    return found


def _flag(value: Any) -> Any:
    flag = BOOLEANS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - the only kind that pydantic takes for a wrong value
    return flag


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


def _sequence(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise ValueError("must be a list of at least one task")
    return value


def _listed(value: Any) -> Any:
    """Take one text for a list of one, and a list for a tuple."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and len(cast("list[Any]", value)) > MAX_LIST:
        raise ValueError(f"must be a list of at most {MAX_LIST:,}")
    return _sequence(cast("Any", value))


def _path(value: str) -> str:
    if not is_path(found := checked(value)):
        raise ValueError("must be the path of one file or folder, without wildcards")
    return found


def _words(value: str) -> str:
    return " ".join(value.split())


Words = Annotated[str, AfterValidator(_words)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Globs = Annotated[tuple[Annotated[str, AfterValidator(checked)], ...], BeforeValidator(_listed)]
Path = Annotated[str, AfterValidator(_path)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Entries = Annotated[tuple[Any, ...], BeforeValidator(_sequence)]
Hours = Annotated[float, BeforeValidator(_hours)]


class Entry(Table):
    """A table of a roadmap; a key without a value is one that is not there."""

    @model_validator(mode="before")
    @classmethod
    def _told(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {key: told for key, told in value.items() if told is not None}


class TaskEntry(Entry):
    """One task of a roadmap. `estimate` is in seconds once it is read; a manual task may be without."""

    id: TaskId
    title: Words = ""
    description: str = ""
    estimate: Hours | None = None
    persona: Words = ""
    files: Globs = ()
    creates: Globs = ()
    renames: dict[Path, Path] = Field(default_factory=dict[str, str], max_length=MAX_LIST)
    dependencies: Names = ()
    manual: Flag = False
    priority: Annotated[int, BeforeValidator(_whole)] = 0

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.estimate is None and not self.manual:
            raise ValueError(f"'{self.id}' {NO_ESTIMATE}; write estimate: 2h, or manual: true")
        return self

    def item(self, phase: int) -> Item:
        """Return the item that this task is, in the phase with this index."""
        return Item(
            self.id, self.title or self.id, phase, self.estimate or 0.0, self.persona, self.files, self.creates,
            tuple(self.renames.items()), self.dependencies, self.manual, self.priority, self.description,
        )  # fmt: skip


class PhaseEntry(Entry):
    """One phase of a roadmap, but for what its tasks hold: each is read alone, and has its own mistakes told."""

    title: Words = ""
    note: Words = ""
    tasks: Annotated[Entries, AfterValidator(_some)]


class RoadmapEntry(Entry):
    """A roadmap as it is written, but for what its phases and tasks hold."""

    title: Words = ""
    workers: Annotated[Workers, BeforeValidator(_whole)] | None = None
    phase_barriers: Flag = True
    phases: Entries = ()
    tasks: Entries = ()


def item_of(task: Task) -> Item:
    """Return the item that a task of a dispatch is; its title is the first line of its description."""
    title = _words(task.description.strip().partition("\n")[0]) or task.task_id
    return Item(
        task.task_id, title, 0, task.estimate or 0.0, task.agent, task.files, task.creates, (), task.dependencies,
        priority=task.priority, description=task.description,
    )  # fmt: skip
