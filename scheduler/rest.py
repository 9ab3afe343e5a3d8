"""The tick that finds everything as the last one left it: idle again, told from the log's last line alone.

A tick that has nothing to do writes down until when that holds, and what of settings and roster it saw. Nothing was
written since and nothing of that has changed: then the answer is the same, without a database, without settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ..mail.clock import Clock, rfc3339
from ..mail.event import Draft
from ..mail.log import EventLog
from .leader import Leader

_ALWAYS = "9999"  # behind every time that there is: only an event ends it


def seen(home: Path, words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Digest what an idle tick depends on beside the log: flags, `TEAM_…` variables, settings, the roster's files."""
    digest = hashlib.sha256(
        repr((*words, *sorted(pair for pair in environ.items() if pair[0][:5] == "TEAM_"))).encode()
    )
    files = [home / "team.toml", *sorted((home / "personas").rglob("*"))]
    for path in files:
        status = path.stat() if path.exists() else None
        digest.update(repr((str(path), status and (status.st_mtime_ns, status.st_size, status.st_ino))).encode())
    return digest.hexdigest()[:32]


def idle(why: str, until: datetime | None, digest: str) -> Draft:
    """Write the event of a tick with nothing to do; `until` is when there may be something, None if an event says."""
    return Draft(
        "tick.done", "scheduler", data={"idle": why, "until": rfc3339(until) if until else _ALWAYS, "seen": digest}
    )


def again(home: Path, digest: str, clock: Clock) -> str | None:
    """Be idle again, on record, and say why; None where a tick has to look for itself. Raises NotLeader."""
    log = EventLog(home / "mail", clock=clock)
    with Leader(home / "work"):
        last, now = log.newest(), rfc3339(clock.now())
        if last is None or last.kind != "tick.done" or last.data.get("seen") != digest:
            return None
        why, until = last.data.get("idle"), last.data.get("until")
        if not isinstance(why, str) or not isinstance(until, str) or not last.ts <= now < until:
            return None
        log.append([Draft("tick.done", "scheduler", data=last.data)])
        return why
