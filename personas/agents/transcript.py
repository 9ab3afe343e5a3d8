"""What an agent said, gathered while its output is read: its last words, its tool calls, what it cost, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..value import compact, fault_in

MAX_CALLS = 500
MAX_VALUE = 16 << 10  # bytes of one input or output


@dataclass(frozen=True)
class ToolCall:
    """One tool that an agent called. `output` is None where the stream does not tell it, as is `duration_ms`."""

    tool: str
    input: Any
    output: Any
    duration_ms: float | None = None


@dataclass(frozen=True)
class Transcript:
    """What an agent's output tells. `failed` is why it gave up by its own account, whatever its exit code."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    cost_usd: float | None = None
    failed: str | None = None

    @property
    def tells(self) -> bool:
        """Whether anything is told: a script's own result can look like a line of an agent, and is none."""
        return bool(self.text or self.cost_usd or self.failed or any(call.tool for call in self.calls))


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


@dataclass
class TranscriptBuilder:
    """Gathers what the lines of a stream tell, in any order and however often. `words` are those of the last message.

    Moments are milliseconds of whatever clock the stream has.
    """

    words: str = ""
    cost: float | None = None
    failed: str | None = None
    _calls: dict[str, _Call] = field(default_factory=dict[str, _Call])
    _interrupted: bool = False

    def say(self, text: str, *, more: bool = False) -> None:
        """Take a message, or `more` of the last one; what comes behind a tool call is a new one."""
        if text:
            self.words = self.words + text if more and not self._interrupted else text
            self._interrupted = False

    def call(self, id: str, tool: str, input: Any, at: float | None = None) -> None:
        """Take the beginning of a tool call; told again it is the same one, with what is known by now."""
        self._interrupted = True
        if id in self._calls:
            self._calls[id].input = input
        elif len(self._calls) < MAX_CALLS:
            self._calls[id] = _Call(tool, input, began=at)

    def answer(self, id: str, output: Any, at: float | None = None) -> None:
        """Take what a tool gave back; that of a call nobody told of is left out."""
        if call := self._calls.get(id):
            call.output, call.ended = output, at

    def spend(self, cost: float) -> None:
        """Add to what it cost, in dollars."""
        self.cost = (self.cost or 0.0) + cost

    def end(self, failed: str | None) -> None:
        """Take how it ended by its own account; the last word counts."""
        self.failed = failed

    def said(self) -> Transcript:
        """Return all that was told."""
        calls = tuple(call.frozen() for call in self._calls.values())
        return Transcript(text_of(self.words).strip(), calls, self.cost, self.failed)


def text_of(value: Any) -> str:
    """Return a value that should be text, with halves of surrogate pairs replaced; nothing for what is none."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _kept(value: Any) -> Any:
    """Return a value as a trace may hold it: as it is if it is JSON of a sane size, else the beginning of its text."""
    if isinstance(value, str):
        return _cut(text_of(value))
    try:
        told = compact(value)
    except (RecursionError, ValueError):
        return "[left out here: nested too deep]"
    if len(told) > MAX_VALUE or fault_in(value):
        return _cut(text_of(told))
    return value


def _cut(text: str) -> str:
    data = text.encode()
    if len(data) <= MAX_VALUE:
        return text
    return f"{data[:MAX_VALUE].decode(errors='ignore')}\n[cut here: {len(data) - MAX_VALUE} more bytes]"
