"""Amounts as people read them: durations, counts, and lists cut short."""

from __future__ import annotations

import pytest
from team_mail.mail.render import listed
from team_mail.mail.text.units import and_more, counted, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.25, "0.25 s"), (59, "59 s"), (90, "1 min 30 s"), (2_700, "45 min"), (5_400, "1 h 30 min"),
     (3_599.9, "1 h"), (72_000, "20 h"), (360_030, "100 h")],
)  # fmt: skip
def test_a_duration_is_written_in_two_units_up_to_hours(seconds, text):
    """Work is not counted in days: nobody knows how long one is."""
    assert duration(seconds) == text


def test_a_noun_is_in_the_plural_unless_there_is_one():
    """Of patches, replies and plain nouns."""
    assert [counted(1, "patch"), counted(2, "patch"), counted(0, "reply"), counted(3, "key")] == [
        "1 patch", "2 patches", "0 replies", "3 keys",
    ]  # fmt: skip


def test_a_long_list_ends_with_the_number_of_the_rest():
    """Names are cleaned, because they come from outside."""
    assert [listed(["a", "b\n"]), listed("abcde"), listed("ab", 1)] == ["a, b\\n", "a, b, c and 2 more", "a and 1 more"]
    assert [and_more(0), and_more(2), and_more(1, "pair")] == ["", "and 2 more", "and 1 more pair"]
