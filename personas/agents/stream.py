"""Reads an agent's output: plain text, or the JSON events that coding agents print when asked to.

Agents print other text between their events, and the events' shapes change between versions. A line that is not
understood is ignored, and nothing an agent prints can make the reader fail.
"""

from __future__ import annotations

import json
from typing import Any, cast

from .stream_formats import HANDLERS
from .transcript import ToolCall, Transcript, TranscriptBuilder

__all__ = ["ToolCall", "Transcript", "read_stream"]

_START = '{"type":"'
MAX_LOG = 10_000_000  # bytes; only the end of a longer log is read, because it says how the run ended


def read_stream(log: bytes) -> Transcript:
    """Return the transcript of an agent's output. If no event reports anything, the text is the whole output."""
    text = log[-MAX_LOG:].decode(errors="replace")
    builder = TranscriptBuilder()
    for row in text.split("\n"):
        if '"type"' in row:  # this test is much cheaper than a failed parse
            _read_row(row if row.startswith(("{", "[")) else _event_in(row), builder)
    transcript = builder.build()
    return Transcript(text.strip()) if transcript.empty else transcript


def _event_in(row: str) -> str:
    """Return the event that follows a warning or a terminal escape sequence on the same line."""
    return "".join(row.partition(_START)[1:])


def _read_row(row: str, builder: TranscriptBuilder) -> None:
    try:
        value: Any = json.loads(row)
    except (ValueError, RecursionError):
        return
    # `claude --output-format json --verbose` prints all events as one list.
    for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
        event = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        kind = event.get("type")
        if isinstance(kind, str) and kind in HANDLERS:
            HANDLERS[kind](event, builder)
