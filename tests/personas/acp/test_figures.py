"""What sessions used, in the shapes that agents tell it."""

from __future__ import annotations

import pytest
from team_mail.personas.acp.figures import Figures, Tokens

USED = {"inputTokens": 3000, "outputTokens": 150, "totalTokens": 3150, "cachedReadTokens": 2400, "cachedWriteTokens": 0}
FRESH = {"inputTokens": 600, "outputTokens": 150, "totalTokens": 3150, "cachedReadTokens": 2400}
ALL = Tokens(3000, 2400, 150)


def quota(*models):
    return {"_meta": {"quota": {"model_usage": [{"model": name, "token_count": count} for name, count in models]}}}


@pytest.mark.parametrize(
    ("counts", "turns", "tokens"),
    [
        ("turn", [{"usage": FRESH}], ALL),  # input without what came from the cache
        ("turn", [{"usage": USED}], ALL),  # and with it: the total tells
        ("turn", [{"usage": FRESH}, {"usage": FRESH}], Tokens(6000, 4800, 300)),
        ("session", [{"usage": {**FRESH, "outputTokens": 1, "totalTokens": 3001}}, {"usage": USED}], ALL),
        ("last", [{"usage": FRESH}], None),
        ("turn", [quota(("a", FRESH), ("b", FRESH))], Tokens(6000, 4800, 300)),
        ("turn", [quota(("a", {"input_tokens": 7, "output_tokens": 3}))], Tokens(7, None, 3)),
        ("turn", [{"_meta": {"quota": {"token_count": {"input_tokens": 7, "output_tokens": 3}}}}], Tokens(7, None, 3)),
        ("turn", [{"usage": {**FRESH, "thoughtTokens": 50, "totalTokens": 3200}}], Tokens(3000, 2400, 200)),
        ("turn", [{"usage": {"inputTokens": -1, "outputTokens": "x"}}], None),
        ("turn", [{"usage": None, "_meta": {"quota": {"token_count": None, "model_usage": []}}}], None),
        ("turn", [{"_meta": {"quota": [1]}}], None),
    ],
)
def test_the_tokens_of_a_run_are_added_up_from_its_turns(counts, turns, tokens):
    figures = Figures(counts)
    told = [figures.turn(turn) for turn in turns]
    assert figures.tokens == tokens
    assert told == [tokens is not None or counts == "last"] * len(turns)


def test_a_turn_in_which_no_model_answered_tells_nothing_new():
    """Where the sum of all turns is told, it is the same as before; else there is none."""
    of_session, of_turn = Figures("session"), Figures("turn")
    assert [of_session.turn({"usage": FRESH}), of_session.turn({"usage": FRESH})] == [True, False]
    of_turn.answer({"usage": USED})
    assert [of_turn.turn({}), of_turn.turn({})] == [True, False]


def test_tokens_beside_messages_are_added_up():
    """As Qwen tells them, an answer at a time."""
    figures = Figures("turn")
    for _ in range(2):
        figures.answer({"usage": {**USED, "thoughtTokens": 0}})
    figures.answer({"durationMs": 7})
    assert figures.turn({"stopReason": "end_turn"})
    assert figures.tokens == Tokens(6000, 4800, 300)


@pytest.mark.parametrize(
    ("resumed", "before", "after", "usd"),
    [
        (False, [], [0.5], 0.5),
        (False, [], [0.25, 0.5], 0.5),  # it is the sum of the session
        (True, [5.0], [5.5], 0.5),
        (True, [], [5.5], None),  # nobody knows what of it is older
        (False, [], [0], None),  # which is said of a model without a price
        (False, [], [], None),
    ],
)
def test_money_is_what_the_session_cost_since_the_run_began(resumed, before, after, usd):
    figures = Figures("turn", resumed=resumed)
    for amount in before:
        figures.update({"cost": {"amount": amount, "currency": "USD"}})
    figures.begin()
    for amount in after:
        figures.update({"cost": {"amount": amount, "currency": "USD"}, "_meta": {"_claude/model": "opus"}})
    figures.update({"cost": {"amount": 9.0, "currency": "EUR"}})
    assert figures.usd == usd
    assert figures.model == ("opus" if after else "")
