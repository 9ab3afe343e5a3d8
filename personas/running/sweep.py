"""Ends all processes of runs that a crash or a stop left alive.

Keepers are known by the words of their command, since nobody may read their environment, and the processes of a run by
two variables, its id and its team: teams count their runs alike, so the same id may belong to runs of two teams at
once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...mail.ancestors import KEEPER, WARDEN, part_of
from ...mail.clock import SystemClock
from ...mail.process import TEAM

if TYPE_CHECKING:
    import psutil  # loaded only when it is needed: an idle tick does not need it

RUN = "TEAM_RUN"  # with TEAM a variable of every process of a run: its id, and the folder of its team
_ASKED = 1.0  # seconds that keepers get to end their runs; a second request cuts their grace period short
_KILLED = 10.0  # seconds that killed processes get to disappear; one that waits for a dead disk never does
_POLL = 0.01
_WORDS = 3  # of a keeper at least, of whatever version: its part, run and home


def sweep(runs: Collection[str], home: Path) -> int:
    """End every process of this user that belongs to one of the `runs` of the team in `home`; return their number.

    Keepers are asked first, because they know their whole process tree whatever its environment. The rest is killed.
    """
    import psutil

    clock, processes = SystemClock(), _processes(runs, home)
    seen, keepers = set(processes), _keepers_in(processes, runs, home)
    for _ in range(2):
        for keeper in keepers:
            with suppress(psutil.Error):
                keeper.terminate()
                keeper.resume()  # a keeper that was stopped (SIGSTOP) handles no signal
        deadline = clock.monotonic() + _ASKED
        while keepers & (processes := _processes(runs, home)) and clock.monotonic() < deadline:
            clock.sleep(_POLL)
    deadline = clock.monotonic() + _KILLED
    while processes and clock.monotonic() < deadline:
        seen |= processes
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        clock.sleep(_POLL)
        processes = _processes(runs, home)
    return len(seen)


def resume(run: str, home: Path) -> None:
    """Let the keeper of a run go on if it was stopped (SIGSTOP)."""
    import psutil

    for keeper in _keepers(run, home):
        with suppress(psutil.Error):
            keeper.resume()


def ask_to_end(run: str, home: Path) -> bool:
    """Ask the keeper of a run to end it, whoever started it; tell whether there is one. It takes its grace period."""
    import psutil

    keepers = _keepers(run, home)
    for keeper in keepers:
        with suppress(psutil.Error):
            keeper.terminate()
            keeper.resume()
    return bool(keepers)


def resume_warden(pid: int) -> None:
    """Let a warden go on if it was stopped; another process that has this pid is left alone."""
    import psutil

    with suppress(psutil.Error, ValueError, OverflowError):
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_STOPPED and _part(process)[:1] == [WARDEN]:
            process.resume()


def _keepers(run: str, home: Path) -> set[psutil.Process]:
    return _keepers_in(_processes([run], home), [run], home)


def _keepers_in(processes: Collection[psutil.Process], runs: Collection[str], home: Path) -> set[psutil.Process]:
    team = os.path.realpath(home)
    return {process for process in processes if _keeps(process, runs, team)}


def _keeps(process: psutil.Process, runs: Collection[str], team: str) -> bool:
    """Tell whether a process is called as a keeper of one of the runs is; agents choose names, even such ones."""
    words = _part(process)
    named = words[:1] == [KEEPER] and len(words) >= _WORDS
    return named and words[1] in runs and os.path.realpath(words[2]) == team


def _processes(runs: Collection[str], home: Path) -> set[psutil.Process]:
    """Return the living processes of these runs, without this process and its ancestors."""
    import psutil

    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    team = os.path.realpath(home)

    def is_theirs(process: psutil.Process) -> bool:
        if process.pid in ours:
            return False
        if _keeps(process, runs, team):
            return True
        environ = _environ(process)  # also of a process of an agent that calls itself a keeper
        if environ.get(RUN) not in runs:
            return False
        return os.path.realpath(environ.get(TEAM) or environ.get("TEAM_HOME", os.sep)) == team

    return {process for process in psutil.process_iter() if is_theirs(process)}


def _environ(process: psutil.Process) -> Mapping[str, str]:
    """Return the environment that a process of this user was started with, empty if it cannot be read."""
    import psutil

    try:
        return process.environ() if process.uids().real == os.getuid() else {}
    except (psutil.Error, OSError):
        return {}


def _part(process: psutil.Process) -> list[str]:
    """Return the part that a process plays for a run, see `part_of`."""
    import psutil

    try:
        return part_of(process.cmdline())
    except psutil.Error:
        return []
