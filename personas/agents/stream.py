"""Reading an agent's output: plain text, or the lines of JSON that coding agents print when they are asked to.

Agents print other things between, and their shapes change: a line that is not understood is passed over, and nothing
that an agent prints can make the reading fail.
"""

from __future__ import annotations

import json
from typing import Any, cast

from .stream_formats import TELLING
from .transcript import ToolCall, Transcript, TranscriptBuilder

__all__ = ["ToolCall", "Transcript", "read_stream"]

_BEGIN = '{"type":"'
MAX_LOG = 10_000_000  # bytes, the last of the output: its end says most


def read_stream(log: bytes) -> Transcript:
    """Read what an agent said. Without a line of JSON that tells anything, its words are all that it printed."""
    text = log[-MAX_LOG:].decode(errors="replace")
    story = TranscriptBuilder()
    for row in text.split("\n"):
        if '"type"' in row:  # to try in vain takes longer than to look
            _hear(row if row.startswith(("{", "[")) else _behind(row), story)
    said = story.said()
    return said if said.tells else Transcript(text.strip())


def _behind(row: str) -> str:
    """Return what follows a warning, or a sign to the terminal, that has no line of its own."""
    return "".join(row.partition(_BEGIN)[1:])


def _hear(row: str, story: TranscriptBuilder) -> None:
    try:
        found: Any = json.loads(row)
    except (ValueError, RecursionError):
        return
    rows = cast("list[Any]", found) if isinstance(found, list) else [found]  # all in one list, prints claude, too
    for one in rows:
        event = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        kind = event.get("type")
        if isinstance(kind, str) and kind in TELLING:
            TELLING[kind](event, story)
