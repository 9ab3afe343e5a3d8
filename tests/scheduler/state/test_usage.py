"""Sums of what runs used: what is unknown is never taken for nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import ManualClock, rfc3339
from team_mail.mail.log.event import Draft
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.query.memory import MemoryProjections
from team_mail.personas.spending.usage import NO_MODEL, UNKNOWN, Usage
from team_mail.scheduler.state.reading import read_ended, read_spent
from team_mail.scheduler.state.usage import dollars, shortened_count, total

TOLD = Usage(1000, 800, 50, 0.25)
GUESSED = Usage(1000, None, 50, 0.5, estimated=True)


@pytest.mark.parametrize(
    ("usages", "text"),
    [
        ([TOLD, TOLD], "$0.50, 2.1k tokens"),
        ([TOLD, GUESSED], "about $0.75, 2.1k tokens"),
        ([TOLD, UNKNOWN], "at least $0.25, at least 1.05k tokens"),
        ([GUESSED, UNKNOWN], "at least about $0.50, at least 1.05k tokens"),
        ([TOLD, Usage(10, 0, 10, partial=True)], "at least $0.25, at least 1.07k tokens"),
        ([Usage(10, 0, 10)], "money unknown, 20 tokens"),
        ([Usage(usd=1.5)], "$1.50, tokens unknown"),
        ([UNKNOWN], "money and tokens unknown"),
        ([NO_MODEL], "$0.00, 0 tokens"),
        ([NO_MODEL, UNKNOWN], "at least $0.00, at least 0 tokens"),
    ],
)
def test_a_sum_says_what_is_known_and_that_it_may_be_more(usages, text):
    """A figure that is missing makes the sum a least one, and one that is estimated makes it an estimate."""
    assert total(usages).text == text


def test_a_sum_counts_the_runs_that_may_have_used_more():
    """Programs read how many, not words."""
    document = total([TOLD, UNKNOWN, Usage(10, None, 10)]).document()
    assert document == {
        "runs": 3, "input": 1010, "cached": 800, "output": 60, "usd": 0.25, "estimated": False, "tokens_unknown": 1,
        "usd_unknown": 2, "cached_unknown": 2,
    }  # fmt: skip


def test_a_sum_of_cached_tokens_is_a_least_too():
    """Of a run that does not tell them, any share may be from the cache."""
    assert total([TOLD, TOLD]).cached_text == "1.6k"
    assert total([TOLD, GUESSED]).cached_text == "at least 800"


def test_small_and_large_amounts_are_readable():
    """Never with an exponent, nor with more digits than anybody reads."""
    amounts = [0, 0.0000031, 0.00588, 0.05, 1.256, 99.5, 1234.5]
    assert [*map(dollars, amounts)] == ["$0.00", "$0.0000031", "$0.0059", "$0.05", "$1.26", "$99.50", "$1,234"]
    counts = [0, 999, 1000, 12_345, 999_600, 1_000_000, 2_500_000_000]
    assert [*map(shortened_count, counts)] == ["0", "999", "1k", "12.3k", "999k", "1M", "2.5G"]


def test_what_was_used_on_a_day_is_the_total_of_the_runs_that_ended_on_it():
    """The sums of the database are those of `total`, also where runs told nothing, or not all."""
    clock = ManualClock(datetime(2026, 3, 1, 9, tzinfo=UTC))
    log = MemoryLog(clock=clock)
    told = [
        {"input": 10, "cached": 4, "output": 2, "usd": 0.25}, {"input": 1, "output": 1, "estimated": True, "usd": 0.1},
        {"usd": 0.5, "partial": True}, {}, {"input": 7}, {"usd": 1},
    ]  # fmt: skip
    days = [rfc3339(clock.now() + timedelta(days=day) - timedelta(hours=9)) for day in range(4)]
    for day, usages in enumerate([told[:4], told[4:], [], told]):
        for number, usage in enumerate(usages):
            data = {"status": "ok", "seconds": 1.0, "detail": "", "persona": "ann", "agent": "sh", "usage": usage}
            log.append([Draft("run.finished", "scheduler", run=f"{day}-{number}", data=data)])
        log.append([Draft("run.lost", "scheduler", run=f"{day}-x", data={"why": "spent", "withdrawn": "spent"})])
        clock.sleep(86_400)
    projections = MemoryProjections(log)

    sums = read_spent(projections, days)

    runs = [read_ended(projections, day) for day in days]
    own = [each[: len(each) - len(later)] for each, later in zip(runs, [*runs[1:], ()], strict=True)]
    assert sums == [total(used.usage for _, used in each) for each in own]
    assert [each.usd for each in sums] == [0.85, 1.0, None, 1.85]
