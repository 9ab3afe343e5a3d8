"""Server-sent events, read as they come: an answer that is a stream, which may end early, stall or never end.

Every kind of line end is known, comments are passed over, and the lines of one event are put together.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .exchange import OK, REDIRECT, Refused, whole

MOST = 64 << 20  # bytes of a stream
_MOST_EVENT = 8 << 20  # bytes of an event
_PIECE = 1 << 16
_END = re.compile(rb"\r\n|\n|\r")
_DATA = b"data:"


class Enough(Exception):
    """Whoever takes the events wants no more of them; the connection is closed."""


@dataclass
class EventReader:
    """Reads an answer: `take` is given the data of each event of a stream. Anything else is returned as a whole.

    `take` may raise Enough.
    """

    take: Callable[[str], object]
    streamed: bool = False  # whether the answer was a stream

    def __call__(self, response: http.client.HTTPResponse) -> bytes:
        """Read an answer to its end. Raises Refused for one that is too long, IncompleteRead for half of one."""
        kind = response.headers.get_content_type()
        if not OK <= response.status < REDIRECT or kind == "application/json":
            return whole(response)
        self.streamed = True
        try:
            for data in _events(_lines(response)):
                self.take(data)
        except Enough:
            return b""
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return b""


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the lines of an answer as they come. Raises Refused for one that is too long, or has a line that is."""
    kept, size, held, after_return = list[bytes](), 0, 0, False
    while piece := response.read1(_PIECE):
        size += len(piece)
        half = after_return and piece.startswith(b"\n")  # the other half of the last line end
        after_return = piece.endswith(b"\r")
        for number, part in enumerate(_END.split(piece[1:] if half else piece)):
            if number:
                yield b"".join(kept)
                kept, held = [], 0
            kept.append(part)
            held += len(part)
        if size > MOST or held > _MOST_EVENT:
            raise Refused(f"the answer is longer than {MOST >> 20} MiB, or has no lines", was_sent=True)
    yield b"".join(kept)


def _events(lines: Iterator[bytes]) -> Iterator[str]:
    """Yield the data of each event; the last one needs no empty line after it."""
    data: list[bytes] = []
    size = 0
    for line in lines:
        if line.startswith(_DATA):
            data.append(line[len(_DATA) :].removeprefix(b" "))
            size += len(line)
            if size > _MOST_EVENT:
                raise Refused(f"an event of the answer is longer than {_MOST_EVENT >> 20} MiB", was_sent=True)
        elif not line and data:
            yield b"\n".join(data).decode(errors="replace")
            data, size = [], 0
    if data:
        yield b"\n".join(data).decode(errors="replace")
