"""Amounts that a budget may name: `$5`, `2M tokens`, `3 runs`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, NamedTuple

_NO_AMOUNT = 'must be an amount of money ("$5"), tokens ("2M tokens") or runs ("20 runs")'
_AMOUNT = re.compile(
    r"(?a:\$\s*(?P<usd>\d+(?:\.\d+)?)|(?P<runs>\d+)\s*runs?"
    r"|(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[kMG]?)\s*tokens?)"
)
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_MOST = 1e15


class Unit(StrEnum):
    """What an amount is counted in."""

    USD = "usd"
    TOKENS = "tokens"
    RUNS = "runs"


class Amount(NamedTuple):
    """How much, and of what."""

    most: float
    unit: Unit

    @property
    def text(self) -> str:
        """The amount as a budget is written."""
        if self.unit == Unit.USD:
            return f"${self.most:.0f}" if self.most == int(self.most) else f"${f'{self.most:.6f}'.rstrip('0')}"
        if self.unit == Unit.RUNS:
            return f"{self.most:.0f} run{'' if self.most == 1 else 's'}"
        factor = next(factor for factor in (1_000_000_000, 1_000_000, 1_000, 1) if not self.most % factor)
        letter = {value: key for key, value in _UNITS.items()}[factor]
        return f"{self.most / factor:.0f}{letter} tokens"


def amount(value: Any) -> Amount:
    """Parse an amount, which is more than 0. Raises ValueError."""
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(_NO_AMOUNT)
    if match["usd"]:
        parsed = Amount(float(match["usd"]), Unit.USD)
    elif match["runs"]:
        parsed = Amount(float(match["runs"]), Unit.RUNS)
    else:
        parsed = Amount(float(int(float(match["count"]) * _UNITS[match["unit"]])), Unit.TOKENS)
    if not 0 < parsed.most < _MOST:
        raise ValueError("must be an amount of more than nothing")
    return parsed


def spelled(value: Any) -> str:
    """Return an amount as `Amount.text` writes it. Raises ValueError."""
    return amount(value).text
