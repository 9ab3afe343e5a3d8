"""Traces on disk: one file for each task and an index, exported from the log into a folder, each whole or not at all.

Names are those of checked tasks, so none leads out of the folder; a link that lies in the way is replaced, not
followed. What cannot be written costs a file: the facts are in the log, and `team trace` tells them again.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...mail.log.blobs import BlobMissing, Blobs
from ...mail.log.disk import reason_of
from ..errors import NotReady
from ..state.dispatches import DispatchState
from ..tasks.task import DispatchConfig, Task
from .output import index, trace


class Traces:
    """The folder of a dispatch's traces. `problems` are what could not be written, each once."""

    def __init__(self, folder: str, blobs: Blobs) -> None:
        self.name = os.path.normpath(folder)
        self.folder = Path(folder).absolute()
        self.problems: dict[str, None] = {}
        self._blobs = blobs
        self._written: set[str] = set()
        self._turn = threading.Lock()

    def prepare(self) -> None:
        """Make the folder. Raises NotReady where nothing can be written there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = self.folder / _scratch()
            scratch.touch()
            scratch.unlink()
        except OSError as error:
            raise NotReady(
                f"no traces can be written into {self.name}: {reason_of(error)}; name another folder"
            ) from None

    def file(self, task: str) -> str | None:
        """Return where a task's trace lies, as the result names it; None if it could not be written."""
        return os.path.join(self.name, f"{task}.json") if task in self._written else None  # noqa: PTH118 - as given

    def write(self, found: DispatchState, task: Task) -> None:
        """Write a task's trace."""
        name = f"{task.task_id}.json"
        try:
            told = trace(found, task, self._blobs)
        except BlobMissing as missing:
            self._cannot(name, str(missing))
            return
        if self._put(name, told):
            with self._turn:
                self._written.add(task.task_id)

    def write_index(self, found: DispatchState, tasks: Sequence[Task], config: DispatchConfig) -> str | None:
        """Write the index of a dispatch, under a name that no other has; return it, None if it cannot be written."""
        stamp = "".join(letter for letter in found.sitting[:19] if letter.isdigit())
        stem = f"dispatch-{stamp[:8]}_{stamp[8:]}"
        name = self._put(f"{stem}.json", index(found, tasks, config, self.file), f"{stem}_{found.short}.json")
        return os.path.join(self.name, name) if name else None  # noqa: PTH118 - as given

    def _cannot(self, name: str, why: str) -> None:
        with self._turn:
            self.problems[f"{self.name}/{name} cannot be written: {why}"] = None

    def _put(self, name: str, document: dict[str, Any], spare: str = "") -> str | None:
        """Write a file, under the spare name if another has the first one; return its name, None if it cannot be."""
        scratch = self.folder / _scratch()
        try:
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
            scratch.write_text(text, encoding="utf-8", errors="backslashreplace")
            name = spare if spare and _is_taken(self.folder / name, scratch) else name
            scratch.replace(self.folder / name)
        except OSError as error:
            self._cannot(name, reason_of(error))
            return None
        finally:
            with suppress(OSError):  # it is there still where it failed, or has been given a second name
                scratch.unlink()
        return name


def _is_taken(path: Path, scratch: Path) -> bool:
    """Give a file a name that is free; tell whether it is not, of two who ask at the same time to one of them."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        return True
    except OSError:  # a disk without second names
        return path.exists()
    return False


def _scratch() -> str:
    return f".{secrets.token_hex(8)}"
