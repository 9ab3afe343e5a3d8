"""The log's lock: `flock` on a file that is never deleted, with a deadline, and an error that names the holder."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .clock import Clock
from .disk import Disk
from .errors import LockTimeout

_FIRST_WAIT = 20e-6  # about as long as an append holds the lock
_LONGEST_WAIT = 2e-3


class Lock:
    """One lock among all threads and processes that open the same file. A forked child opens its own."""

    def __init__(self, path: Path, clock: Clock, disk: Disk, timeout: float) -> None:
        self.path = path
        self._clock = clock
        self._disk = disk
        self._timeout = timeout
        self._threads = threading.Lock()
        self._descriptor = -1
        self._pid = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the block. Raises LockTimeout after the deadline, naming the holder's pid."""
        if self._pid != os.getpid():
            self._start()
        threads, descriptor = self._threads, self._descriptor
        if not threads.acquire(timeout=self._timeout):
            raise LockTimeout(f"another thread of this process holds {self.path} for more than {self._timeout:g} s")
        try:
            self._wait(descriptor)
            try:
                os.pwrite(descriptor, b"%-10d" % self._pid, 0)
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            threads.release()

    def _start(self) -> None:
        """Begin afresh in this process: after a fork, what the parent's threads held is not ours to wait for."""
        self._threads = threading.Lock()
        self._descriptor = self._disk.open(self.path, os.O_RDWR | os.O_CREAT)
        self._pid = os.getpid()

    def _wait(self, descriptor: int) -> None:
        wait, deadline = _FIRST_WAIT, self._clock.monotonic() + self._timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EACCES}:
                    raise
            else:
                return
            if self._clock.monotonic() >= deadline:
                holder = os.pread(descriptor, 10, 0).decode("ascii", "replace").strip() or "unknown"
                raise LockTimeout(
                    f"the log is locked by process {holder} for more than {self._timeout:g} s; "
                    f"see what it does (ps {holder}) or end it, then try again"
                )
            self._clock.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)

    def __del__(self) -> None:
        if self._descriptor >= 0 and self._pid == os.getpid():
            os.close(self._descriptor)
