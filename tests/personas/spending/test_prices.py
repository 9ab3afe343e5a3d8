"""Money that no agent told: estimated by a table of prices, or left unknown."""

from __future__ import annotations

import pytest
from team_mail.personas.spending.prices import Price, bundled, price_of, priced
from team_mail.personas.spending.usage import Usage

OWN = {"My-Model": Price(input=2.0, output=10.0, cached=0.5), "gpt-5": Price(input=1.0, output=1.0)}


def test_tokens_from_the_cache_have_their_own_price():
    """A million tokens given, of which three quarters are cached, and half a million written."""
    usage = priced(Usage(1_000_000, 750_000, 500_000, model="my-model"), OWN)
    assert (usage.usd, usage.estimated) == (0.25 * 2 + 0.75 * 0.5 + 0.5 * 10, True)


def test_what_is_not_known_to_be_cached_costs_in_full():
    """An estimate is rather too high."""
    assert priced(Usage(1_000_000, None, 0, model="my-model"), OWN).usd == 2
    assert priced(Usage(1_000_000, 1_000_000, 0, model="gpt-5"), OWN).usd == 1


@pytest.mark.parametrize(
    "usage",
    [
        Usage(10, 0, 10, usd=7.0, model="my-model"),
        Usage(10, 0, 10, model="unheard-of"),
        Usage(10, 0, 10),
        Usage(model="my-model"),
        Usage(10, 0, None, model="my-model"),
    ],
    ids=["told", "no price", "no model", "no tokens", "half of the tokens"],
)
def test_what_is_told_stays_and_what_is_unknown_stays_unknown(usage):
    """Nothing becomes 0, and nothing that the agent told is computed anew."""
    assert priced(usage, OWN) == usage


def test_the_model_of_the_settings_counts_where_the_agent_names_none():
    """Codex tells tokens, and not whose they are."""
    assert priced(Usage(0, 0, 1_000_000), OWN, "my-model").usd == 10
    assert priced(Usage(0, 0, 1_000_000, model="gpt-5"), OWN, "my-model").usd == 1


def test_a_name_may_have_a_date_and_a_provider_and_no_more():
    """Another model of the same family has another price."""
    sonnet = bundled()["claude-sonnet-4-5"]
    for name in ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", "Claude-Sonnet-4-5"):
        assert price_of(name, {}) == sonnet
    assert price_of("gpt-5-2025-08-07", {}) == bundled()["gpt-5"]
    assert price_of("gpt-5", OWN) == OWN["gpt-5"]
    assert price_of("gpt-5-huge", {}) is None


def test_every_bundled_price_is_one():
    """Written dearer than given, and from the cache cheaper than that."""
    for name, price in bundled().items():
        assert 0 < price.input < price.output, name
        assert price.cached is None or 0 < price.cached < price.input, name
