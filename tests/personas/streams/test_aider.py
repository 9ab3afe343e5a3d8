"""What Aider prints, which exits with 0 whatever happened: its answers, reports of tokens, and errors of a service."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.keeping.events import Events
from team_mail.personas.spending.throttle import throttled
from team_mail.personas.spending.usage import Usage, usage_of
from team_mail.personas.streams.stream import read_stream

STREAMS = Path(__file__).parent / "printed"
START = "Aider v0.86.2\nModel: openai/fake with diff edit format\nRepo-map: using 1024 tokens, auto refresh\n\n"
FAILED = "litellm.RateLimitError: RateLimitError: OpenAIException - usage limit reached, \nresets at 18:00\n"
ROWS = [
    *START.splitlines(), *FAILED.splitlines(), "Retrying in 1.0 seconds...", "words", "",
    "Tokens: 1 sent, 1 received.", "Cost: $1 message", "Tokens: ", "\x1b[0m", "{}",
]  # fmt: skip
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def read(text: str):
    return read_stream((START + text).encode())


def kept(text: str) -> Usage:
    """Return what the keeper tells of an output while it goes on."""
    events = Events()
    for byte in (START + text).encode():
        events.feed(bytes([byte]))
    return usage_of(json.loads(events.meter.text(partial=False)))


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ("Tokens: 999 sent, 10 received.", Usage(999, None, 10)),
        ("Tokens: 3.4k sent, 12k received. Cost: $0.02 message, $0.05 session.", Usage(3400, None, 12_000, 0.02)),
        (
            "Tokens: 3.4k sent, 1.2k cache hit, 10 received. Cost: $0.0071 message, $0.0071 \nsession.",
            Usage(3400, 1200, 10, 0.0071),
        ),
        (
            "Tokens: 9k sent, 2k cache write, 7k cache hit, 5 received.\nCost: $1.50 message, $9.00 session.",
            Usage(9000, 7000, 5, 1.5),
        ),
        ("Tokens: some sent, 10 received.", Usage()),
        ("Tokens: 3.4k sent", Usage()),
        ("Tokens: 3.4k sent, 10 received. Cost: $nan message, $1 session.", Usage(3400, None, 10)),
        ("Tokens: 99999999999k sent, 10 received.", Usage()),
    ],
)  # fmt: skip
def test_a_report_of_tokens_is_read_as_it_comes_and_in_the_end(report, usage):
    """Of a report that has another form nothing is known."""
    told = replace(usage, model="openai/fake")
    assert read(f"I look.\n\n{report}\n").usage == told
    assert kept(f"I look.\n\n{report}\n") == told


def test_the_reports_of_all_answers_are_added_up():
    """Also of more than the meter tells apart; an answer without a price makes the sum a least."""
    report = "Tokens: 2k sent, 10 received. Cost: $0.01 message, $0.01 session.\n"
    assert read(report * 100).usage == Usage(200_000, None, 1000, pytest.approx(1.0), model="openai/fake")
    assert read(report + "Tokens: 2k sent, 10 received.\n").usage.partial


def test_a_line_that_another_program_prints_tells_nothing():
    """Only what comes after the first line of Aider is its report."""
    report = "Tokens: 2k sent, 10 received.\n"
    assert read_stream(report.encode()).usage == Usage()
    assert read_stream(f"Aider value\n{report}".encode()).usage == Usage()


def test_an_error_that_nothing_followed_is_how_the_run_failed():
    """It is put together from lines of 80 characters; what Aider offers afterwards is no part of it."""
    said = read(FAILED + "The API provider has rate limited you.\n\nhttps://example.org/quota\n")
    assert said.failed == (
        "litellm.RateLimitError: RateLimitError: OpenAIException - usage limit reached, resets at 18:00"
        " The API provider has rate limited you."
    )
    assert said.text == ""
    assert throttled(said.failed, NOON)


@pytest.mark.parametrize("tail", ["", "I think"])
def test_an_error_that_is_tried_again_is_a_complaint_until_an_answer_came(tail):
    """The seconds until the next try are not the time at which the service is there again."""
    again = f"{tail}{FAILED}Retrying in 16.0 seconds...\n"
    trying, over = read(again), read(f"{again}Better.\n\nTokens: 1 sent, 1 received.\nApplied edit to a.py\n")
    assert (trying.failed, trying.text, over.failed, over.complaint, over.text) == (None, "", None, "", "Better.")
    assert "Retrying" not in trying.complaint
    until = throttled(trying.complaint, NOON)
    assert until
    assert until.until
    assert until.until.astimezone().hour == 18


def test_an_answer_may_quote_an_error():
    """Whoever mends such an error has not met it: the report follows."""
    said = read(f"The log says\n{FAILED}\nTokens: 1 sent, 1 received.\n")
    assert said.failed is None
    assert said.complaint == ""


def test_overloaded_is_no_failure_of_the_run():
    said = read("litellm.APIError: APIError: OpenAIException - Overloaded\nRetrying in 0.2 seconds...\n")
    assert throttled(said.complaint, NOON)
    assert not throttled("litellm.X: Connection error. The servers are down or overloaded.", NOON)


@pytest.mark.parametrize(("fault", "status"), [("denied", "failed"), ("done", "ok")])
def test_its_exit_code_is_not_believed(job, fault, status):
    """A refused key ends with 0 and without a change, as an answer with nothing to do would."""
    outcome = CommandAgent("a", ("cat", str(STREAMS / f"aider.{fault}.txt"))).play(job())
    assert (outcome.status, outcome.exit) == (status, 0)
    assert ("this key is not known here" in outcome.detail) == (fault == "denied")


def test_one_that_is_ended_has_used_at_least_what_it_told(job):
    """Its text has no final event."""
    script = f"cat {STREAMS}/aider.done.txt; exec sleep 60"
    outcome = CommandAgent("a", ("sh", "-c", script)).play(job(timeout=1.0))
    assert (outcome.usage.input, outcome.usage.output, outcome.usage.partial) == (1000, 50, True)


@given(st.lists(st.sampled_from(ROWS)))
def test_nothing_it_prints_can_make_the_reader_fail(rows):
    text = "\n".join(rows)
    assert isinstance(read_stream(text.encode()).text, str)
    assert kept(text).usd in {None, *map(float, range(len(rows) + 1))}
