"""The lock of the one scheduler that leads a team; it ends with its process."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..mail.log.disk import Disk, read_file
from ..mail.process import alive, myself
from .errors import NotLeader


class Leader:
    """The leader's lock as a context manager. Raises NotLeader if another process holds it, naming that process.

    `folder` is where the lock file is: `.team/work` for the team, its own folder for a dispatch. `taken` begins the
    error's message.
    """

    def __init__(self, folder: Path, taken: str = "another scheduler leads this team") -> None:
        self.path = folder / "leader"
        self._taken = taken
        self._descriptor = -1

    def __enter__(self) -> Self:
        while not self._lock():
            os.close(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(myself()).encode(), 0)
        return self

    def _lock(self) -> bool:
        """Lock the file. Return False if the previous holder deleted it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = Disk().open(self.path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            content = os.pread(self._descriptor, 4096, 0)
            os.close(self._descriptor)
            raise NotLeader(f"{self._taken}: {_holder(content)}; wait for it, or end it") from None
        return os.fstat(self._descriptor).st_nlink > 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def leading(folder: Path) -> dict[str, Any] | None:
    """Return the process that leads a team, as `myself` names it; None if none does."""
    try:
        process = json.loads(read_file(folder / "leader"))
    except (OSError, ValueError):
        return None
    return process if isinstance(process, dict) and alive(process) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _holder(content: bytes) -> str:
    try:
        return f"process {json.loads(content)['pid']}"
    except (ValueError, KeyError, TypeError):
        return "one that has just started"
