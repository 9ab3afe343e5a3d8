"""Waiting for changes in folders, on Linux. Part of the warden: it imports only what loads at once.

Where it does not work (another system, no instances or watches left, a network file system) nothing is told, and
whoever waits must look by himself from time to time.
"""

import os
import sys

CLOSED, MOVED = 0x00000008, 0x00000080  # a file was closed after writing, or moved in
CHANGES = CLOSED | MOVED | 0x00000100 | 0x00000004  # or created, or touched: what may mean that there is one to take
# Anything at all that happens to a file in the folder, told once: then the folder must be added again.
ANYTHING_ONCE = CHANGES | 0x00000002 | 0x00000040 | 0x00000200 | 0x80000000
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # as IN_NONBLOCK and IN_CLOEXEC
CHUNK = 1 << 16
HEADER = 16  # bytes of an event, before its name: four numbers, of which the last is the length of the name


class Inotify:
    """Tells by a descriptor to poll, `fd`, that something changed in one of its folders; -1 where it cannot."""

    def __init__(self) -> None:
        import ctypes  # who waits for nothing yet does not wait for this

        self._library = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self.fd = self._library.inotify_init1(_FLAGS) if self._library else -1

    def add(self, descriptor: int, changes: int = CHANGES) -> int:
        """Watch the folder that is open as `descriptor`; return the watch, -1 if it cannot be watched."""
        if self.fd < 0 or self._library is None:
            return -1
        return self._library.inotify_add_watch(self.fd, b"/proc/self/fd/%d" % descriptor, changes)

    def remove(self, watch: int) -> None:
        """Watch a folder no longer."""
        if watch >= 0 and self._library is not None:
            self._library.inotify_rm_watch(self.fd, watch)

    def close(self) -> None:
        """Watch nothing any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def drain(self) -> None:
        """Forget what has been told."""
        while self._read():
            continue

    def events(self) -> "list[tuple[int, int, str]]":
        """Return what has been told since the last call: watch, kind of change, and name of the file."""
        events: list[tuple[int, int, str]] = []
        while data := self._read():
            at = 0
            while at < len(data):
                watch, mask, _, size = (int.from_bytes(data[at + n : at + n + 4], sys.byteorder) for n in (0, 4, 8, 12))
                at += HEADER + size
                events.append((watch, mask, os.fsdecode(data[at - size : at].rstrip(b"\0"))))
        return events

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, CHUNK)
        except OSError:
            return b""
