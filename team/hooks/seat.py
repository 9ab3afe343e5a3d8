"""Who has a persona's mail: of several sessions of a person in one checkout, each persona's goes to one.

It is a claim of a name, held by the agent's process: over the moment that ends, and seen by `team task list`. What was
claimed is noted beside the log, so that a later hook of the same process need not read the claims.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...mail.ancestors import processes_above
from ...mail.check import cursor
from ...mail.clock import SystemClock
from ...mail.log.disk import Disk, make_folder, replacing
from ...mail.log.lock import Lock

if TYPE_CHECKING:
    from ...mail.mailbox import Mailbox

FOLDER = "seats"
_TIMEOUT = 5.0  # seconds
LEASE = 86_400.0  # seconds that a process which is suspended keeps its seat
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "busybox", "env", "timeout", "nice"}


def seats(home: Path) -> AbstractContextManager[object]:
    """Return what lets the hooks of a team go one after the other. Raises LockTimeout, LogUnavailable."""
    folder = home / "mail" / FOLDER
    make_folder(folder)
    return Lock(folder / ".lock", SystemClock(), Disk(), _TIMEOUT)


def name_of(persona: str) -> str:
    """Return the name that is claimed for a persona's mail."""
    return f"mail-of-{persona}"


def agent_process() -> int:
    """Return the process of the agent that called this hook: the nearest above it that is no shell."""
    above = processes_above()
    pids = [int(pid) for pid, _, command in above if os.path.basename(command[0]).lstrip("-") not in _SHELLS]  # noqa: PTH119
    return pids[0] if pids else os.getppid()


def is_seated(home: Path, persona: str) -> bool:
    """Tell whether it is on note that a process above this one has a persona's mail."""
    data = cursor.read(str(_note(home, persona)))
    with suppress(ValueError, TypeError, KeyError):
        process: Mapping[str, Any] = json.loads(data or b"")["process"]
        known = (str(process["pid"]), str(process["start"]))
        from ...mail.process import is_here

        return is_here(process) and any((pid, start) == known for pid, start, _ in processes_above())
    return False


def sit(mailbox: Mailbox, home: Path, persona: str, pid: int) -> str:
    """Take a persona's mail for a process, unless another one has it; return why not, "" if it has it now.

    Raises LogError, UsageError.
    """
    from ...mail.process import named
    from ...scheduler.claims.claims import Claims
    from ...scheduler.errors import LeaseConflict

    process, claims = named(pid), Claims(mailbox)
    held = [claim for claim in claims.moment().fold.current if name_of(persona) in claim.names]
    if not any(claim.process == process for claim in held):
        try:
            claims.hold((), [name_of(persona)], persona, LEASE, process=process)
        except LeaseConflict as conflict:
            return str(conflict)
    with suppress(OSError):
        note = _note(home, persona)
        make_folder(note.parent)
        with replacing(note, durable=False) as temporary:
            temporary.write_text(json.dumps({"process": process}))
    return ""


def others(mailbox: Mailbox, persona: str) -> str:
    """Say who has a persona's mail, if somebody has; "" if not. Raises LogError."""
    from ...scheduler.claims.claims import Claims
    from ...scheduler.errors import LeaseConflict

    try:
        Claims(mailbox).moment().check_apart((), [name_of(persona)])
    except LeaseConflict as conflict:
        return str(conflict)
    return ""


def rise(mailbox: Mailbox, home: Path, persona: str, pid: int) -> None:
    """Give a persona's mail back. Raises LogError."""
    from ...mail.process import named
    from ...scheduler.claims.claims import Claims

    claims = Claims(mailbox)
    for claim in claims.moment().fold.current:
        if name_of(persona) in claim.names and claim.process == named(pid):
            claims.release(None, claim.token, persona)
    with suppress(OSError):
        _note(home, persona).unlink()


def _note(home: Path, persona: str) -> Path:
    return home / "mail" / FOLDER / persona
