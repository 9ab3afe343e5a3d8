"""Whether a last message asks: what agents say, and how they dress it up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from team_mail.personas.streams.question import asked_in
from team_mail.personas.streams.stream import read_stream

STREAMS = Path(__file__).parent
NEEDS = [
    "Which database should I use, Postgres or SQLite?",
    "I looked at both.\n\n**Which one should I use?**",
    "Should I delete the table?",
    "Which one?\n\n- A: fast\n- B: safe",
    "Which one?\n1. A\n2. B",
    "1. What is the port?\n2. Who owns it?",
    "Which one? Please let me know.",
    "Which one?\n\nLet me know and I will go on.",
    "Would you like me to use Postgres or MySQL?",
    "Please confirm: is it 8080?",
    "Is the limit 10 or 20 (see `limits.py`)?",
    "Could you tell me which API key to use?",
    "I need the port. What is it?\n\n```sh\nserve --port ...\n```",
    "\u3069\u3061\u3089\u3067\u3059\u304b\uff1f",
    "## Which one?",
    "All read. What next\r\n\r\nWhich one?\r\n\r\n- A\r\n- B",
    "Which [one](https://example.org/?a=b)?",
]
OFFERS = [
    "Done. Would you like me to add tests?",
    "Shall I proceed?",
    "Do you want me to also update the docs?",
    "Should I go ahead?",
    "I can rename it. Want me to do that?",
]
NOTHING = [
    "", "Done.", "All done. Anything else?", "Is there anything else I can help with?", "Let me know if you have any!",
    "Fixed the `is it?` bug.", "> Which one?", "I asked: what is this?\n\nIt is a bug, now fixed.", "```\nwhat?\n```",
    "Does that make sense?", "What would you like me to do next?", "Renamed. Sounds good?", "Any questions?",
    "| what? | who? |\n|---|---|",
]  # fmt: skip


@pytest.mark.parametrize("text", NEEDS)
def test_a_message_asks_whose_last_paragraph_is_a_question(text):
    """With choices below it, a goodbye behind it, and whatever markup around it."""
    asked = asked_in(text)
    assert asked
    assert not asked.is_offer


@pytest.mark.parametrize("text", OFFERS)
def test_an_offer_is_told_apart(text):
    """Whether it asks for anything depends on what was done."""
    asked = asked_in(text)
    assert asked
    assert asked.is_offer


@pytest.mark.parametrize("text", NOTHING)
def test_courtesies_quotes_and_code_ask_nothing(text):
    """A sprint must not wait for an answer to a goodbye."""
    assert asked_in(text) is None


@pytest.mark.parametrize("file", sorted([*STREAMS.glob("printed/*.txt"), *STREAMS.glob("recorded/*.jsonl")]))
def test_no_recorded_run_asks(file):
    """None of the streams that the real agents printed ends in a question, failures included."""
    transcript = read_stream(file.read_bytes())
    assert not transcript.known or asked_in(transcript.text) is None


@given(
    st.sampled_from(NEEDS),
    st.sampled_from(["**{}**", "{}\n\n", "So far so good.\n\n{}", "{} \U0001f642", "{}\n\nThanks!"]),
)
@example("What?", "{}")
def test_what_stands_around_a_question_changes_nothing(text, frame):
    """Emphasis, another paragraph before it, a smile, a thank-you."""
    asked = asked_in(frame.format(text))
    assert asked
    assert not asked.is_offer


@pytest.mark.timeout(20)
@pytest.mark.parametrize("row", ["-", ".", "!", " ", "[", "[a](", "#", "thanks!\n\n", "a? "])
def test_a_long_row_of_anything_is_read_at_once(row):
    """An agent may draw a line, or fill its message: a scheduler that reads it must not stand still for minutes."""
    assert asked_in(f"Which one?\n\nSee {row * 200_000}x") is None
    assert asked_in(f"See {row * 200_000}x.\n\nWhich one?")


@given(st.text(alphabet="a?.! \n*_`~>|-1)#[]()\u2026\"'", max_size=80))
def test_any_text_is_read(text):
    """It never fails, and what it finds has a question mark."""
    asked = asked_in(text)
    assert asked is None or "?" in asked.text
