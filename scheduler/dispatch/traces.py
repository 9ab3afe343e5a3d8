"""Traces on disk: one file for each task and an index, exported from the log. Each file is written atomically.

The names of validated tasks cannot lead out of the folder, a symbolic link in the way is replaced, not followed, and a
file that is no trace is left as it is: a tasks file chooses both folder and names. A file that cannot be written is
only reported: the facts are in the log, and `team trace` writes them again.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ...mail.log.blobs import BlobMissing, Blobs
from ...mail.log.disk import read_file, reason_of, write_new
from ..errors import NotReady
from ..state.dispatches import DispatchState
from ..tasks.task import DispatchConfig, Task
from .output import index, trace

_TRACE = {"task_id", "agent", "execution_time_ms", "mcp_calls"}  # keys by which a trace is known
_NO_TRACE = "is there already, and is no trace of a task"


class Traces:
    """The folder of a dispatch's traces; with None nothing is written.

    `problems` has a message for each file that could not be written.
    """

    def __init__(self, folder: str | None, blobs: Blobs) -> None:
        self.name = os.path.normpath(folder or ".")
        self.folder = Path(folder or ".").absolute()
        self._is_wanted = folder is not None
        self.problems: dict[str, None] = {}
        self._blobs = blobs
        self._written: set[str] = set()
        self._lock = threading.Lock()

    def prepare(self, tasks: Iterable[str]) -> None:
        """Create the folder. Raises NotReady if nothing can be written there, or a task's file is no trace."""
        if not self._is_wanted:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = self.folder / _scratch()
            scratch.touch()
            scratch.unlink()
            taken = next((name for task in tasks if not _may_write(self.folder / (name := f"{task}.json"))), None)
        except OSError as error:
            raise NotReady(
                f"no traces can be written into {self.name}: {reason_of(error)}; name another folder"
            ) from None
        if taken:
            raise NotReady(f"{self.name}/{taken} {_NO_TRACE}; name another folder, or another task")

    def file(self, task: str) -> str | None:
        """Return the path of a task's trace, as the result names it; None if it was not written."""
        return os.path.join(self.name, f"{task}.json") if task in self._written else None  # noqa: PTH118 - as given

    def write(self, dispatch: DispatchState, task: Task) -> None:
        """Write a task's trace."""
        if not self._is_wanted:
            return
        name = f"{task.task_id}.json"
        try:
            document = trace(dispatch, task, self._blobs)
        except BlobMissing as missing:
            self._failed(name, str(missing))
            return
        if self._put(name, document):
            with self._lock:
                self._written.add(task.task_id)

    def write_index(self, dispatch: DispatchState, tasks: Sequence[Task], config: DispatchConfig) -> str | None:
        """Write the index of a dispatch; return its path, None if it could not be written.

        It is named by the second of the start. If that name is taken, the dispatch's short id is added.
        """
        if not self._is_wanted:
            return None
        stamp = "".join(letter for letter in dispatch.sitting[:19] if letter.isdigit())
        stem = f"dispatch-{stamp[:8]}_{stamp[8:]}"
        name = self._put(f"{stem}.json", index(dispatch, tasks, config, self.file), f"{stem}_{dispatch.short}.json")
        return os.path.join(self.name, name) if name else None  # noqa: PTH118 - as given

    def _failed(self, name: str, why: str) -> None:
        with self._lock:
            self.problems[f"{self.name}/{name} cannot be written: {why}"] = None

    def _put(self, name: str, document: dict[str, Any], spare: str = "") -> str | None:
        """Write a file, under the name `spare` if `name` is taken; return the name used, None if writing failed."""
        scratch, is_there = self.folder / _scratch(), True
        try:
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
            write_new(str(scratch), text.encode(errors="backslashreplace"))
            name = spare if spare and _is_taken(self.folder / name, scratch) else name
            if not spare and not _may_write(self.folder / name):
                self._failed(name, f"it {_NO_TRACE}")
                return None
            scratch.replace(self.folder / name)
            is_there = bool(spare)  # if `_is_taken` has linked it, both names are left
        except OSError as error:
            self._failed(name, reason_of(error))
            return None
        finally:
            if is_there:
                with suppress(OSError):
                    scratch.unlink()
        return name


def _may_write(path: Path) -> bool:
    """Tell whether a trace may take a path: nothing is there, or a link, or an earlier trace."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(mode):
        return stat.S_ISLNK(mode)
    try:
        known: Any = json.loads(read_file(path))
    except (ValueError, RecursionError):
        return False
    return isinstance(known, dict) and {*cast("dict[str, Any]", known)} >= _TRACE


def _is_taken(path: Path, scratch: Path) -> bool:
    """Link a file to `path` unless that exists; tell whether it does. Of two concurrent callers one gets the name."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        return True
    except OSError:  # a file system without hard links
        return path.exists()
    return False


def _scratch() -> str:
    return f".{secrets.token_hex(8)}"
