"""Crontab lines, as cron reads them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.sprint.daemon import following

MONDAY = datetime(2026, 3, 2, 8, 30).astimezone()


@pytest.mark.parametrize(
    ("cron", "days", "hour"),
    [
        ("0 9 * * *", 0, 9), ("0 8 * * *", 1, 8), ("0 9 * * 0", 6, 9), ("0 9 * * 7", 6, 9), ("0 9 * * sun", 6, 9),
        ("0 9 * * 1", 0, 9), ("0 9 * * 2-4", 1, 9), ("0 9 * * 5-7", 4, 9), ("0 9 * * sat,sun", 5, 9),
        ("0 9 * * */3", 2, 9), ("0 9 4 * *", 2, 9), ("0 9 4 * 2", 1, 9), ("0 9 3 * 5", 1, 9),
    ],
)  # fmt: skip
def test_a_weekday_is_the_one_that_cron_means(cron, days, hour):
    """Sunday is 0 and 7; where day and weekday are both limited, either will do."""
    expected = (MONDAY + timedelta(days=days)).replace(hour=hour, minute=0)
    assert following(cron, MONDAY) == expected


def test_a_day_that_never_comes_is_refused():
    """Better at once than a daemon that waits for the thirtieth of February."""
    with pytest.raises(SettingsError, match="never comes"):
        following("0 0 30 2 *", MONDAY)


def fields(low, high):
    return st.one_of(st.just("*"), st.integers(low, high).map(str), st.integers(2, 9).map(lambda step: f"*/{step}"))


def holds(field, value, low):
    step = int(field.partition("/")[2] or 1)
    return (
        (value - low) % step == 0
        if field.startswith("*")
        else int(field) % 7 == value % 7
        if low < 0
        else int(field) == value
    )


@settings(max_examples=60, deadline=None)
@given(minute=fields(0, 59), hour=fields(0, 23), weekday=st.one_of(st.just("*"), st.integers(0, 7).map(str)))
def test_the_next_time_is_the_first_that_fits(minute, hour, weekday):
    """Against going through the minutes one by one."""
    moment = MONDAY
    while True:
        moment += timedelta(minutes=1)
        day = weekday == "*" or int(weekday) % 7 == moment.isoweekday() % 7
        if day and holds(minute, moment.minute, 0) and holds(hour, moment.hour, 0):
            break
    assert following(f"{minute} {hour} * * {weekday}", MONDAY) == moment
