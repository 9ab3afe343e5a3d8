# pathlib alone, or contextlib, would double the time in which a keeper starts
# ruff: noqa: PTH123, PTH208, SIM105
"""The tree of processes that come from one, on Linux. Part of the keeper: it imports only what starts at once."""

import os


def descendants(ancestor: int) -> list[int]:
    """Find all living processes that come from one, by one look at the whole table; each behind its parent."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, parent = stat(name)[:2] or ("Z", 0)
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(name))
    found = [ancestor]
    for pid in found:  # which grows meanwhile
        found += children.get(pid, ())
    return found[1:]


def stat(pid: str) -> list[str]:
    """Read what /proc/PID/stat says behind the name, which may hold anything; nothing if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().decode(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def send(pid: int, signal: int) -> None:
    """Send a signal to a process, or to a group (negative), if it is still there and ours."""
    try:
        os.kill(pid, signal)
    except (ProcessLookupError, PermissionError):
        pass


def boot() -> str:
    """Return what tells this start of the machine from all others."""
    with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
        return file.read().decode().strip()
