"""What a session used, read from all the places where agents tell it: the protocol has no sum of a run.

Gemini, Claude and Codex name the tokens of a turn by model in `_meta.quota` of its answer, Copilot in `usage` those of
all turns so far, OpenCode those of its last answer alone, and Qwen those of each answer in `_meta` of a message. Money
comes with `usage_update`, summed up over a session's life.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from .orders import Counts


class Tokens(NamedTuple):
    """Tokens given to models, those of them from a cache, None if that is not told, and those that models wrote."""

    input: int
    cached: int | None
    output: int

    def __add__(self, other: object) -> Tokens:
        """Add up two; what one of them does not tell of the cache, nobody knows of both."""
        assert isinstance(other, Tokens)  # noqa: S101 - for the type checker
        known = self.cached is not None and other.cached is not None
        cached = (self.cached or 0) + (other.cached or 0) if known else None
        return Tokens(self.input + other.input, cached, self.output + other.output)


class Figures:
    """Adds up what one run is told. `resumed` tells that its session is older than the run.

    `tokens` and `usd` are None while they are not known, and `model` is empty.
    """

    def __init__(self, counts: Counts, *, resumed: bool = False) -> None:
        self._counts, self._resumed = counts, resumed
        self._turns: Tokens | None = None
        self._answers: Tokens | None = None
        self._before: float | None = None if resumed else 0.0  # money that the session had cost when the run began
        self._cost: float | None = None
        self._begun = False
        self._heard = 0  # answers of this turn
        self.model = ""

    @property
    def tokens(self) -> Tokens | None:
        """The tokens of the run."""
        return self._turns or self._answers

    @property
    def usd(self) -> float | None:
        """The money of the run, if the agent knows it: 0 for tokens is what is said of a model without a price."""
        if self._cost is None or self._before is None:
            return None
        return max(0.0, self._cost - self._before) or None

    def begin(self) -> None:
        """Take note that the first prompt is about to be sent."""
        self._begun = True

    def update(self, raw: Mapping[str, Any]) -> None:
        """Take a `usage_update`."""
        meta, cost = _table(raw.get("_meta")), _table(raw.get("cost"))
        named = next((value for key, value in meta.items() if key.endswith("/model") and isinstance(value, str)), "")
        self.model = named or self.model
        amount = cost.get("amount")
        if cost.get("currency") == "USD" and isinstance(amount, int | float) and amount >= 0:
            self._cost = float(amount)
            if self._resumed and not self._begun:
                self._before = float(amount)

    def answer(self, meta: Mapping[str, Any]) -> None:
        """Take what stands beside a piece of a message: the tokens of the answer that it is of."""
        if tokens := _of(_table(meta.get("usage"))):
            self._answers = tokens if self._answers is None else self._answers + tokens
            self._heard += 1

    def turn(self, raw: Mapping[str, Any]) -> bool:
        """Take the answer to a prompt; tell whether it, or what came before it in this turn, told of new tokens."""
        quota = _table(_table(raw.get("_meta")).get("quota"))
        parts = [_table(each) for each in _list(quota.get("model_usage"))]
        counts = [tokens for each in parts if (tokens := _of(_table(each.get("token_count"))))]
        names = {each.get("model") for each in parts}
        if len(names) == 1 and isinstance(name := names.pop(), str):
            self.model = self.model or name
        single = _of(_table(quota.get("token_count"))) or _of(_table(raw.get("usage")))
        tokens, answers, self._heard = _sum(counts) or single, self._heard, 0
        if tokens is None:
            return bool(answers)
        if self._counts == "session" and not counts:
            is_new, self._turns = tokens != self._turns, tokens
            return is_new
        if self._counts != "last":
            self._turns = tokens if self._turns is None else self._turns + tokens
        return True


def _sum(each: list[Tokens]) -> Tokens | None:
    total: Tokens | None = None
    for tokens in each:
        total = tokens if total is None else total + tokens
    return total


def _of(raw: Mapping[str, Any]) -> Tokens | None:
    """Read tokens in any of their shapes; what agents call input may include those from the cache, or not."""
    inputs, output = _count(raw, "inputTokens", "input_tokens"), _count(raw, "outputTokens", "output_tokens")
    if inputs is None or output is None:
        return None
    cached = _count(raw, "cachedReadTokens", "cachedInputTokens", "cached_input_tokens")
    written = _count(raw, "cachedWriteTokens", "cacheWriteInputTokens") or 0
    thought = _count(raw, "thoughtTokens", "reasoningOutputTokens") or 0
    total = _count(raw, "totalTokens", "total_tokens")
    if total is None:
        return Tokens(inputs, cached, output)
    if total not in {inputs + output, inputs + output + thought}:
        inputs += (cached or 0) + written
    return Tokens(inputs, cached, max(output, total - inputs))


def _count(raw: Mapping[str, Any], *names: str) -> int | None:
    values = (raw.get(name) for name in names)
    return next((value for value in values if type(value) is int and value >= 0), None)


def _table(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
