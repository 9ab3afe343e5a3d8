"""Frames of a stream of server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has it.

A text with newlines is several `data:` lines of one event, each with a space, which the reader takes away again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

DONE, COMPLETE = "[DONE]", "[COMPLETE]"
BEAT = b": hb\n\n"
MOST_FRAME, MOST_BATCH = 32 << 10, 64 << 10  # bytes
_MOST_TEXT = 4_000  # characters of a frame: even if each is a line of its own, the frame is no larger than it may be
_BREAK = re.compile(r"\r\n|\r|\n")


def frame(event: str, text: str, id: str = "") -> bytes:
    """Return one event as it stands on the wire. `event` and `id` must be single lines."""
    head = f"id: {id}\n" if id else ""
    data = "".join(f"data: {row}\n" for row in _BREAK.split(text))
    return f"{head}event: {event}\n{data}\n".encode(errors="replace")


def pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces of which each fits into a frame; put together they are the text."""
    for at in range(0, len(text), _MOST_TEXT):
        yield text[at : at + _MOST_TEXT]


def as_data(value: Any) -> str:
    """Return a value as one line of JSON, for an event; of one that is too large, its beginning."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    if len(text) <= _MOST_TEXT:
        return text
    return json.dumps({"cut": text[: _MOST_TEXT // 2]}, ensure_ascii=False)
