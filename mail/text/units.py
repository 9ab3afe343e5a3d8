"""Amounts as people write them: `30m`, `10MB`, `0 9 * * mon-fri`, `3 patches`. Parsers raise ValueError."""

from __future__ import annotations

import re
from typing import Any

_MINUTE, _HOUR = 60, 3_600
LONGEST = 366 * 86_400.0  # seconds; a longer span is a mistake, and overflows some system clocks
# Patterns are strings, compiled on first use: every command that shows mail imports this module.
_NO_SPAN = 'must be a span of time ("90s", "30m", "2h", "1d") or a number of seconds'
_NO_SIZE = 'must be a size ("10MB", "512KiB") or a number of bytes'
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = r"(?a:(?:\d+(?:\.\d+)?(?:ms|[smhdw])\s*)+)"
_SPAN_PART = r"(?a:(\d+(?:\.\d+)?)(ms|[smhdw]))"
_BYTES = {"": 1, "B": 1} | {
    f"{letter}{i}B": (1024 if i else 1000) ** power for power, letter in enumerate("KMGT", 1) for i in ("", "i")
}
_SIZE = r"(?a:(\d+(?:\.\d+)?)\s*([A-Za-z]*))"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_CRON_PART = r"(?a:(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?)"


def seconds(value: Any) -> float:
    """Parse a span of time, from 0 to 366 days, into seconds: `"30m"`, `"1h30m"`, `"500ms"`, or a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(_NO_SPAN)  # noqa: TRY004 - pydantic reports only a ValueError
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(_SPAN, text):
            raise ValueError(_NO_SPAN)
        value = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_SPAN_PART, text))
    if not 0 <= value <= LONGEST:
        raise ValueError("must be a span of time from 0 up to 366 days")
    return float(value)


def span(value: float) -> str:
    """Format seconds as `seconds` parses them, in the largest whole unit."""
    for unit in ("d", "h", "m", "s"):
        if value and not value % _SECONDS[unit]:
            return f"{value / _SECONDS[unit]:.0f}{unit}"
    return f"{value:g}s"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1: "1 patch", "2 patches", "3 replies"."""
    return f"{number} {noun}" if number == 1 else f"{number} {_plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def and_more(number: int, noun: str = "") -> str:
    """Return what a shortened list ends with: `and 3 more`, `and 1 more pair`; "" if nothing was left out."""
    if number <= 0:
        return ""
    return f"and {counted(number, f'more {noun}')}" if noun else f"and {number} more"


def duration(value: float) -> str:
    """Format seconds for people, rounded to two units: `3 h`, `1 h 30 min`, `45 min`, `12.5 s`."""
    if value < _MINUTE:
        return f"{value:.3g} s" if value else "0"
    if round(value) < _HOUR:
        return _two_units(round(value), _MINUTE, "min", "s")
    return _two_units(round(value / _MINUTE), _HOUR // _MINUTE, "h", "min")


def _two_units(value: int, factor: int, large: str, small: str) -> str:
    whole, rest = divmod(value, factor)
    return f"{whole} {large}" + (f" {rest} {small}" if rest else "")


def byte_count(value: Any) -> int:
    """Parse a size of at least one byte into bytes: `"10MB"`, `"512KiB"`, or a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(_NO_SIZE)  # noqa: TRY004
    if isinstance(value, str):
        match = re.fullmatch(_SIZE, value.strip())
        unit = _BYTES.get(match[2]) if match else None
        if match is None or unit is None:
            raise ValueError(_NO_SIZE)
        value = int(float(match[1]) * unit) if len(match[1]) < 16 else -1  # noqa: PLR2004 - an exabyte has 19
    if not 1 <= value < 1 << 53:
        raise ValueError("must be a size of at least one byte")
    return value


def size(value: int) -> str:
    """Format bytes as `byte_count` parses them, in the largest whole unit."""
    for unit, factor in sorted(_BYTES.items(), key=lambda item: -item[1]):
        if factor > 1 and not value % factor:
            return f"{value // factor}{unit}"
    return str(value)


def crontab(text: str) -> str:
    """Validate the five fields of a crontab line; return them separated by single spaces."""
    fields = text.split()
    if len(fields) != len(_CRON):
        raise ValueError(
            f"{text!r} has {len(fields)} fields where cron has 5 (minute hour day month weekday), "
            'as in "0 9 * * mon-fri"'
        )
    for field, (name, low, high, words) in zip(fields, _CRON, strict=True):
        for part in field.split(","):
            if not _is_cron(part, low, high, words):
                raise ValueError(f"{part!r} is not a {name} of cron: numbers from {low} to {high}, *, */5, 1-5 or 1,2")
    return " ".join(fields)


def _is_cron(part: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    match = re.fullmatch(_CRON_PART, part)
    if match is None or (match[3] and not 0 < int(match[3]) <= high):
        return False
    ends = [_number(end, low, words) for end in match.groups()[:2] if end]
    if words is _DAYS and ends[1:] == [0]:
        ends[1] = 7  # a range may end on Sunday, which is both 0 and 7
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _number(text: str, low: int, words: tuple[str, ...]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + low
    return int(text) if text.isdecimal() else -1
