"""The log's lock: `flock` on a file that is never deleted, with a timeout whose error names the holder."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

from ..clock import Clock
from ..errors import LockTimeout
from .disk import Disk

_LOCKS = Path("/proc/locks")
_YIELDS = 50  # an append holds the lock for about 20 µs: yielding the processor is enough, sleeping is too long
_FIRST_SLEEP = 100e-6
_LONGEST_SLEEP = 5e-3


class Lock:
    """A lock shared by all threads and processes that open the same file; a forked child opens its own.

    It is a context manager. Entering raises LockTimeout after `timeout` seconds, naming the holder's pid.
    """

    def __init__(self, path: Path, clock: Clock, disk: Disk, timeout: float) -> None:
        self.path = path
        self._clock = clock
        self._disk = disk
        self._timeout = timeout
        self._threads = threading.Lock()
        self._descriptor = -1
        self._name = str(path)
        self._inode = 0
        self._starting: dict[int, threading.Lock] = {}
        self.pid = 0

    def __enter__(self) -> None:
        if self.pid != os.getpid():
            self._start(os.getpid())
        threads = self._threads
        if not threads.acquire(timeout=self._timeout):
            raise LockTimeout(f"another thread of this process has held {self.path} for more than {self._timeout:g} s")
        try:
            self._take()
        except BaseException:
            threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # explicitly: a forked child would keep it
        self._threads.release()

    def _start(self, pid: int) -> None:
        """Initialize in this process: after a fork, the locks of the parent's threads do not apply."""
        with self._starting.setdefault(pid, threading.Lock()):  # atomic, so that all threads get the same lock
            if self.pid != pid:
                self._threads = threading.Lock()
                self._open()
                self.pid = pid

    def _take(self) -> None:
        """Wait for the lock of the file that has the name now: a lock on a deleted file excludes no one."""
        while True:
            if not self._taken():
                self._wait()
            try:
                if os.lstat(self._name).st_ino == self._inode:
                    return
            except FileNotFoundError:
                pass
            os.close(self._descriptor)
            self._open()

    def _open(self) -> None:
        self._descriptor = self._disk.open(self.path, os.O_RDWR | os.O_CREAT)
        self._inode = os.fstat(self._descriptor).st_ino

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            return False
        return True

    def _wait(self) -> None:
        for _ in range(_YIELDS):
            os.sched_yield()
            if self._taken():
                return
        sleep, deadline = _FIRST_SLEEP, self._clock.monotonic() + self._timeout
        while not self._taken():
            if self._clock.monotonic() >= deadline:
                raise LockTimeout(
                    f"the log has been locked by {self._holder()} for more than {self._timeout:g} s; "
                    "check what it does (ps -p) or end it, then try again"
                )
            self._clock.sleep(sleep)
            sleep = min(sleep * 1.5, _LONGEST_SLEEP)

    def _holder(self) -> str:
        """Ask the system who holds the lock; that is cheaper than every holder writing down its pid."""
        file = os.fstat(self._descriptor)
        name = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
        if _LOCKS.exists():
            for line in _LOCKS.read_text().splitlines():
                words = line.split()
                if "->" not in words and words[1] == "FLOCK" and words[5] == name:
                    return f"process {words[4]}"
        return "another process"

    def __del__(self) -> None:
        if self._descriptor >= 0 and self.pid == os.getpid():
            os.close(self._descriptor)
