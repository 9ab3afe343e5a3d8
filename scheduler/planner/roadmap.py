"""Roadmaps as people write them: the models of phases and tasks, checked field by field when they are read.

`roadmap_file` checks what concerns several tasks. Every value may be text, as from YAML. Durations become seconds; in
a roadmap a number without a unit is hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ...mail.text.globs import checked, is_path
from ...mail.text.units import seconds
from ...personas.frontmatter import BOOLEANS
from ..tasks.task import Table, Task, TaskId, Workers
from .item import Item

_HOUR = 3_600.0
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
NO_ESTIMATE = "has no estimate, and a plan needs the time of every task"


class Node(NamedTuple):
    """An item as a node of the graph of tasks."""

    task_id: str
    dependencies: tuple[str, ...]


def nodes(items: Iterable[Item]) -> list[Node]:
    """Convert items to nodes of `tasks.graph`."""
    return [Node(item.id, item.dependencies) for item in items]


def _hours(value: Any) -> float:
    """Read a duration: `"2h"`, `"1h30m"`, or a number of hours. Returns seconds."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    try:
        length = seconds(value * _HOUR if isinstance(value, int | float) and not isinstance(value, bool) else value)
    except ValueError:
        length = 0.0
    if not length:
        raise ValueError('must be a span of time ("90m", "2h", "1h30m") or a number of hours, above 0')
    return length


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
    """Convert a list to a tuple, and one text to a tuple of one."""
    return (value,) if isinstance(value, str) else _sequence(value)


def _path(value: str) -> str:
    if not is_path(path := checked(value)):
        raise ValueError("must be the path of one file or folder, without wildcards")
    return path


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
    """A table of a roadmap. A key without a value counts as missing."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, table: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in table.items() if value is not None}


class TaskEntry(Entry):
    """One task of a roadmap. `estimate` is in seconds; a manual task may have none."""

    id: TaskId
    title: Words = ""
    description: str = ""
    estimate: Hours | None = None
    persona: Words = ""
    files: Globs = ()
    creates: Globs = ()
    renames: dict[Path, Path] = Field(default_factory=dict[str, str])
    dependencies: Names = ()
    manual: Flag = False
    priority: Annotated[int, BeforeValidator(_whole)] = 0

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.estimate is None and not self.manual:
            raise ValueError(f"'{self.id}' {NO_ESTIMATE}; write estimate: 2h, or manual: true")
        return self

    def item(self, phase: int) -> Item:
        """Return this task as an item of the phase with this index."""
        return Item(
            self.id, self.title or self.id, phase, self.estimate or 0.0, self.persona, self.files, self.creates,
            tuple(self.renames.items()), self.dependencies, self.manual, self.priority, self.description,
        )  # fmt: skip


class PhaseEntry(Entry):
    """One phase of a roadmap. Its tasks are validated one by one, so that each reports its own problems."""

    title: Words = ""
    note: Words = ""
    tasks: Annotated[Entries, AfterValidator(_some)]


class RoadmapEntry(Entry):
    """The top of a roadmap. Its phases and tasks are validated one by one."""

    title: Words = ""
    workers: Annotated[Workers, BeforeValidator(_whole)] | None = None
    phase_barriers: Flag = True
    phases: Entries = ()
    tasks: Entries = ()


def item_of(task: Task) -> Item:
    """Return a task of a dispatch as an item; its title is the first line of its description."""
    title = _words(task.description.strip().partition("\n")[0]) or task.task_id
    return Item(
        task.task_id, title, 0, task.estimate or 0.0, task.agent, task.files, task.creates, (), task.dependencies,
        priority=task.priority, description=task.description, when=task.when.text if task.when else "",
    )  # fmt: skip
