"""What a service says when it takes no more for now: recognised in the words that an agent passes on, with the time.

The forms are those of Claude Code, Codex, Gemini, Copilot, OpenCode and the services behind them. A time that is over,
or more than a month away, is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_WHICH = r"(?:(?:usage|session|rate|request|message|weekly|hourly|daily|monthly|\d+-?hour|opus|sonnet|plan|free|api) )"
_REFUSED = re.compile(
    r"\btoo many requests\b|\bresource_exhausted\b|\bresource has been exhausted\b"
    rf"|\b(?:hit|reached|exceeded) (?:your|a|the) {_WHICH}+limit|\b(?:hit|reached|exceeded) your limit\b"
    rf"|\b{_WHICH}+limit (?:has been |was |is )?(?:hit|reached|exceeded)\b"
    r"|\brate[ _-]?limit(?:ed\b|[ _-]?(?:error|exceeded)\b|(?:error)?:|_?error\b| until\b| \(http 429\))"
    r"|\b(?:exceeded|exhausted) your (?:[\w-]+ ){0,3}(?:quota|capacity|allowance)\b"
    r"|\bAI_(?:APICall|Retry)Error: .*\b(?:quota|limit|overloaded)\b|\bquota exceeded for (?:quota )?metric\b"
    r"|\boverloaded_error\b|\b(?:is|are) (?:currently |temporarily )?overloaded\b|(?:^|: | - )overloaded(?!\s*['\"\w])"
    r"|\bhttp[ /:]{0,2}(?:\d\.\d |status:? |error:? )?(?:code:? )?(?:429|529)\b|\bapi error:? \(?(?:429|529)\b"
    r"|\b(?:unexpected|last|got|with) status:? (?:code:? )?(?:429|529)\b|\berror code:? (?:429|529)\b|\b429\b\W+\{"
    r"|\b(?:repeated|last error:) (?:429|529)\b",
    re.IGNORECASE,
)
# What the tools say that an agent works with, and what its tests are about: no word of its own service.
_WORK = re.compile(
    r"(?:^|[:;|] )(?:npm|pnpm|yarn|pip|cargo|docker|curl|fatal|FAILED|PASSED|not ok|E  )\b|\bFAILED\b"
    r"|(?i:\bassert|\bexpected\b|\btests?[_/]|_tests?\b|\.test\.|\bEDQUOT\b)"
)
_EPOCH = re.compile(r"\|\s*(\d{10})\b")
_ISO = re.compile(r"\b(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)")
_UNIT = r"(?:weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s|milliseconds?|millis|ms)"
_SPAN = re.compile(
    rf"\b(?:(?:in|after)\s+|retry-after:?\s+)((?:\d+(?:\.\d+)?\s*{_UNIT}(?![a-z])[\s,]*(?:and\s+)?)+"
    r"|\d+(?!\.?\d)(?!\s*[a-z%/-]))",  # a number alone is one of seconds; one of something else is no time
    re.IGNORECASE,
)
_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT}(?![a-z]))?", re.IGNORECASE)
_CLOCK = re.compile(
    r"(?:resets?|again|available)\b[^\d\n]{0,12}?\s(?:(?P<weekday>sun|mon|tue|wed|thu|fri|sat)[a-z]*,?(?: at)? )?"
    r"(?:(?P<month>[A-Za-z]{3})[a-z]* (?P<day>\d{1,2})(?:st|nd|rd|th)?,?"
    r"(?: (?P<year>\d{4}),?)?(?: at)? )?(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s*(?P<half>[ap]m)?"
    r"(?:\s*\((?P<zone>[\w/+-]+)\))?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_LONGEST = timedelta(days=31)
_JUST = timedelta(hours=1)  # a time of day that was over so recently is not meant for tomorrow


class Throttled(NamedTuple):
    """A service takes no more for now: until a time, or until nobody knows when."""

    until: datetime | None


def throttled(text: str, now: datetime) -> Throttled | None:
    """Return what a text says of a service that takes no more; None if it says nothing of the kind.

    Times of day are local unless the text names a zone; the time returned is in UTC.
    """
    if not any(_REFUSED.search(row) and not _WORK.search(row) for row in text.split("\n")):
        return None
    return Throttled(next(filter(None, (_ahead(time, now) for time in _times(text, now))), None))


def _ahead(time: datetime, now: datetime) -> datetime | None:
    """Return a time in UTC; None if it is over, far away, or one that no calendar has in UTC."""
    try:
        time = time.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return time if timedelta() < time - now <= _LONGEST else None


def _times(text: str, now: datetime) -> Iterator[datetime]:
    """Yield the times that a text names, the most exact form first."""
    if match := _EPOCH.search(text):
        yield datetime.fromtimestamp(int(match[1]), UTC)
    if (match := _ISO.search(text)) and (time := _of_iso(match[1])):
        yield time
    if match := _SPAN.search(text):
        yield now + timedelta(seconds=_seconds(match[1]))
    for match in _CLOCK.finditer(text):
        if time := _of_clock(match, now):
            yield time


def _of_iso(text: str) -> datetime | None:
    """Return the time that a date and hands of a clock mean, local without an offset; None if there is no such time."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _seconds(text: str) -> float:
    total = 0.0
    for number, unit in _PART.findall(text):
        factor = 0.001 if unit.lower().startswith(("ms", "mil")) else _SECONDS[(unit or "s")[0].lower()]
        total += float(number) * factor
    return min(total, _LONGEST.total_seconds() * 2)


def _of_clock(match: re.Match[str], now: datetime) -> datetime | None:
    """Return the time that hands of a clock mean, perhaps with a date; a bare number is no time."""
    hour, minute, half = int(match["hour"]), int(match["minute"] or 0), (match["half"] or "").lower()
    if not (match["minute"] or half) or minute > 59 or hour > (12 if half else 23):  # noqa: PLR2004
        return None
    hour = hour % 12 + 12 * (half == "pm") if half else hour
    local = now.astimezone(_zone(match["zone"]))
    time = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if match["month"]:
        return _dated(match, time)
    if match["weekday"]:
        days = (_DAYS.index(match["weekday"].lower()) - time.weekday()) % 7
        return time + timedelta(days=days if days or time > now else 7)
    if time > now:
        return time
    return None if now - time < _JUST else time + timedelta(days=1)


def _dated(match: re.Match[str], time: datetime) -> datetime | None:
    month = match["month"].lower()
    if month not in _MONTHS:
        return None
    try:
        named = time.replace(
            year=int(match["year"] or time.year), month=_MONTHS.index(month) + 1, day=int(match["day"])
        )
        past = time - named > _LONGEST and not match["year"]  # in December, January is the next one
        return named.replace(year=named.year + 1) if past else named
    except (ValueError, OverflowError):
        return None


def _zone(name: str | None) -> tzinfo | None:
    """Return a zone by its name; None, which is the local one, if there is no such zone."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
