# Importing pathlib would double the start-up time of a keeper.
# ruff: noqa: PTH123
"""The words of this process's command, as everybody reads them in /proc, and other ones put in their place.

A keeper is known by its words. The warden starts it by a fork alone, a tenth of the work of a new Python, and so it has
to take them by itself.
"""

import ctypes
import os

ROOM = 2048  # bytes that a warden is started with beyond its own words, for those of its keepers
ARG_START, ARG_END = 45, 46  # in /proc/PID/stat, among the fields after the process name: addresses
TYPE_CHECKING = False  # importing `typing` takes five milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence


def rename(words: "Sequence[str]") -> bool:
    """Take these words in place of those that this process was started with; tell whether everybody reads them now.

    There must be room: they may not be longer than those. It is done on Linux only.
    """
    data = b"".join([os.fsencode(word) + b"\0" for word in words])
    try:
        fields = _read("/proc/self/stat").rpartition(b")")[2].split()
        start, end = int(fields[ARG_START]), int(fields[ARG_END])
        if not start or len(data) > end - start:
            return False
        ctypes.memmove(start, data.ljust(end - start, b"\0"), end - start)
        return _read("/proc/self/cmdline").rstrip(b"\0") == data.rstrip(b"\0")
    except (OSError, IndexError, ValueError):
        return False


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
