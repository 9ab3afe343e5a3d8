"""The processes above this one, as Linux tells of them. Only `os` is imported, for the reason given in `home`."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence

# How keepers, wardens and mail processes are called, see personas/keeping/start.py and personas/running.
START, KEEPER, WARDEN = "keeping/start.py", "keeper", "warden"
_TOPS = ("0", "1")
_READS = 1000  # of the processes above this one, before they are given up
STARTED = 19  # index among the fields after the command name in /proc/<pid>/stat: clock ticks since boot


def commands_above(proc: str = "/proc") -> list[list[str]]:
    """Return the commands of the processes above this one, the nearest first, as `processes_above` does."""
    return [command for _, _, command in processes_above(proc)]


def processes_above(proc: str = "/proc") -> list[tuple[str, str, list[str]]]:
    """Return pid, start and command of each process above this one, the nearest first.

    A parent may end in the midst of it, and its pid be another's: what was read counts once it is read twice.
    """
    before = None
    for _ in range(_READS):
        above = _above(os.getppid(), proc)
        if above is not None and above == before:
            break
        before = above
    return before or []


def commands_from(pid: int) -> list[list[str]] | None:
    """Return the commands of another process and of those above it, the nearest first; None if it has ended.

    What was read counts as in `commands_above`.
    """
    before = None
    for _ in range(_READS):
        above = _above(pid, "/proc")
        if above is not None and above == before:
            return [command for _, _, command in above]
        if above is None and not _exists(pid):
            break
        before = above
    return None


def is_below_keeper() -> bool:
    """Tell whether a keeper or a warden of some team is above this process, so that it may belong to a run."""
    return any(part_of(command) for command in commands_above())


def part_of(command: Sequence[str]) -> list[str]:
    """Return the part that a keeper or warden plays, and a keeper's run, home and workspace; nothing of any other.

    `command` is its command line; see personas/keeping/start.py.
    """
    at = next((number for number, word in enumerate(command) if word.endswith(START)), len(command))
    return [*command[at + 1 :]]


def _above(first: int, proc: str) -> list[tuple[str, str, list[str]]] | None:
    """Return pid, start and command of a process and each above it; None if one of them has ended meanwhile.

    Those above one that this user may not see are left out.
    """
    pid, chain = str(first), list[tuple[str, str, list[str]]]()
    while pid not in _TOPS:
        try:
            command = _read(f"{proc}/{pid}/cmdline").rstrip("\0").split("\0")
            fields = _read(f"{proc}/{pid}/stat").rpartition(")")[2].split()
            chain.append((pid, fields[STARTED], command))
        except (OSError, IndexError):
            return chain if _exists(int(pid)) else None
        pid = fields[1]
    return chain


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode(errors="surrogateescape")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
