"""The tick that finds everything as the last one left it: idle again, told from the log's last line alone.

A tick that has nothing to do writes down until when that holds, and what of settings and roster it saw. Nothing was
written since and nothing of that has changed: then the answer is the same, without a database, without settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ...mail.clock import Clock, rfc3339
from ...mail.log.event import Draft
from ...mail.open import open_log
from ..leader import Leader

_ALWAYS = "9999"  # behind every time that there is: only an event ends it


def seen(home: Path, words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Digest what an idle tick depends on beside the log: flags, `TEAM_…` variables, settings, the roster's files."""
    digest = hashlib.sha256(
        repr((*words, *sorted(pair for pair in environ.items() if pair[0][:5] == "TEAM_"))).encode()
    )
    for path in (home / "team.toml", *_files(home / "personas")):
        digest.update(repr((str(path), *_mark(path))).encode())
    return digest.hexdigest()[:32]


def _files(personas: Path) -> list[Path]:
    """List the roster's files as it reads them: those in the folder and in its folders, linked ones too."""
    here = sorted(personas.iterdir()) if personas.is_dir() else []
    return [*here, *(file for folder in here if folder.is_dir() for file in sorted(folder.iterdir()))]


def _mark(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def idle(why: str, until: datetime | None, digest: str, head: int) -> Draft:
    """Write the event of a tick with nothing to do; `until` is when there may be something, None if an event says.

    `head` is the last event that this tick has looked at: what came between it and this one it has not seen.
    """
    return Draft(
        "tick.done",
        "scheduler",
        data={"idle": why, "until": rfc3339(until) if until else _ALWAYS, "seen": digest, "head": head},
    )


def again(home: Path, digest: str, clock: Clock) -> str | None:
    """Be idle again, on record, and say why; None where a tick has to look for itself. Raises NotLeader."""
    log = open_log(home, clock=clock)
    with Leader(home / "work"):
        last, now = log.newest(), rfc3339(clock.now())
        if last is None or last.kind != "tick.done" or last.data.get("seen") != digest:
            return None
        if last.data.get("head") != last.seq - 1:
            return None
        why, until = last.data.get("idle"), last.data.get("until")
        if not isinstance(why, str) or not isinstance(until, str) or not last.ts <= now < until:
            return None
        log.append([Draft("tick.done", "scheduler", data={**last.data, "head": last.seq})])
        return why
