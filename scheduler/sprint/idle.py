"""Fast path for an idle tick: if nothing changed since the last one, answer from the log's last line.

A tick with nothing to do records until when that holds, and a digest of the settings and roster that it saw. If nothing
was written and nothing of that changed since, the answer is the same, without loading database or settings.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ...mail.clock import Clock, rfc3339
from ...mail.errors import UsageError
from ...mail.log.event import Draft
from ...mail.open import open_log
from ...mail.team_file import persona_folders, roster_files
from ..kinds import Kind
from ..leader import Leader

_PERSONAS = re.compile(rb"(?m)^[^#\n]*\bpersonas\b[^#\n]*=")
_ALWAYS = "9999"  # sorts after every timestamp: only an event ends it


def seen(home: Path, words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return a digest of what an idle tick depends on besides the log.

    That is flags (`words`), `TEAM_…` variables, the settings file, and the files of the roster.
    """
    digest = hashlib.sha256(
        repr((*words, *sorted(pair for pair in environ.items() if pair[0][:5] == "TEAM_"))).encode()
    )
    for path in (home / "team.toml", *roster_files(home, _elsewhere(home))):
        digest.update(repr((str(path), *_mark(path))).encode())
    return digest.hexdigest()[:32]


def _elsewhere(home: Path) -> tuple[Path, ...]:
    """Return the folders of other tools that the roster reads; `team.toml` is parsed only if it seems to name some."""
    try:
        named = _PERSONAS.search((home / "team.toml").read_bytes())
        return persona_folders(home) if named else ()
    except (OSError, UsageError):  # told by what reads the settings
        return ()


def _mark(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def idle(why: str, until: datetime | None, digest: str, head: int) -> Draft:
    """Return the event of a tick with nothing to do, for the reason `why`.

    `until` is when there may be something to do, None if only an event can change that. `head` is the seq of the last
    event that the tick has seen: it knows nothing of events between that one and its own.
    """
    return Draft(
        Kind.TICK_DONE,
        "scheduler",
        data={"idle": why, "until": rfc3339(until) if until else _ALWAYS, "seen": digest, "head": head},
    )


def again(home: Path, digest: str, clock: Clock) -> str | None:
    """Record another idle tick and return its reason; return None if a full tick is needed. Raises NotLeader."""
    log = open_log(home, clock=clock)
    with Leader(home / "work"):
        last, now = log.newest(), rfc3339(clock.now())
        if last is None or last.kind != Kind.TICK_DONE or last.data.get("seen") != digest:
            return None
        if last.data.get("head") != last.seq - 1:
            return None
        why, until = last.data.get("idle"), last.data.get("until")
        if not isinstance(why, str) or not isinstance(until, str) or not last.ts <= now < until:
            return None
        log.append([Draft(Kind.TICK_DONE, "scheduler", data={**last.data, "head": last.seq})])
        return why
