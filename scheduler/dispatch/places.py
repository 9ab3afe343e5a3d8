"""Paths in the input of a task: absolute ones into the repository mean the same place in the run's clone.

Other absolute paths are refused, because a run has no business there, unless `[dispatch] outside` names a folder above
them. Links are followed and `..` is resolved first: a path is judged by where it leads and not by how it is written.
A relative path must stay in the repository, and what a task is to make must be a place that a patch may change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...mail.render import line
from ..context import Context
from ..errors import InvalidTasks
from ..tasks.references import has_reference
from ..tasks.task import Task
from ..weaver.refusal import why_barred

_MADE = "output_path"
_CHECKED = (_MADE, "context_files")
_MAPPED = (*_CHECKED, "affected_files")  # which may name what is broken elsewhere
_LONGEST = 200  # characters of a path in a message
_LISTED = b"worktree "
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_HOME = re.compile(r"~([^/]*/|$)")


@dataclass(frozen=True)
class Places:
    """Where absolute paths may lead: `tops` are the checkouts of the repository, `outside` other folders.

    `clones` is the folder of the runs' clones, which the output of another task may name. All of them are real paths,
    without links.
    """

    tops: tuple[Path, ...] = ()
    outside: tuple[Path, ...] = ()
    clones: Path | None = None

    def mapped(self, task: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input of a task with its absolute paths from the top of the repository. Raises InvalidTasks."""
        if problems := [*self._problems(task, given)]:
            raise InvalidTasks(problems)
        return {key: self._each(value) if key in _MAPPED else value for key, value in given.items()}

    def problems(self, tasks: Sequence[Task]) -> list[str]:
        """Name the paths that lead elsewhere, each with its task; references are not known yet, and pass."""
        return [problem for task in tasks for problem in self._problems(task.task_id, task.input_data)]

    def _problems(self, task: str, given: Mapping[str, Any]) -> Iterator[str]:
        for key in _CHECKED:
            for path in filter(None, _texts(given.get(key))):
                if not has_reference(path) and (why := self._fault(path, made=key == _MADE)):
                    yield f"Task '{task}': {key} {line(path)[:_LONGEST]} is {why}"

    def _fault(self, path: str, *, made: bool) -> str | None:
        """Say what is wrong with a path, of something that is `made` or of something that is there; None if nothing."""
        if _URL.match(path):
            return "no path; write one from the top of the repository"
        place = self._placed(path)
        if place is None:
            more = ", or name a folder above it in outside, in [dispatch] of team.toml"
            return f"outside of the repository; write a path from its top{more if os.path.isabs(path) else ''}"  # noqa: PTH117
        if not made or os.path.isabs(place):  # noqa: PTH117 - a text, which the task gave
            return None
        inside = os.path.normpath(place)
        if inside == ".":
            return "the top of the repository; write the path of a file"
        barred = why_barred(inside)
        return barred and f"{barred}, which no patch may change; write another path"

    def _each(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._each(item) for item in cast("Sequence[Any]", value)]
        return (self._placed(value) or value) if isinstance(value, str) else value

    def _placed(self, path: str) -> str | None:
        """Return a path as the run is to use it; None if it leads elsewhere."""
        if "\0" in path:
            return None
        if not os.path.isabs(path):  # noqa: PTH117 - a text, which the task gave
            leaves = _HOME.match(path) or Path(os.path.normpath(path)).parts[:1] == ("..",)
            return None if leaves else path
        real = _real(path)
        if self.clones and real.is_relative_to(self.clones):
            return str(Path(*real.relative_to(self.clones).parts[1:]))
        tops = [top for top in self.tops if real.is_relative_to(top)]
        if tops:  # the innermost: a linked worktree may lie within another checkout
            return str(real.relative_to(max(tops, key=lambda top: len(top.parts))))
        return path if any(real.is_relative_to(folder) for folder in self.outside) else None


def names_paths(given: Mapping[str, Any]) -> bool:
    """Tell whether the input of a task may have paths, so that it matters where these lead."""
    return any(key in given for key in _MAPPED)


def places_of(context: Context, *, repository: bool) -> Places:
    """Return where absolute paths of a team's tasks may lead; `repository` tells whether it works on one."""
    outside = tuple(_real(Path(folder).expanduser()) for folder in context.settings.dispatch.outside)
    if not repository:
        return Places((), outside)
    listed = context.git.run("worktree", "list", "--porcelain", "-z").stdout.split(b"\0")
    worktrees = [os.fsdecode(row.removeprefix(_LISTED)) for row in listed if row.startswith(_LISTED)]
    tops = [context.top, *(top for top in map(Path, worktrees) if (top / ".git").exists())]
    return Places(tuple(map(_real, tops)), outside)


def _texts(value: Any) -> list[str]:
    values = [*cast("Sequence[Any]", value)] if isinstance(value, list | tuple) else [value]
    return [text for text in values if isinstance(text, str)]


def _real(path: str | Path) -> Path:
    """Follow the links of a path, as far as it exists."""
    return Path(os.path.realpath(path))
