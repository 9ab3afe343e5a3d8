"""Reads an agent's output: plain text, as Aider prints it, or the JSON events that coding agents print when asked to.

Agents print other text between their events, and the events' shapes change between versions. A line that is not
understood is ignored, and nothing an agent prints can make the reader fail.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..keeping.events import events_in, is_known, stage
from ..keeping.meter import Meter
from ..spending.usage import usage_of
from .aider import START, read_aider
from .stream_formats import HANDLERS
from .transcript import ToolCall, Transcript, TranscriptBuilder, headline

__all__ = ["ToolCall", "Transcript", "read_stream"]

MAX_LOG = 10_000_000  # bytes; only the end of a longer log is read, because it says how the run ended
_MAX_STRAY = 500  # characters


def read_stream(log: bytes) -> Transcript:
    """Return the transcript of an agent's output. If it is no stream of events, the text is the whole output."""
    text = log[-MAX_LOG:].decode(errors="replace")
    builder = TranscriptBuilder()
    builder.stray = headline(_read(text.split("\n"), builder))[-_MAX_STRAY:]
    if not builder.known and (start := START.search(text)):
        builder.stray = ""
        read_aider(text[start.start() :].split("\n"), builder)
        return builder.build()
    return builder.build() if builder.known or builder.failed else Transcript(text.strip())


def _read(rows: Iterable[str], builder: TranscriptBuilder) -> list[str]:
    """Read the events of an output; return the lines that came after the last one."""
    stray: list[str] = []
    meter = Meter()
    for row in rows:
        has_event = False
        if not builder.known:
            meter.read(row)
        for event in events_in(row) if '"type"' in row else ():  # this test is much cheaper than a failed parse
            has_event = True
            if is_known(event):
                builder.known = True
                meter.count(event)
            if (kind := event.get("type")) in HANDLERS:
                HANDLERS[str(kind)](event, builder)
            if now := stage(event):
                builder.finished = now == "final"
        if has_event:
            stray = []
        elif not row.startswith("[output cut here"):
            stray.append(row)
    if figures := meter.figures():
        builder.usage = usage_of(figures | {"partial": meter.lacks or (builder.known and not builder.finished)})
    return stray
