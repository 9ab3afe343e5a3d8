"""Amounts of a budget: what may be written, and what it means."""

from __future__ import annotations

import pytest
from team_mail.personas.spending.amount import Unit, amount, spelled


@pytest.mark.parametrize(
    ("text", "most", "unit", "shown"),
    [
        ("$5", 5, Unit.USD, "$5"),
        ("$ 0.50", 0.5, Unit.USD, "$0.5"),
        ("$0.000001", 1e-6, Unit.USD, "$0.000001"),
        ("2M tokens", 2_000_000, Unit.TOKENS, "2M tokens"),
        ("1.5M tokens", 1_500_000, Unit.TOKENS, "1500k tokens"),
        ("1234 tokens", 1234, Unit.TOKENS, "1234 tokens"),
        ("1 run", 1, Unit.RUNS, "1 run"),
        ("20 runs", 20, Unit.RUNS, "20 runs"),
    ],
)
def test_money_tokens_and_runs_are_understood(text, most, unit, shown):
    """Each is shown as it can be written again."""
    assert amount(text)[:2] == (most, unit)
    assert spelled(text) == shown
    assert amount(shown) == amount(text)


@pytest.mark.parametrize(
    "text", ["5", 5, "5 $", "€5", "$-1", "$0", "0 runs", "1.5 runs", "many tokens", "$1e9", "", None]
)
def test_anything_else_is_refused(text):
    """With what may be written instead."""
    with pytest.raises(ValueError, match="must be an amount of"):
        amount(text)
