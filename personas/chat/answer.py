"""The answer of a model, put together from the pieces in which servers stream it.

They differ in what they leave out: the index of a call, its id, the end. Some send whole calls at once, all of them
with index 0, or arguments as an object; some tell what a model thought as a field, and some within the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from ..value import compact

DONE = "[DONE]"
LENGTH = "length"
_CUT = frozenset({LENGTH, "max_tokens", "model_length"})
_THOUGHT = re.compile(r"\A\s*<(think|thinking|thought|reasoning)>(.*?)(?:</\1>|\Z)\s*", re.DOTALL)
_UNOPENED = re.compile(r"\A((?:(?!<think>).)*)</think>\s*", re.DOTALL)  # some templates open it themselves
BACK, EXTRA = "reasoning_content", "extra_content"  # what DeepSeek and Gemini want to have back with calls
_THOUGHTS = (BACK, "reasoning", "thinking")
_MOST_TOKENS = 10**9
_WINDOW, _LONGEST_UNIT, _TAIL = 8_192, 200, 100  # characters of a text that repeats itself


class Call(NamedTuple):
    """A call of a tool; `arguments` is what should be a JSON object, and `extra` what is to be sent back with it."""

    id: str
    name: str
    arguments: str
    extra: Any = None


class Tokens(NamedTuple):
    """What a server counted; `usd` is money, if it tells that."""

    input: int
    output: int
    cached: int | None = None
    usd: float | None = None


class Answer(NamedTuple):
    """An answer. `finish` is why it ended, "" if the server did not say, and `whole` whether its end came.

    `back` is what some servers want to have back with the calls: what the model thought before them.
    """

    text: str
    thought: str
    calls: tuple[Call, ...]
    finish: str
    tokens: Tokens | None
    whole: bool
    back: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether it met a limit of tokens."""
        return self.finish in _CUT

    @property
    def size(self) -> int:
        """Its length in bytes, for an estimate of its tokens."""
        parts = [self.text, self.thought, *(f"{call.name}{call.arguments}" for call in self.calls)]
        return sum(len(part.encode(errors="replace")) for part in parts)


class ServerComplaint(Exception):
    """The server reported an error in the middle of an answer; `status` is a code of HTTP, 0 if it named none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: Any = None

    @property
    def is_whole(self) -> bool:
        try:
            json.loads(self.arguments)
        except (ValueError, RecursionError):
            return False
        return True


@dataclass
class AnswerBuilder:
    """Takes the data of one event after the other; `hear` is told the pieces of the text as they come."""

    hear: Callable[[str], object] = lambda _: None
    size: int = 0  # characters of all that came
    _text: list[str] = field(default_factory=list[str])
    _thought: list[str] = field(default_factory=list[str])
    _calls: list[_Call] = field(default_factory=list[_Call])
    _at: dict[int, _Call] = field(default_factory=dict[int, _Call])
    _tokens: Tokens | None = None
    _finish: str = ""
    _done: bool = False
    _back: list[str] = field(default_factory=list[str])

    def take(self, data: str) -> None:
        """Take the data of an event. Raises ServerComplaint for one that is an error."""
        for text in [data] if data.strip() == DONE or _is_json(data) else data.split("\n"):
            if text.strip() == DONE:
                self._done = True
            elif text.strip():
                self._take(_table(_parsed(text)))

    def _take(self, event: dict[str, Any]) -> None:
        if error := event.get("error"):
            table = _table(error)
            code = table.get("code", table.get("status"))
            raise ServerComplaint(str(table.get("message") or error), _count(code) or 0)
        self._tokens = _tokens_of(event.get("usage")) or self._tokens
        for choice in map(_table, _items(event.get("choices"))[:1]):
            self._piece(_table(choice.get("delta")) or _table(choice.get("message")))
            if isinstance(finish := choice.get("finish_reason"), str) and finish:
                self._finish = finish

    def _piece(self, delta: dict[str, Any]) -> None:
        if text := _text_of(delta.get("content")):
            self.size += len(text)
            self._text.append(text)
            self.hear(text)
        thought = next((text for name in _THOUGHTS if (text := _text_of(delta.get(name)))), "")
        self.size += len(thought)
        self._thought.append(thought)
        self._back.append(_text_of(delta.get(BACK)))
        for call in map(_table, _items(delta.get("tool_calls"))):
            known = self._call(call.get("index"), call.get("id"), _table(call.get("function")) or call)
            known.extra = call.get(EXTRA, known.extra)
        if old := _table(delta.get("function_call")):
            self._call(None, None, old)

    def _call(self, index: Any, named: Any, function: dict[str, Any]) -> _Call:
        """Take a piece of a call: more of one that is known, or the first one of another; return that."""
        id_, name = (value if isinstance(value, str) else "" for value in (named, function.get("name")))
        arguments = function.get("arguments")
        more = arguments if isinstance(arguments, str) else "" if arguments is None else compact(arguments)
        self.size += len(more) + len(name)
        index = index if type(index) is int else None
        call = self._known(index, id_, name)
        if call is None:
            call = _Call()
            self._calls.append(call)
            if index is not None:
                self._at[index] = call
        call.id = call.id or id_
        if name and name != call.name:
            call.name += name
        call.arguments += more
        return call

    def _known(self, index: int | None, id: str, name: str) -> _Call | None:
        """Return the call that a piece is more of."""
        if id and (same := next((call for call in self._calls if call.id == id), None)):
            return same
        last = self._calls[-1] if self._calls else None
        call = self._at.get(index) if index is not None else last
        if call is None or not name:
            return call
        is_other = (id and call.id) or (call.arguments and (call.is_whole or name != call.name))
        return None if is_other else call

    @property
    def repeats(self) -> bool:
        """Whether the text, or the thought, goes round in a circle."""
        return any(map(_repeats, (self._text, self._thought)))

    def answer(self) -> Answer:
        """Return the answer as far as it came."""
        text, thought = _split(_joined(self._text), _joined(self._thought))
        calls = tuple(
            Call(call.id or f"call_{number}", call.name, call.arguments.strip() or "{}", call.extra)
            for number, call in enumerate(self._calls, 1)
            if call.name or call.arguments
        )
        return Answer(
            text, thought, calls, self._finish, self._tokens, self._done or bool(self._finish), "".join(self._back)
        )


def _joined(pieces: Sequence[str]) -> str:
    """Join pieces of a text; some servers cut a character in two, which JSON writes as halves of a pair."""
    return "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _split(text: str, thought: str) -> tuple[str, str]:
    """Take what a model thought out of its text."""
    while match := _THOUGHT.match(text):
        thought, text = f"{thought}{match[2]}", text[match.end() :]
    if match := _UNOPENED.match(text):
        thought, text = f"{thought}{match[1]}", text[match.end() :]
    return text, thought.strip()


def _repeats(parts: list[str]) -> bool:
    tail, size = list[str](), 0
    for part in reversed(parts):
        tail.append(part)
        size += len(part)
        if size >= _WINDOW:
            break
    text = "".join(reversed(tail))[-_WINDOW:]
    if len(text) < _WINDOW:
        return False
    at = text.rfind(text[-_TAIL:], 0, len(text) - 1)
    unit = len(text) - _TAIL - at
    return at >= 0 and unit <= _LONGEST_UNIT and text[unit:] == text[:-unit]


def _tokens_of(value: Any) -> Tokens | None:
    usage = _table(value)
    given, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if given is None or output is None:
        return None
    cached, cost = _count(_table(usage.get("prompt_tokens_details")).get("cached_tokens")), usage.get("cost")
    usd = float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None
    return Tokens(given, output, None if cached is None else min(cached, given), usd)


def _text_of(value: Any) -> str:
    """Return a text, also one that comes as a list of parts."""
    if isinstance(value, str):
        return value
    return "".join(_text_of(_table(part).get("text")) for part in _items(value))


def _is_json(text: str) -> bool:
    return _parsed(text) is not None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None
