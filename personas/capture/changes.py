"""The changes of files as git prints them, and their names as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

GITLINK, ABSENT = b"160000", b"000000"
_QUOTED = re.compile(rb"\\([abfnrtv\\\"]|[0-7]{3})")
_ESCAPES = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92, b'"': 34}
_COMPLAINTS = ("error: ", "warning: could not open", "warning: unable to")
_MAX_COMPLAINTS = 20
_MOST_NAMES = 3


class Change(NamedTuple):
    """One file after a change (`mode` 000000 if it is gone), and whether the base has it."""

    path: bytes
    mode: bytes
    oid: bytes
    tracked: bool


def changes_in(raw: bytes) -> list[Change]:
    """Parse the rows of git's `--raw --no-abbrev`; other rows are passed over."""
    changes: list[Change] = []
    for row in raw.splitlines():
        if row.startswith(b":"):
            entry, _, name = row[1:].partition(b"\t")
            before, mode, _, oid, _ = entry.split(b" ")
            changes.append(Change(_unquoted(name), mode, oid, before != ABSENT))
    return changes


def counted(numbers: bytes) -> tuple[tuple[str, ...], int, int]:
    """Parse the output of --numstat: the files, and the lines added and deleted; binary files have no line counts."""
    rows = [line.split(b"\t", 2) for line in numbers.splitlines() if line and not line.startswith(b":")]
    insertions, deletions = (sum(int(row[column]) for row in rows if row[column] != b"-") for column in (0, 1))
    return tuple(text(_unquoted(row[2])) for row in rows), insertions, deletions


def complaints(stderr: bytes) -> list[str]:
    """Return git's first messages about files that it could not read."""
    lines = stderr.decode(errors="backslashreplace").splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith(_COMPLAINTS)][:_MAX_COMPLAINTS]


def text(name: bytes) -> str:
    """Return a file's name as text, with bytes that are not UTF-8 escaped."""
    return name.decode(errors="backslashreplace")


def few(names: Iterable[str]) -> str:
    """Name the first few of many."""
    listed: Sequence[str] = [*names]
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more


def _unquoted(name: bytes) -> bytes:
    """Undo git's quoting of a name with control characters, quotes or backslashes."""
    if not name.startswith(b'"'):
        return name
    return _QUOTED.sub(lambda match: bytes([_ESCAPES.get(match[1]) or int(match[1], 8)]), name[1:-1])
