"""Prices of models, by which money is estimated where an agent tells its tokens alone.

The table that comes with the package is `prices.toml`, which says where its numbers are from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from ..keeping.meter import MOST_USD
from .usage import Usage

_MILLION = 1_000_000
_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d\d-\d\d|latest)$")


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens. Tokens from the cache cost as much as others if `cached` is None."""

    input: float
    output: float
    cached: float | None = None

    def of(self, usage: Usage) -> float | None:
        """Return what tokens cost; None if they are unknown. What is not known to be cached counts in full."""
        if usage.input is None or usage.output is None:
            return None
        cached = min(usage.cached or 0, usage.input)
        kept = cached * (self.input if self.cached is None else self.cached)
        return (kept + (usage.input - cached) * self.input + usage.output * self.output) / _MILLION


def priced(usage: Usage, own: Mapping[str, Price], model: str | None = None) -> Usage:
    """Return a usage with its money estimated, if its agent did not tell that, and its model has a price.

    `own` are prices of the user's, which go before those of the package. `model` is meant where the agent named none.
    """
    name = usage.model or model
    price = price_of(name, own) if name and usage.usd is None else None
    money = price.of(usage) if price else None
    return usage if money is None or money > MOST_USD else replace(usage, usd=round(money, 6), estimated=True)


def price_of(model: str, own: Mapping[str, Price]) -> Price | None:
    """Return the price of a model by its name; a provider before a slash and a date at the end do not count."""
    name = model.lower()
    for table in (own, bundled()):
        for candidate in (name, name.rpartition("/")[2]):
            known = {key.lower(): price for key, price in table.items()}
            if price := known.get(candidate) or known.get(_DATE.sub("", candidate)):
                return price
    return None


@cache
def bundled() -> Mapping[str, Price]:
    """Return the prices that come with the package."""
    text = files(__package__ or "").joinpath("prices.toml").read_text()
    return {name: Price(row["input"], row["output"], row.get("cached")) for name, row in tomllib.loads(text).items()}
