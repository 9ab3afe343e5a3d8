"""The gates that are at work now: a file for each, which its process removes; one of a process that is gone is none."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ...mail.log.disk import read_file
from ...mail.process import alive, myself

_FOLDER = Path("work", "gates")


class GateAtWork(NamedTuple):
    """A gate that judges a commit, and since when, in seconds since the epoch."""

    gate: str
    commit: str
    since: float


@contextmanager
def at_work(home: Path, gate: str, commit: str) -> Generator[None]:
    """Let others see that a gate is at work; what cannot be written is not seen."""
    file: Path | None = None
    with suppress(OSError):
        (home / _FOLDER).mkdir(parents=True, exist_ok=True)
        _sweep(home)
        descriptor, name = tempfile.mkstemp(dir=home / _FOLDER, suffix=".json")
        file = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            json.dump({"gate": gate, "commit": commit, **myself()}, written)
    try:
        yield
    finally:
        if file:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def gates_at_work(home: Path) -> list[GateAtWork]:
    """List the gates that are at work for the team in `home`, the first first."""
    return sorted(_read(home), key=lambda each: each.since)


def _sweep(home: Path) -> None:
    """Remove what processes left that were killed."""
    for file in (home / _FOLDER).glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not alive(json.loads(read_file(file))):
                file.unlink(missing_ok=True)


def _read(home: Path) -> Iterator[GateAtWork]:
    for file in (home / _FOLDER).glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(read_file(file))
            if alive(record):
                yield GateAtWork(str(record["gate"]), str(record["commit"]), file.stat().st_mtime)
