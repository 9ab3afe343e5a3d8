"""When a line of cron comes next, against a naive count of what clocks show, in zones with odd rules."""

from __future__ import annotations

import time
from bisect import bisect
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.schedules.cron import following

ZONES = (
    "Africa/Cairo", "Africa/Casablanca", "America/Asuncion", "America/Havana", "America/Nuuk", "America/Santiago",
    "America/St_Johns", "Antarctica/Troll", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Asia/Tehran",
    "Atlantic/Azores", "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham",
    "Pacific/Easter", "Pacific/Norfolk",
)  # fmt: skip
FROM, TO = datetime(2008, 1, 1, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC)  # Samoa left out a day, in 2011
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NEAR = 2 * HOUR


def shown(zone: ZoneInfo, at: datetime) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def changes(zone: ZoneInfo) -> list[datetime]:
    """The moments at which clocks are put forward or back, found by looking at each day, hour and minute."""
    found, at = [], FROM
    while at < TO:
        if shown(zone, at + DAY) - shown(zone, at) != DAY:
            hours = (at + number * HOUR for number in range(24))
            odd = next(each for each in hours if shown(zone, each + HOUR) - shown(zone, each) != HOUR)
            minutes = (odd + number * MINUTE for number in range(1, 61))
            found += [each for each in minutes if shown(zone, each) - shown(zone, each - MINUTE) != MINUTE]
        at += DAY
    return found


def moment(zone: ZoneInfo, wall: datetime, put: list[datetime]) -> datetime:
    """The first moment at which clocks show a time; if they never do, as much later as they were put forward."""
    about = wall.replace(tzinfo=UTC)
    near = put[bisect(put, about - 3 * DAY) : bisect(put, about + 3 * DAY)]
    offsets = {shown(zone, at + step) - (at + step).replace(tzinfo=None) for at in near for step in (-MINUTE, MINUTE)}
    offsets |= {shown(zone, about) - wall}
    moments = sorted((wall - offset).replace(tzinfo=UTC) for offset in offsets)
    return next((each for each in moments if shown(zone, each) == wall), moments[-1])


def walk(line: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    times, at = [], start
    while (at := following(line, at, zone).astimezone(UTC)) < end:
        times.append(at)
    return times


@pytest.mark.parametrize("name", ZONES)
def test_a_line_comes_as_the_clocks_of_its_zone_say_for_ten_years(name):
    """Midnight comes each day, half past two once a day, and lines with `*` whenever the clocks show their times."""
    zone = ZoneInfo(name)
    put = changes(zone)
    first = shown(zone, FROM).replace(hour=0, minute=0)
    midnights = {moment(zone, first + number * DAY, put) for number in range((TO - FROM).days + 2)}
    assert walk("0 0 * * *", zone, FROM, TO) == sorted(at for at in midnights if FROM < at < TO)
    for at in put:
        start, end = at - NEAR, at + NEAR
        walls = [(at + number * MINUTE, shown(zone, at + number * MINUTE)) for number in range(-119, 120)]
        assert walk("*/30 * * * *", zone, start, end) == [each for each, wall in walls if wall.minute % 30 == 0]
        even = [each for each, wall in walls if wall.hour % 2 == 0 and wall.minute == 15]
        assert walk("15 */2 * * *", zone, start, end) == even
        days = [shown(zone, at).replace(hour=0, minute=0) + number * DAY for number in range(-3, 4)]
        several = {moment(zone, day + timedelta(hours=hour, minutes=45), put) for day in days for hour in range(4)}
        assert walk("45 0-3 * * *", zone, start, end) == sorted(each for each in several if start < each < end)
        once = {moment(zone, day + timedelta(hours=2, minutes=30), put) for day in days}
        start, end = at - 2 * DAY, at + 2 * DAY
        assert walk("30 2 * * *", zone, start, end) == sorted(each for each in once if start < each < end)


@pytest.mark.parametrize("name", ["Africa/Cairo", "Australia/Lord_Howe", "Europe/Berlin"])
def test_the_zone_of_the_system_is_as_good_as_one_that_is_named(name, monkeypatch):
    """Python converts times of day otherwise there."""
    monkeypatch.setenv("TZ", name)
    time.tzset()
    try:
        for line in ("0 0 * * *", "30 2 * * *", "45 0-3 * * 5"):
            own = named = datetime(2026, 1, 1, tzinfo=UTC)
            for _ in range(300):
                own, named = (
                    following(line, own).astimezone(UTC),
                    following(line, named, ZoneInfo(name)).astimezone(UTC),
                )
                assert own == named
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("0 9 13 * fri", "2026-02-06 09:00, 2026-02-13 09:00, 2026-02-20 09:00"),  # either is enough
        ("0 9 */9 * mon", "2026-06-01 09:00, 2026-08-10 09:00"),
        ("5-20/5 7 1 jan,MAR *", "2026-03-01 07:05, 2026-03-01 07:10, 2026-03-01 07:15"),
        ("0 6 * * fri-sun", "2026-02-01 06:00, 2026-02-06 06:00, 2026-02-07 06:00"),
        ("0 6 * * 7", "2026-02-01 06:00, 2026-02-08 06:00"),
        ("0 0 29 2 *", "2028-02-29 00:00, 2032-02-29 00:00"),
        ("50/5 23 31 12 *", "2026-12-31 23:50, 2026-12-31 23:55, 2027-12-31 23:50"),
    ],
)
def test_a_line_names_days_and_times_as_cron_reads_it(line, times):
    """Names, ranges, steps, Sunday as 0 and 7, and days of the month beside those of the week."""
    follow, at = partial(following, line, zone=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    for wanted in times.split(", "):
        at = follow(at)
        assert f"{at:%Y-%m-%d %H:%M}" == wanted


@pytest.mark.parametrize("line", ["0 0 30 2 *", "* 0 31 4,6 *"])
def test_a_day_that_never_comes_is_an_error(line):
    """The line has to be corrected, so it is named."""
    with pytest.raises(SettingsError, match="names a day that never comes"):
        following(line, FROM, UTC)
