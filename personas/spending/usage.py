"""What one run used. What its agent did not tell is None, which means unknown, and never 0."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from ..keeping.meter import LONGEST, MOST_TOKENS, MOST_USD

_MOST = 1e15  # larger figures are none


@dataclass(frozen=True)
class Usage:
    """Tokens and money of one run, None where unknown.

    `input` are all tokens that the model was given, `cached` those of them that came from its cache, and `output` those
    that it wrote. `usd` is money in US dollars: told by the agent, or `estimated` from tokens by a table of prices.
    `session` is the agent's own name for the conversation. `partial` tells that the run may have used more.
    """

    input: int | None = None
    cached: int | None = None
    output: int | None = None
    usd: float | None = None
    estimated: bool = False
    model: str | None = None
    session: str | None = None
    partial: bool = False

    @property
    def tokens(self) -> int | None:
        """All tokens, given and written; None unless both are known."""
        return None if self.input is None or self.output is None else self.input + self.output

    def document(self) -> dict[str, Any]:
        """Return the object `usage` of `run.finished`."""
        return dict(vars(self))


UNKNOWN = Usage()
NO_MODEL = Usage(0, 0, 0, 0.0)  # of an agent that asks no model


def usage_of(value: Any) -> Usage:
    """Return the usage in a keeper's report or an event; what has not the form of its name is unknown."""
    if not isinstance(value, dict):
        return UNKNOWN
    table = cast("dict[str, Any]", value)
    given, cached, output = (
        table[name] if is_count(table.get(name)) and table[name] <= MOST_TOKENS else None
        for name in ("input", "cached", "output")
    )
    usd = float(table["usd"]) if is_money(table.get("usd")) and table["usd"] <= MOST_USD else None
    estimated, partial = (table.get(name) is True for name in ("estimated", "partial"))
    model, session = _name(table.get("model")), _name(table.get("session"))
    return Usage(given, cached, output, usd, estimated, model, session, partial)


def is_count(value: Any) -> bool:
    """Tell whether this is a number of tokens."""
    return type(value) is int and 0 <= value < _MOST


def is_money(value: Any) -> bool:
    """Tell whether this is an amount of US dollars."""
    return type(value) in {int, float} and isfinite(value) and 0 <= value < _MOST


def whole(first: Usage, second: Usage) -> Usage:
    """Return the one of two readings of a run that knows more: one that is not partial, else the one with tokens."""
    if UNKNOWN in {first, second}:
        return second if first == UNKNOWN else first
    if first.partial != second.partial:
        return second if first.partial else first
    return first if first.tokens is not None or second.tokens is None else second


def _name(value: Any) -> str | None:
    return value[:LONGEST] if isinstance(value, str) and value else None
