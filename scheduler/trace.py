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

from ..mail.blobs import BlobMissing, Blobs
from ..mail.disk import reason_of
from .dispatch_output import index, trace
from .dispatched import Dispatched
from .errors import NotReady
from .task import DispatchConfig, Task


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

    def write(self, found: Dispatched, task: Task) -> None:
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

    def write_index(self, found: Dispatched, tasks: Sequence[Task], config: DispatchConfig) -> str | None:
        """Write the index of a dispatch, under a name that no other has; return it, None if it cannot be written."""
        stamp = "".join(letter for letter in found.sitting[:19] if letter.isdigit())
        stem = f"dispatch-{stamp[:8]}_{stamp[8:]}"
        name = f"{stem}.json" if self._take(f"{stem}.json") else f"{stem}_{found.short}.json"
        written = self._put(name, index(found, tasks, config, self.file))
        if not written:
            with suppress(OSError):
                (self.folder / name).unlink()
        return os.path.join(self.name, name) if written else None  # noqa: PTH118 - as given

    def _cannot(self, name: str, why: str) -> None:
        with self._turn:
            self.problems[f"{self.name}/{name} cannot be written: {why}"] = None

    def _take(self, name: str) -> bool:
        """Take a name for oneself, of which another dispatch may think in the same moment; False if it is taken."""
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError:  # writing it will tell
            return True
        return True

    def _put(self, name: str, document: dict[str, Any]) -> bool:
        scratch = self.folder / _scratch()
        try:
            scratch.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", errors="backslashreplace")
            scratch.replace(self.folder / name)
        except OSError as error:
            self._cannot(name, reason_of(error))
            scratch.unlink(missing_ok=True)
            return False
        return True


def _scratch() -> str:
    return f".{secrets.token_hex(8)}"
