"""What an agent's output says: its final message, its tool calls, what it used, and whether it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..spending.usage import UNKNOWN, Usage
from ..value import compact, fault_in

MAX_CALLS = 500
MAX_VALUE = 16 << 10  # bytes of one input or output


@dataclass(frozen=True)
class ToolCall:
    """One tool call. `output` and `duration_ms` are None if the stream does not report them."""

    tool: str
    input: Any
    output: Any
    duration_ms: float | None = None


@dataclass(frozen=True)
class Transcript:
    """The content of an agent's output. `failed` is the reason the agent itself gave for failing, or None.

    `known` tells whether it is a stream of events, and `finished` whether that came to its final event. `complaint` is
    the last error that the agent reported without saying that it failed, if it came no further since. `denied` names
    the tools that it was not allowed to use, and `stray` is the last line after the last event, see `headline`.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = UNKNOWN
    failed: str | None = None
    known: bool = False
    finished: bool = False
    complaint: str = ""
    denied: str = ""
    stray: str = ""


@dataclass
class _Call:
    tool: str
    input: Any
    output: Any = None
    began: float | None = None  # milliseconds
    ended: float | None = None

    def frozen(self) -> ToolCall:
        took = None if self.began is None or self.ended is None else max(0.0, self.ended - self.began)
        return ToolCall(text_of(self.tool)[:200], _kept(self.input), _kept(self.output), took)


class Hearer:
    """Is told what an agent says and does while its output is read. Every method here ignores it."""

    def say(self, text: str, *, more: bool) -> None:
        """Take words of the agent: those of a new message, or with `more` the next ones of the last message."""

    def call(self, id: str, tool: str, input: Any) -> None:
        """Take a tool call that has begun, or whose input has changed; `id` is the stream's own name for it."""

    def answer(self, id: str, output: Any) -> None:
        """Take the output of a tool call that was told of."""

    def spend(self, usage: Usage) -> None:
        """Take what the agent has used so far."""

    def end(self, failed: str | None) -> None:
        """Take how the agent says that it ended: why it failed, None if it did not."""


@dataclass
class TranscriptBuilder:
    """Collects what the events of a stream report, in any order; repeated events are allowed.

    `text` is the last message so far. Times are in milliseconds, on whatever clock the stream uses. `hearer` is told
    of everything at once; with `keep` unset, outputs of tools are told of and not kept.
    """

    text: str = ""
    usage: Usage = UNKNOWN
    failed: str | None = None
    known: bool = False
    finished: bool = False
    complaint: str = ""
    denied: str = ""
    stray: str = ""
    hearer: Hearer | None = None
    keep: bool = True
    said: int = 0  # messages and pieces of them so far
    _calls: dict[str, _Call] = field(default_factory=dict[str, _Call])
    _interrupted: bool = False
    _part: str = ""  # of a message that comes in pieces, and then as a whole

    def say(self, text: str, *, more: bool = False) -> None:
        """Add a message, or a continuation of the last one (`more`); text after a tool call is a new message."""
        if text:
            more = more and not self._interrupted and bool(self.text)
            self.text = self.text + text if more else text
            self._add(text, more=more)

    def begin_part(self) -> None:
        """Begin a message that comes in pieces."""
        self._part = ""

    def say_part(self, text: str) -> None:
        """Add a piece of a message of which the whole comes after its last piece."""
        if text:
            self.text = self._part + text
            self._add(text, more=bool(self._part))
            self._part = self.text

    def say_whole(self, text: str) -> None:
        """Add a message of which pieces may have come before: only what they lacked is new."""
        part, self._part = self._part, ""
        if part and text.startswith(part):
            self.text = text
            if rest := text[len(part) :]:
                self._add(rest, more=True)
        else:
            self.say(text)

    def conclude(self, text: str) -> None:
        """Add the last message, which most streams repeat at their end: then it is nothing new."""
        if text and text.strip() == self.text.strip():
            self.text, self.complaint, self._interrupted = text, "", False
        else:
            self.say(text)

    def _add(self, text: str, *, more: bool) -> None:
        self._interrupted = False
        self.complaint = ""
        self.said += 1
        if self.hearer:
            self.hearer.say(text_of(text), more=more)

    def call(self, id: str, tool: str, input: Any, at: float | None = None) -> None:
        """Add a tool call; a repeated id updates the input of the call that is known."""
        self._interrupted = True
        self.complaint = ""
        if id in self._calls:
            is_new, self._calls[id].input = self._calls[id].input != input, input
        elif is_new := len(self._calls) < MAX_CALLS:
            self._calls[id] = _Call(tool, input, began=at)
        if is_new and self.hearer:
            self.hearer.call(text_of(id), text_of(self._calls[id].tool)[:200], _kept(input))

    def answer(self, id: str, output: Any, at: float | None = None) -> None:
        """Record the output of a tool call; an unknown id is ignored."""
        if call := self._calls.get(id):
            call.output, call.ended = output if self.keep else None, at
            if self.hearer:
                self.hearer.answer(text_of(id), _kept(output))

    def complain(self, error: str) -> None:
        """Record an error that the agent may recover from: what it says or does next shows that it did."""
        self.complaint = error or self.complaint

    def end(self, failed: str | None) -> None:
        """Record how the agent says it ended; the last report counts."""
        self.failed = failed
        if self.hearer:
            self.hearer.end(failed)

    def build(self) -> Transcript:
        """Return the transcript of everything reported so far."""
        calls = tuple(call.frozen() for call in self._calls.values())
        return Transcript(
            text_of(self.text).strip(), calls, self.usage, self.failed, self.known, self.finished, self.complaint,
            self.denied, self.stray,
        )  # fmt: skip


def text_of(value: Any) -> str:
    """Return a string with lone surrogates replaced; an empty string for any other value."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def headline(rows: Sequence[str]) -> str:
    """Return the last line that says something: below an error's message, its stack is indented."""
    filled = [row for row in rows if row.strip()]
    said = (row for row in reversed(filled) if not row[0].isspace() and any(sign.isalnum() for sign in row))
    return next(said, filled[-1] if filled else "").strip()


def _kept(value: Any) -> Any:
    """Return a value as a trace can hold it: unchanged if it is JSON of reasonable size, else the start of its text."""
    if isinstance(value, str):
        return _cut(text_of(value))
    try:
        text = compact(value)
    except (RecursionError, ValueError):
        return "[left out here: nested too deep]"
    if len(text) > MAX_VALUE or fault_in(value):
        return _cut(text_of(text))
    return value


def _cut(text: str) -> str:
    data = text.encode()
    if len(data) <= MAX_VALUE:
        return text
    return f"{data[:MAX_VALUE].decode(errors='ignore')}\n[cut here: {len(data) - MAX_VALUE} more bytes]"
