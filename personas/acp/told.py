"""What a session tells while it goes on, as the events that our programs print: words, thoughts, calls, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ...mail.render import line
from ..streams.printer import Printer
from .calls import Call, text
from .figures import Figures

_MOST_THOUGHT = 2_000  # characters that are printed at once
_MOST_TEXT = 1 << 20  # characters of a message that are kept
_MOST_CALLS = 1_000  # that are known at the same time
_DONE = frozenset({"completed", "failed"})
_SHOWN = 300


@dataclass
class Told:
    """Prints the updates of a session; those that repeat an earlier run's are not printed, see `muted`.

    `last` is the last message. `broke` tells that the agent itself reported an error of its turn.
    """

    printer: Printer
    figures: Figures
    error: str = ""  # how a message begins by which the agent says that its model failed
    muted: bool = False
    last: str = ""
    broke: bool = False
    worked: bool = False  # whether the turn has called a tool
    refusals: list[str] = field(default_factory=list[str])
    _message: list[str] = field(default_factory=list[str])
    _id: str = ""
    _thought: str = ""
    _calls: dict[str, Call] = field(default_factory=dict[str, Call])
    _shown: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def begin_turn(self) -> None:
        """Forget the turn before."""
        self.last, self.broke, self.worked = "", False, False
        self.refusals.clear()

    def take(self, raw: Mapping[str, Any]) -> None:
        """Take one update, as JSON."""
        kind, meta = text(raw.get("sessionUpdate")), _table(raw.get("_meta"))
        if kind == "usage_update":
            self.figures.update(raw)
            self.spend()
        if self.muted:
            return
        if kind == "agent_message_chunk":
            self._say(_table(raw.get("content")), text(raw.get("messageId")), meta)
        elif kind == "agent_thought_chunk":
            self._think(text(_table(raw.get("content")).get("text")))
        elif kind in {"tool_call", "tool_call_update"}:
            call = self.call(raw)
            if call.is_known:
                self._print(call)
        elif kind == "plan":
            self._plan(raw)
        elif any(_table(_table(each).get("threadStatus")).get("type") == "systemError" for each in meta.values()):
            self.broke = True

    def call(self, raw: Mapping[str, Any], *, asked: bool = False) -> Call:
        """Return a call with what an update says of it, or a request for permission (`asked`)."""
        name = text(raw.get("toolCallId"))
        call = self._calls.setdefault(name, Call(name))
        call.take(raw, asked=asked)
        self.worked = True
        if len(self._calls) > _MOST_CALLS:
            oldest = next(iter(self._calls))
            del self._calls[oldest]
            self._shown.pop(oldest, None)
        return call

    def refuse(self, call: Call, why: str) -> None:
        """Print that a call was refused."""
        self.refusals.append(f"{line(call.command or call.title or call.name)[:_SHOWN]}: {why}")
        self.printer.refuse(line(call.name)[:_SHOWN], why, call.shown)

    def allow(self, call: Call) -> None:
        """Print a call that is about to begin, as it was allowed."""
        self._print(call)

    def spend(self) -> None:
        """Print what is known of tokens and money."""
        tokens, usd = self.figures.tokens, self.figures.usd
        if tokens or usd is not None:
            given, cached, output = tokens or (None, None, None)
            self.printer.spend(given, output, cached=cached, usd=usd, model=self.figures.model)

    def flush(self) -> None:
        """Print what was begun, as a whole."""
        if self._thought:
            self.printer.think(self._thought)
            self._thought = ""
        if self._message:
            self.last = "".join(self._message).strip()
            self.printer.say(self.last)
            self._message, self._id = [], ""

    def _say(self, content: Mapping[str, Any], id: str, meta: Mapping[str, Any]) -> None:
        self.figures.answer(meta)
        self.spend()
        words = text(content.get("text")) if content.get("type") == "text" else f"[{text(content.get('type'))}]"
        if not words:
            return
        is_error = bool(self.error) and words.startswith(self.error)
        if self._thought or (self._message and (id != self._id or is_error)):
            self.flush()
        if any(_table(each).get("kind") == "informational" for each in meta.values()):  # Claude's program speaks
            self.printer.stand(line(words)[:_SHOWN])
            return
        if not self._message:
            self.printer.begin_part()
        self._id = id
        if sum(map(len, self._message)) < _MOST_TEXT:
            self._message.append(words)
        self.printer.say_part(words)

    def _think(self, words: str) -> None:
        if self._message:
            self.flush()
        self._thought += words
        if len(self._thought) > _MOST_THOUGHT:
            self.flush()

    def _print(self, call: Call) -> None:
        """Print a call whose input is new, and its output once it has ended."""
        shown, status = self._shown.get(call.id, ("", ""))
        now = f"{call.name} {call.shown}"
        if status in _DONE:
            return
        if now != shown:
            self.flush()
            self.printer.call(call.id, call.name, call.shown)
        if call.status in _DONE:
            output = "" if call.output is None else call.output
            self.printer.answer(call.id, output, failed=call.status == "failed")
        self._shown[call.id] = (now, call.status)

    def _plan(self, raw: Mapping[str, Any]) -> None:
        entries = [_table(each) for each in cast("list[Any]", raw.get("entries") or [])]
        steps = "; ".join(f"{text(each.get('content'))} ({text(each.get('status'))})" for each in entries)
        self.printer.stand(f"plan: {line(steps)[:_SHOWN]}")


def _table(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
