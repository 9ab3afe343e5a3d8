"""Waiting for what other processes do, without looking again and again: that would take the time that they need."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from team_mail.personas.keeping.inotify import Inotify

LOOK = 200  # milliseconds between two looks whether it is still worth waiting


def until_there(path: Path, is_awaited: Callable[[], object] = lambda: True) -> None:
    """Wait until a file is there; fail once it is no longer to be expected. Its folder must be there."""
    inotify, folder = Inotify(), os.open(path.parent, os.O_RDONLY)
    try:
        assert inotify.add(folder) >= 0
        poll = select.poll()
        poll.register(inotify.fd, select.POLLIN)
        while not path.exists():
            assert is_awaited(), f"{path.name} never came"
            poll.poll(LOOK)
            inotify.drain()
    finally:
        os.close(folder)
        os.close(inotify.fd)


def until_old(*files: Path) -> None:
    """Wait until the next change of files can be told by their times from the last one."""
    while any(time.time() - file.stat().st_ctime < 0.15 for file in files):
        os.sched_yield()
