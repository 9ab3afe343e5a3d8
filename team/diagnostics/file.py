"""A file of diagnostics with one writer: its name has the id of the process, and the process holds its lock.

So nobody else rotates it, and no line is lost. Each line is one write; a process that is killed has written all that it
was told. Two processes of one id, as two containers have that share a folder, get a file each.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from ...mail.log.disk import reason_of

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_MOST = 1_000  # processes of one id


class OwnFile(logging.Handler):
    """Writes records to `template`, in which `{program}` and `{pid}` are filled in.

    Once a file has `size` bytes it is renamed to end with a number and a new one begun; of the files of a program that
    nobody writes any more, the last `keep` stay.
    """

    def __init__(self, template: Path, program: str, size: int, keep: int) -> None:
        super().__init__()
        self._template, self._program, self._size, self._keep = template, program, size, keep
        self._descriptor, self._pid, self._written, self._number = -1, 0, 0, 0
        self._path = template
        self._is_failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; on an error say so once, since a command does not end for its diagnostics."""
        try:
            data = self.format(record).encode() + b"\n"
            if self._pid != os.getpid():  # the first line, or the first one of a fork
                self._open()
            elif self._written and self._written + len(data) > self._size:
                self._rotate()
            while data:
                count = os.write(self._descriptor, data)
                self._written += count
                data = data[count:]
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                with suppress(OSError, ValueError):
                    sys.stderr.write(f"{self._program}: diagnostics are lost: {self._path}: {reason_of(error)}\n")
            self._is_failing = True

    def close(self) -> None:
        """Close the file; the lock ends with it."""
        self._leave()
        super().close()

    def _leave(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._pid = -1, 0

    def _open(self) -> None:
        """Take the first of this process's names that nobody writes to."""
        self._leave()
        self._template.parent.mkdir(parents=True, exist_ok=True)
        pid = os.getpid()
        for number in range(1, _MOST):
            name = self._named(str(pid) if number == 1 else f"{pid}-{number}")
            self._path = self._template.with_name(name)
            if (descriptor := _locked(self._path)) >= 0:
                self._descriptor, self._pid = descriptor, pid
                self._written = os.fstat(descriptor).st_size
                self._number = max([0, *(old for path, old in self._left() if path.name.startswith(f"{name}."))])
                self._prune()
                return
        raise OSError(f"more than {_MOST} processes write there")

    def _rotate(self) -> None:
        self._number += 1
        self._path.rename(self._path.with_name(f"{self._path.name}.{self._number:06}"))
        self._open()

    def _named(self, pid: str) -> str:
        return self._template.name.replace("{program}", self._program).replace("{pid}", pid)

    def _left(self) -> list[tuple[Path, int]]:
        """List the files of this program that are complete, each with its number, 0 for one that was not rotated."""
        pattern = re.escape(self._named("\0")).replace(re.escape("\0"), r"\d+(?:-\d+)?") + r"(?:\.(\d{6,}))?"
        found = ((path, re.fullmatch(pattern, path.name)) for path in self._template.parent.iterdir())
        return [(path, int(match[1] or 0)) for path, match in found if match and path != self._path]

    def _prune(self) -> None:
        """Remove the oldest files that nobody writes any more."""
        times: list[tuple[int, Path]] = []
        for path, _ in self._left():
            with suppress(FileNotFoundError):  # another process removes them as well
                times.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(times)[: max(0, len(times) - self._keep)]:
            if (descriptor := _locked(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)) >= 0:
                path.unlink(missing_ok=True)
                os.close(descriptor)


def _locked(path: Path, flags: int = _FLAGS) -> int:
    """Open a file and lock it; -1 if another process has, or it was removed meanwhile. Raises OSError."""
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    if os.fstat(descriptor).st_nlink and path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
        return descriptor
    os.close(descriptor)
    return _locked(path, flags) if flags & os.O_CREAT else -1
