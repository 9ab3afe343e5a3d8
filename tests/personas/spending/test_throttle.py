"""What services say when they take no more, in the words of real agents, and what only sounds like it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.spending.throttle import throttled

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """Where the clock shows an hour more than UTC."""
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("usage limit reached, resets at 18:00", "17:00"),
        ("Claude AI usage limit reached|1796049000", "14:30"),
        ("You've hit your limit · resets 8pm (Europe/Berlin)", "19:00"),
        ("5-hour limit reached ∙ resets 2pm", "13:00"),
        ("Claude usage limit reached. Your limit will reset at 9am (America/Chicago).", "15:00"),
        ("Weekly limit reached · resets 10:45pm (Asia/Seoul) · /upgrade to Max", "13:45"),
        ("You've hit your usage limit. Upgrade to Pro or try again in 3 hours 42 minutes.", "16:12"),
        ("You've hit your usage limit. Try again at 6:11 PM.", "17:11"),
        ("rate limit: retry after 90s", "12:31:30"),
        ("HTTP 429, Retry-After: 120", "12:32"),
        ("You exceeded your current quota. Please retry in 37.5s.", "12:30:37.500"),
        ("You have exhausted your daily quota; it will reset after 3h22m10s.", "15:52:10"),
        ("rate limit until 2026-11-30T14:00:00Z", "14:00"),
        ("a request to the model failed: rate_limit (HTTP 429)", None),
        ("litellm.RateLimitError: RateLimitError: OpenAIException - try again", None),
        ("rate_limit_error", None),
        ('message="stream error" error.error="AI_APICallError: the quota of this account is used up"', None),
        ("[API Error: 429 the quota of this account is used up]", None),
        ("got status: 429. Slow down", None),
        ("Quota exceeded for quota metric 'Gemini Requests' per minute", None),
        ("the model is currently overloaded", None),
        ("You've reached your weekly limit", None),
        ("the quota of this account is used up (HTTP 429)", None),
        ("exceeded retry limit, last status: 429 Too Many Requests", None),
        ("Reconnecting... 5/5 (unexpected status 529 <unknown status code>: Overloaded)", None),
        ("API Error: Repeated 529 Overloaded errors. The API is at capacity", None),
        ("retried 5 times (total retry wait time: 15.89 seconds) Last error: 529 Overloaded", None),
        ('API Error: 429 {"type":"error","error":{"type":"rate_limit_error"}}', None),
        ("Resource has been exhausted (e.g. check quota).", None),
        ("Sorry, you've hit a rate limit that restricts the number of requests. Please try again in 2 hours", "14:30"),
    ],
)
def test_a_refusal_is_recognised_with_its_time(text, until):
    """Times of day are local unless a zone is named; without a time nobody knows when."""
    refused = throttled(text, NOW)
    assert refused
    expected = until and datetime.fromisoformat(f"2026-11-30T{until}+00:00")
    assert refused.until == expected


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("weekly limit reached, resets Thursday at 9am", datetime(2026, 12, 3, 8, tzinfo=UTC)),
        ("weekly limit reached · resets Mon 1pm", datetime(2026, 12, 7, 12, tzinfo=UTC)),
        ("weekly limit reached · resets Mon, 2pm (Europe/Berlin)", datetime(2026, 11, 30, 13, tzinfo=UTC)),
        ("usage limit reached, resets Jan 2 at 9am", None),
        ("usage limit reached, resets Dec 5 at 6:11 PM", datetime(2026, 12, 5, 17, 11, tzinfo=UTC)),
        ("You've hit your usage limit. Try again at Dec 5th, 2026 6:11 PM.", datetime(2026, 12, 5, 17, 11, tzinfo=UTC)),
        ("usage limit reached, resets at 03:00", datetime(2026, 12, 1, 2, 0, tzinfo=UTC)),
        ("usage limit reached, resets at 13:29", None),
        ("usage limit reached|1700000000", None),
        ("usage limit reached, resets in 90 days", None),
        ("usage limit reached, resets at 2026", None),
        ("usage limit reached, resets at 25:61", None),
        ("usage limit reached, resets at 2026-13-45 10:00", None),
        ("usage limit reached, resets at 2026-02-30T10:00", None),
        ("usage limit reached, resets at 2026-12-01T25:61", None),
        ("usage limit reached, resets at 0001-01-01T00:00", None),
        ("usage limit reached, resets at 0001-01-01T00:00+14:00", None),
        ("usage limit reached, resets at 9999-12-31T23:59-12:00", None),
        ("usage limit reached, resets at 2026-12-01T10:00+99:99", None),
        ("usage limit reached, resets at 2025-12-01T10:00Z", None),
        ("usage limit reached, resets at 2027-01-01T10:00Z", None),
        ("usage limit reached, resets Feb 30 at 6:11 PM", None),
        ("rate limit: try again in 2 weeks", datetime(2026, 12, 14, 12, 30, tzinfo=UTC)),
        ("rate limit: try again in 2 fortnights", None),
        ("rate limit: try again in 2.5 fortnights", None),
        ("rate limit: try again in 25 fortnights", None),
        ("rate limit: try again in 500 milliseconds", NOW + timedelta(seconds=0.5)),
        ("usage limit reached, resets 3pm (Nowhere/Land)", datetime(2026, 11, 30, 14, 0, tzinfo=UTC)),
    ],
)
def test_a_time_may_be_on_another_day_and_one_that_is_over_is_none(text, day):
    """A limit that has been reset is tried again soon, not a day later."""
    refused = throttled(text, NOW)
    assert refused
    assert refused.until == day


@pytest.mark.parametrize(
    "text",
    [
        "exit 1: line 429 is not covered",
        "no end within 30m",
        "Disk quota exceeded",
        "exit 1; the agent reported an error: Credit is low",
        "the test of the limiter failed at 18:00",
        "more than 4 GB in its workspace",
        "exit 1: 429",
        "Context window limit exceeded",
        "Turn limit reached",
        "You have reached the turn limit",
        "Recursion limit exceeded",
        "memory limit reached",
        "max_tokens limit exceeded",
        "File size limit exceeded",
        "EDQUOT: user quota exceeded",
        "npm ERR! 429",
        "exit 1: npm ERR! 429 Too Many Requests - GET https://registry.npmjs.org/left-pad",
        "assert status code 429 == 200",
        "AssertionError: HTTP 429 is not HTTP 200",
        "call of overloaded 'f(int)' is ambiguous",
        "error: overloaded function with no contextual type information",
        "FAILED test_messages.py: expected the words usage limit reached",
        "tests/test_limits.py:12: rate limit exceeded",
        "rate limit is what the limiter is about",
        "Stack quota 3 of 4",
        "",
    ],
)
def test_other_failures_are_none(text):
    """They spend an attempt as ever."""
    assert throttled(text, NOW) is None


@given(
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2}|Z)?", fullmatch=True),
)
def test_no_date_makes_it_fail(date):
    """Whether there is such a day or not."""
    refused = throttled(f"usage limit reached, resets at {date}", NOW)
    assert refused
    assert refused.until is None or NOW < refused.until <= NOW + timedelta(days=31)


@given(
    st.text(max_size=60), st.sampled_from(["rate limit: ", "usage limit reached, resets at ", "HTTP 429, retry in "])
)
def test_no_text_makes_it_fail(text, start):
    """Whatever time is found lies ahead, within a month."""
    refused = throttled(f"{start}\n{text}", NOW)
    assert refused
    assert refused.until is None or NOW < refused.until <= NOW + timedelta(days=31)


def test_a_january_that_is_named_in_december_is_the_next_one():
    """Where no year is named."""
    late = datetime(2026, 12, 20, 12, tzinfo=UTC)
    refused = throttled("usage limit reached, resets Jan 2 at 9am", late)
    assert refused
    assert refused.until == datetime(2027, 1, 2, 8, tzinfo=UTC)
    refused = throttled("usage limit reached, resets Jan 2, 2026 at 9am", late)
    assert refused
    assert refused.until is None
