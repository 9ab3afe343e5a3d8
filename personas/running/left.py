"""What a scheduler leaves in a run's folder for the next one, in case it ends before the run does: `launch.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from ...mail.log.disk import read_file, replace_file
from ..keeping.version import VERSION
from .process import is_going, read_report

_FILE = "launch.json"


class LeftRun(NamedTuple):
    """What the end of a run depends on, beside what it leaves itself.

    `head` is the seq of the last event before it, `read` the ids of the mail it was given, `conflict` what it was given
    of a conflict, and `ready` what its workspace was prepared with, both as JSON can hold them.
    """

    head: int
    read: tuple[str, ...]
    conflict: Mapping[str, Any]
    ready: Mapping[str, Any]


def write_left(folder: Path, left: LeftRun) -> None:
    """Write down what the next scheduler needs. An agent that is a process starts after it."""
    replace_file(folder / _FILE, json.dumps({"v": VERSION, **left._asdict()}).encode())


def read_left(folder: Path) -> LeftRun | None:
    """Return what a scheduler wrote down; None if there is nothing, or nothing of this version."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = cast("dict[str, Any]", json.loads(read_file(folder / _FILE)))
        if data["v"] == VERSION:
            return LeftRun(
                int(data["head"]), tuple(map(str, data["read"])), dict(data["conflict"]), dict(data["ready"])
            )
    return None


def has_left(folder: Path) -> bool:
    """Tell whether a scheduler wrote anything down, of whatever version."""
    return (folder / _FILE).exists()


def is_left(folder: Path) -> bool:
    """Tell whether a run whose scheduler is gone goes on, or has ended with a report; else it is lost."""
    return read_left(folder) is not None and (is_going(folder) or read_report(folder) is not None)
