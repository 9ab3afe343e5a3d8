"""When a line of cron comes next, by the rule of Vixie's cron for clocks that are put forward or back. Pure.

A line that names its minutes and hours comes once for each day that it names: in an hour that the clocks pass over, it
comes as much later as they were put forward, and of an hour that they show twice, it means the first. A line whose
minutes or hours begin with `*` comes whenever the clocks show such a time. Source: crontab(5), cron(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from ..errors import SettingsError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<low>\*|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>\d+))?")
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_NEAR = timedelta(hours=26)  # no zone is further from UTC
_LONGEST = 8 * 366 + 1  # days from one 29th of February to the next, where a century has none


@dataclass(frozen=True)
class _Line:
    """The numbers that the fields of a line name; `wild` lines come whenever the clocks show such a time."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    wild: bool
    either: bool  # day and weekday are both limited: either one is enough

    def on(self, day: date) -> bool:
        """Tell whether the line names a day."""
        if day.month not in self.months:
            return False
        found = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return any(found) if self.either else all(found)

    def at(self, wall: datetime) -> bool:
        """Tell whether the line names a time that a clock shows."""
        return wall.minute in self.minutes and wall.hour in self.hours and self.on(wall.date())


def following(cron: str, after: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the first time of a crontab line after `after`, in local time, or in that of a `zone`.

    Raises SettingsError if it never comes.
    """
    line = _parsed(cron)
    found = _next_shown(line, after, zone) if line.wild else _next_named(line, after, zone)
    if found is None:
        raise SettingsError(f"cron {cron!r} names a day that never comes; correct it in team.toml")
    return found.astimezone(zone)


def _next_named(line: _Line, after: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the next time of a line that comes once for each of its days and times.

    Clocks that are put forward move times of one day into the next, so it begins a day early and ends a day late.
    """
    first = _wall(after, zone).date() - _DAY
    best: datetime | None = None
    for number in range(_LONGEST):
        day = first + number * _DAY
        if best and day > _wall(best, zone).date():
            break
        if line.on(day):
            times = (datetime.combine(day, time(hour, minute)) for hour in line.hours for minute in line.minutes)
            later = [at for at in (_moment(wall, zone) for wall in times) if at > after]
            best = min(later if best is None else [best, *later], default=None)
    return best


def _next_shown(line: _Line, after: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the next minute in which clocks show a time that the line names."""
    at = after.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    end = at + _LONGEST * _DAY
    while at < end:
        wall = _wall(at, zone)
        if line.at(wall):
            return at
        at = _skipped(line, at, wall, zone)
    return None


def _skipped(line: _Line, at: datetime, wall: datetime, zone: tzinfo | None) -> datetime:
    """Return the next moment that may be one of a line: the next day, hour or minute, as the clocks run on."""
    if not line.on(wall.date()):
        ahead = datetime.combine(wall.date() + _DAY, time()) - wall
    elif wall.hour not in line.hours:
        ahead = timedelta(minutes=60 - wall.minute)
    else:
        return at + _MINUTE
    return at + ahead if _wall(at + ahead, zone) == wall + ahead else at + _MINUTE  # the clocks are put on or back


def _wall(at: datetime, zone: tzinfo | None) -> datetime:
    """Return what clocks show at a moment."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _moment(wall: datetime, zone: tzinfo | None) -> datetime:
    """Return the first moment at which clocks show a time, or would, had they not been put forward.

    It is found by the offsets of the days before and after, as Python knows those of the system's zone only one way.
    """
    about = wall.replace(tzinfo=UTC)
    before, after = (_wall(about + step, zone) - (about + step).replace(tzinfo=None) for step in (-_NEAR, _NEAR))
    if before != after:
        shown = (about - offset for offset in (before, after) if _wall(about - offset, zone) == wall)
        return min(shown, default=about - before)
    return about - before


@lru_cache(maxsize=100)
def _parsed(cron: str) -> _Line:
    minute, hour, day, month, weekday = cron.split()
    weekdays = {number % 7 for number in _numbers(weekday, 0, 6, _DAYS)}
    return _Line(
        frozenset(_numbers(minute, 0, 59)), frozenset(_numbers(hour, 0, 23)), frozenset(_numbers(day, 1, 31)),
        frozenset(_numbers(month, 1, 12, _MONTHS)), frozenset(weekdays),
        wild="*" in {minute[0], hour[0]}, either="*" not in {day[0], weekday[0]},
    )  # fmt: skip


def _numbers(field: str, low: int, high: int, words: tuple[str, ...] = ()) -> Iterator[int]:
    """Yield the numbers that a field names; a range of weekdays may end on Sunday."""
    for part in field.lower().split(","):
        match = _PART.fullmatch(part)
        assert match is not None  # noqa: S101 - settings are validated
        start = low if match["low"] == "*" else _number(match["low"], low, words)
        last = high if match["low"] == "*" or match["step"] else start
        if match["high"]:
            last = _number(match["high"], low, words)
            last = last if last >= start else last + len(words)
        yield from range(start, last + 1, int(match["step"] or 1))


def _number(text: str, low: int, words: tuple[str, ...]) -> int:
    return words.index(text) + low if text in words else int(text)
