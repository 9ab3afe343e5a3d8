# Importing pathlib or contextlib would double the start-up time of a keeper.
# ruff: noqa: PTH123, PTH208, SIM105
# Boot id and fields of /proc/PID/stat are read here as in mail/process.py, on purpose: the keeper imports neither
# pathlib nor team_mail.
"""The process tree on Linux. Part of the keeper: it imports only what loads at once."""

import os
import time

SIGNALS = __import__("_signal")  # `signal` wraps it in enums, which load slower than all the rest
UNKILLABLE = 10.0  # seconds; then processes that cannot die, as they wait for a dead disk, are left alone
PAUSE = 0.001
FLAGS, EXITING, KILLED = 6, 0x4, 1 << 8  # in /proc/PID: a field of `stat` and a flag in it, SIGKILL in `status`
TYPE_CHECKING = False  # importing `typing` takes five milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def kill_all(family: "Callable[[], list[int]]", left: "Callable[[], object]") -> set[int]:
    """Kill what is in `family` until nothing is `left`, stopping it first so that nothing can fork; return the pids."""
    deadline, stopped = time.monotonic() + UNKILLABLE, set[int]()
    while left() and time.monotonic() < deadline:
        pids = {*family()}
        for pid in pids - stopped:
            send(pid, SIGNALS.SIGSTOP)
        if pids <= stopped:
            for pid in pids:
                send(pid, SIGNALS.SIGKILL)
            time.sleep(PAUSE)
        stopped |= pids
    return stopped


def descendants(ancestor: int, without: "Collection[int]" = ()) -> list[int]:
    """Return the pids of all living descendants of a process, parents before children, from one scan of /proc.

    The processes `without` and their descendants are left out.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, parent = stat(name)[:2] or ("Z", 0)
            if state not in "ZX" and int(name) not in without:
                children.setdefault(int(parent), []).append(int(name))
    pids = [ancestor]
    for pid in pids:  # the list grows while it is read
        pids += children.get(pid, ())
    return pids[1:]


def stat(pid: str) -> list[str]:
    """Return the fields of /proc/PID/stat after the process name, which may contain anything; [] if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().decode(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def dying(pid: int) -> bool:
    """Tell whether a process ends already, because somebody killed it or by itself: a sandbox ends what is in it."""
    fields = stat(str(pid))
    if not fields or int(fields[FLAGS]) & EXITING:
        return True
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            lines = file.read().split(b"\n")
    except OSError:
        return True
    return any(int(line[8:], 16) & KILLED for line in lines if line.startswith((b"SigPnd:\t", b"ShdPnd:\t")))


def send(pid: int, signal: int) -> None:
    """Send a signal to a process, or to a group (negative), if it still exists and is ours."""
    try:
        os.kill(pid, signal)
    except (ProcessLookupError, PermissionError):
        pass


def boot() -> str:
    """Return the boot id, which is different after each start of the machine."""
    with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
        return file.read().decode().strip()
