"""Reads an agent's output: plain text, as Aider prints it, or the JSON events that coding agents print when asked to.

Agents print other text between their events, and the events' shapes change between versions. A line that is not
understood is ignored, and nothing an agent prints can make the reader fail.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Mapping
from typing import Any

from ..keeping.events import events_in, is_known, stage
from ..keeping.meter import Meter
from ..spending.usage import UNKNOWN, usage_of
from .aider import START, read_aider
from .formats import HANDLERS
from .transcript import Hearer, ToolCall, Transcript, TranscriptBuilder, headline

__all__ = ["Hearer", "Listener", "ToolCall", "Transcript", "read_stream"]

MAX_LOG = 10_000_000  # bytes; only the end of a longer log is read, because it says how the run ended
MAX_OPEN = 4 << 20  # characters of a line that is listened to; an event that is longer is not understood then
_MAX_STRAY = 500  # characters
_RECENT = 20  # lines after the last event, of which one may be the last words


def read_stream(log: bytes) -> Transcript:
    """Return the transcript of an agent's output. If it is no stream of events, the text is the whole output."""
    listener = Listener()
    listener.feed(log[-MAX_LOG:])
    return listener.end()


class Listener:
    """Reads an agent's output while it is written, in pieces that may end anywhere.

    `hearer` is told of words, tool calls, figures and the end as soon as they are there. Text that is no event is words
    until the output is known to be a stream of events; a line that may still become an event waits for its end. Without
    `keep` it needs little memory, and `end` returns no more than a stream of events tells.
    """

    def __init__(self, hearer: Hearer | None = None, *, keep: bool = True) -> None:
        self._hearer, self._keep = hearer, keep
        self._builder = TranscriptBuilder(hearer=hearer, keep=keep)
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._meter = Meter()
        self._usage = UNKNOWN
        self._open = ""  # the line that has not ended yet
        self._told = 0  # characters of it that were words
        self._plain: list[str] = []  # the lines of an output that is no known stream
        self._stray: list[str] = []  # those that came after the last event
        self._words: list[str] = []  # that nobody was told of yet

    def feed(self, data: bytes) -> None:
        """Read the next piece."""
        self._take(self._decoder.decode(data))
        self._flush()

    def end(self) -> Transcript:
        """Take what has come of the last line as a whole line; return the transcript."""
        self._take(self._decoder.decode(b"", final=True))
        self._row(self._open)
        self._open = ""
        self._flush()
        builder = self._builder
        builder.stray = headline(self._stray)[-_MAX_STRAY:]
        if figures := self._meter.figures():
            partial = self._meter.lacks or (builder.known and not builder.finished)
            builder.usage = usage_of(figures | {"partial": partial})
        if builder.known:
            return builder.build()
        text = "\n".join(self._plain)
        if start := START.search(text):
            builder.stray, builder.hearer = "", None  # it was told of line by line
            read_aider(text[start.start() :].split("\n"), builder)
            return builder.build()
        return builder.build() if builder.failed else Transcript(text.strip())

    def _take(self, text: str) -> None:
        *rows, last = text.split("\n")
        for row in rows:
            self._row(self._open + row if self._open else row, "\n")
            self._open, self._told = "", 0
        self._open += last
        self._say_words_of(self._open)
        if not self._keep and len(self._open) > MAX_OPEN:
            self._row(self._open)
            self._open, self._told = "", 0

    def _row(self, row: str, ending: str = "") -> None:
        """Read a whole line."""
        builder, said = self._builder, self._builder.said
        if not builder.known:
            self._meter.read(row)
        has_event = False
        for event in events_in(row) if '"type"' in row else ():  # this test is much cheaper than a failed parse
            if not has_event:
                self._say_words_of(row)
                self._flush()  # they come before what the event tells
            has_event = True
            self._event(event)
        if builder.known:
            self._plain.clear()
        else:
            if self._keep:
                self._plain.append(row)
            if self._hearer and builder.said == said:
                self._say(row[self._told :] + ending)
        if has_event:
            self._stray = []
        elif not row.startswith("[output cut here"):
            self._stray.append(row)
            if not self._keep:
                del self._stray[:-_RECENT]

    def _event(self, event: Mapping[str, Any]) -> None:
        builder = self._builder
        if is_known(event):
            builder.known = True
            self._meter.count(event)
        if (kind := event.get("type")) in HANDLERS:
            HANDLERS[str(kind)](event, builder)
        if now := stage(event):
            builder.finished = now == "final"
        if self._hearer and builder.known and (figures := self._meter.figures()):
            usage = usage_of(figures | {"partial": True})
            if usage != self._usage:
                self._usage = usage
                self._hearer.spend(usage)

    def _say_words_of(self, row: str) -> None:
        """Tell of what stands before the first brace of a line, which may be a warning before an event."""
        if self._hearer and not self._builder.known and not row.startswith(("{", "[")):
            end = row.find("{", self._told)
            end = len(row) if end < 0 else end
            self._say(row[self._told : end])
            self._told = end

    def _say(self, words: str) -> None:
        if self._hearer and words:
            self._words.append(words)

    def _flush(self) -> None:
        if self._words and self._hearer:
            words, self._words = "".join(self._words), []
            self._hearer.say(words, more=True)
