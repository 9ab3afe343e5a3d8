"""The lines of the active file that may concern a persona, found without parsing any."""

from __future__ import annotations

from json.encoder import encode_basestring as quoted

from ..kinds import RUN_STARTED
from ..log.event import MAX_LINE

_BEGINS = b'{"v":1,"seq":'


def lines_about(persona: str, data: bytes) -> list[bytes]:
    """Return the lines that have a name as a text, or start a run: no other is in a persona's `mailbox`.

    The database takes five times as long to read all of them. The writer has one way to quote a name. If a line has not
    the form that the writer gives it, all are returned, so that the database meets it.
    """
    if not _well_formed(data):
        return [data]
    lines: dict[int, bytes] = {}
    for needle in (quoted(persona).encode(errors="replace"), f'"kind":"{RUN_STARTED}"'.encode()):
        at = data.find(needle)
        while at >= 0:
            start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1
            lines[start] = data[start:end]
            at = data.find(needle, end)
    return [lines[start] for start in sorted(lines)]


def _well_formed(data: bytes) -> bool:
    """Return whether each line begins and ends as the writer's do, and is not longer than they are."""
    if not data.startswith(_BEGINS) or not data.endswith(b'"}\n'):
        return False
    if data.count(b'"}\n' + _BEGINS) != data.count(b"\n") - 1:
        return False
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + MAX_LINE)
        if end < 0:
            return False
        start = end + 1
    return True
