"""After a crash: which runs are still kept, and the end of every process of those that are not to be."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...mail.clock import SystemClock
from .tree import boot, stat

if TYPE_CHECKING:
    import psutil  # it comes only when it is needed: an idle tick needs none of it

_ASKED = 1.0  # seconds that keepers get to end their runs; asked a second time, they leave out the grace
_KILLED = 10.0  # seconds that the killed get to be gone: one that waits for a dead disk never is
_LOOK = 0.01


def alive(folder: Path) -> bool:
    """Say whether the keeper of the run with this folder lives: that very process, not another with its pid."""
    try:
        pid, start, booted = (folder / "heartbeat").read_text().split()
    except (OSError, ValueError):
        return False
    if sys.platform != "linux":
        import psutil

        return psutil.pid_exists(int(pid))
    told = stat(pid)
    return bool(told) and told[0] not in "ZX" and told[19] == start and boot() == booted


def sweep(runs: Collection[str]) -> int:
    """End every process of this user whose environment has TEAM_RUN in `runs`; return how many there were.

    Keepers are asked first: they know their whole tree, whatever environment it has. The rest is killed.
    """
    import psutil

    clock, found = SystemClock(), _processes(runs)
    seen, keepers = set(found), {process for process in found if _is_keeper(process)}
    for _ in range(2):
        for keeper in keepers:
            with suppress(psutil.Error):
                keeper.terminate()
                keeper.resume()  # one that was stopped hears nothing
        deadline = clock.monotonic() + _ASKED
        while keepers & (found := _processes(runs)) and clock.monotonic() < deadline:
            clock.sleep(_LOOK)
    deadline = clock.monotonic() + _KILLED
    while found and clock.monotonic() < deadline:
        seen |= found
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        clock.sleep(_LOOK)
        found = _processes(runs)
    return len(seen)


def within_run() -> bool:
    """Tell whether this process comes from an agent's run, whatever it has made of its environment since."""
    import psutil

    if os.environ.get("TEAM_RUN"):
        return True
    with suppress(psutil.Error):
        return any(_is_keeper(parent) or _run(parent) for parent in psutil.Process().parents())
    return False


def _processes(runs: Collection[str]) -> set[psutil.Process]:
    """Find the living processes of these runs, without the one that asks and those it comes from."""
    import psutil

    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return {process for process in psutil.process_iter() if process.pid not in ours and _run(process) in runs}


def _run(process: psutil.Process) -> str | None:
    """Return which run of ours a process belongs to."""
    import psutil

    try:
        return process.environ().get("TEAM_RUN") if process.uids().real == os.getuid() else None
    except (psutil.Error, OSError):
        return None


def _is_keeper(process: psutil.Process) -> bool:
    import psutil

    try:
        return any("keeping.keeper" in word for word in process.cmdline())
    except psutil.Error:
        return False
