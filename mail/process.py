"""Who runs this process: its persona and run, and a name that no other process ever has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .errors import NoIdentity, UsageError

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_KEEPER = re.compile(rb"keeping/start\.py\0keeper\0")  # how a keeper is called, see personas/keeping/start.py
TEAM, WORKSPACE = "TEAM_RUN_OF", "TEAM_RUN_IN"  # variables of a keeper: the folder of its team, and the workspace
_TOPS = ("0", "1")
_START = 19  # index among the fields after the command name in /proc/<pid>/stat: clock ticks since boot


def identity(persona: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the persona that acts: `persona` if given, else `TEAM_PERSONA`; within a run always the run's persona.

    Raises NoIdentity, and UsageError if a run gives another persona than its own.
    """
    own = environ.get("TEAM_PERSONA", "").removesuffix("@team")
    if environ.get("TEAM_RUN") and persona and persona.removesuffix("@team") != own:
        raise UsageError(f"this is a run of {own or 'nobody'}: it cannot act as {persona}")
    name = (persona or own).removesuffix("@team")
    if not name:
        raise NoIdentity
    return name


def identity_or_none(persona: str | None) -> str | None:
    """Return the persona that acts as `identity` does, or None if neither names one."""
    try:
        return identity(persona)
    except NoIdentity:
        return None


def run_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the run that this process belongs to, or None outside of a run."""
    return environ.get("TEAM_RUN") or None


class RunAbove(NamedTuple):
    """The run whose keeper started this process: the folder of its team, by its real path, and its workspace."""

    home: str
    workspace: str


def run_above(proc: Path = Path("/proc")) -> RunAbove | None:
    """Return the run whose keeper is above this process, however it was started; None if there is none.

    It is read from the processes of Linux; elsewhere, and in a sandbox that hides them, there is none.
    """
    pid = str(os.getppid())
    with suppress(OSError, IndexError):
        while pid not in _TOPS:
            if _KEEPER.search((proc / pid / "cmdline").read_bytes()):
                variables = (proc / pid / "environ").read_bytes().split(b"\0")
                pairs = (os.fsdecode(each).partition("=") for each in variables)
                environ = {name: value for name, _, value in pairs}
                return RunAbove(os.path.realpath(environ.get(TEAM, "/")), environ.get(WORKSPACE, "/"))
            pid = (proc / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
    return None


def myself() -> dict[str, Any]:
    """Name this process uniquely, even after its pid is reused: host, boot id, pid and start time."""
    return {"host": _host(), "boot": _boot_id(), "pid": os.getpid(), "start": _start_time(os.getpid())}


def alive(process: Mapping[str, Any]) -> bool:
    """Return whether the process that `myself` named still runs; another one with its pid does not count.

    The boot id identifies the host; the host's name is for people, and missing in older logs.
    """
    pid = process.get("pid")
    return isinstance(pid, int) and process.get("boot") == _boot_id() and process.get("start") == _start_time(pid)


@cache
def _host() -> str:
    import socket

    return socket.gethostname()


def _boot_id() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else ""


def _start_time(pid: int) -> str | None:
    """Return when a process started, in the system's own unit; None if it does not run."""
    if not _BOOT.exists():
        import subprocess

        words = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(words, capture_output=True, check=False, text=True).stdout.strip() or None  # noqa: S603
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else fields[_START].decode()
