"""What several runs used together. A sum with a part that nobody knows is a least, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ...personas.spending.usage import Usage

UNKNOWN_AMOUNT = "unknown"
_CENT, _HUNDRED = 0.01, 100.0
_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


class Used(NamedTuple):
    """What one run used, of which persona and by which agent; "" where that is not on record."""

    usage: Usage
    persona: str = ""
    agent: str = ""


@dataclass(frozen=True)
class UsageTotal:
    """What runs used: tokens as in `Usage`, and US dollars; None if no run told any.

    `estimated` tells that some of the money was computed from tokens. `tokens_unknown`, `usd_unknown` and
    `cached_unknown` count the runs that may have used more than was told, or told nothing.
    """

    runs: int = 0
    input: int | None = None
    cached: int | None = None
    output: int | None = None
    usd: float | None = None
    estimated: bool = False
    tokens_unknown: int = 0
    usd_unknown: int = 0
    cached_unknown: int = 0

    @property
    def tokens(self) -> int | None:
        """All tokens, given and written; None if none are known."""
        return None if self.input is None or self.output is None else self.input + self.output

    @property
    def money_text(self) -> str:
        """The money for people: `$1.25`, `about $1.25` if some is estimated, `at least $1.25`, or `unknown`."""
        return self.money_each(1)

    def money_each(self, number: int) -> str:
        """Write the money for each of so many; it is as sure as the sum."""
        if self.usd is None:
            return UNKNOWN_AMOUNT
        return f"{_least(self.usd_unknown)}{'about ' if self.estimated else ''}{dollars(self.usd / number)}"

    @property
    def tokens_text(self) -> str:
        """The tokens for people: `12.3k`, `at least 12.3k`, or `unknown`."""
        return UNKNOWN_AMOUNT if self.tokens is None else f"{_least(self.tokens_unknown)}{shortened_count(self.tokens)}"

    @property
    def cached_text(self) -> str:
        """The tokens from the cache for people, as `tokens_text` writes all."""
        return UNKNOWN_AMOUNT if self.cached is None else f"{_least(self.cached_unknown)}{shortened_count(self.cached)}"

    @property
    def text(self) -> str:
        """Both in a few words, the unit with them: `about $1.25, 12.3k tokens`."""
        if self.usd is None and self.tokens is None:
            return "money and tokens unknown"
        money = self.money_text if self.usd is not None else f"money {UNKNOWN_AMOUNT}"
        tokens = f"{self.tokens_text} tokens" if self.tokens is not None else f"tokens {UNKNOWN_AMOUNT}"
        return f"{money}, {tokens}"

    def document(self) -> dict[str, Any]:
        """Return the JSON object `usage`."""
        return asdict(self)


NO_USAGE = UsageTotal()


def total(usages: Iterable[Usage]) -> UsageTotal:
    """Add up what runs used."""
    rows = [*usages]
    counted = [row for row in rows if row.tokens is not None]
    cached = [row.cached for row in counted if row.cached is not None]
    money = [row.usd for row in rows if row.usd is not None]
    return UsageTotal(
        len(rows),
        sum(row.input or 0 for row in counted) if counted else None,
        sum(cached) if cached else None,
        sum(row.output or 0 for row in counted) if counted else None,
        round(sum(money), 6) if money else None,
        any(row.estimated for row in rows),
        sum(row.tokens is None or row.partial for row in rows),
        sum(row.usd is None or row.partial for row in rows),
        sum(row.cached is None or row.partial for row in rows),
    )


def dollars(amount: float) -> str:
    """Write an amount of US dollars: `$0.0059`, `$1.25`, `$120`."""
    if 0 < amount < _CENT:
        return f"${amount:.2g}" if amount >= 0.0001 else f"${amount:.7f}"  # noqa: PLR2004 - never with an exponent
    return f"${amount:,.2f}" if amount < _HUNDRED else f"${amount:,.0f}"


def shortened_count(number: int) -> str:
    """Write a number of tokens in three digits: `950`, `12.3k`, `2M`."""
    for unit, letter in _UNITS:
        if number >= unit:
            return f"{number / unit:.3g}{letter}" if number < 999.5 * unit else f"{number // unit:,}{letter}"
    return str(number)


def _least(unknown: int) -> str:
    return "at least " if unknown else ""
