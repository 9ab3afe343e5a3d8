"""What every table and list here is made of: aligned columns, Markdown, spans of time, and lists cut short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...mail.render import line
from ...mail.units import counted

_MINUTE = 60
_MOST = 3
_MARKS = "\\`*_[]<>|#!&~"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align rows, each a line of its own; the last column is as wide as it likes."""
    cleaned = [[line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cleaned) for i in range(len(cleaned[0]) - 1)]
    for row in cleaned:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield ("  " + "  ".join([*cells, row[-1]])).rstrip()


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a table in Markdown; the first one is the header."""
    head, *body = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def cell(text: str) -> str:
    """Escape text for Markdown, so that no mark of Markdown's or HTML's in it means anything."""
    return "".join(f"\\{sign}" if sign in _MARKS else sign for sign in line(text))


def span(seconds: float) -> str:
    """Write a length of time for people: `0.4 s`, `12 min 30 s`, `2 h 5 min`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes < _MINUTE else f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def listed(names: Sequence[str], most: int = _MOST) -> str:
    """Write names with commas between, and how many more there are beyond `most`."""
    shown = ", ".join(map(line, names[:most]))
    return f"{shown} {and_more(len(names) - most)}" if len(names) > most else shown


def and_more(number: int, noun: str = "") -> str:
    """Write how many more there are than are shown: `and 3 more`, `and 1 more pair`; nothing for none."""
    if number <= 0:
        return ""
    return f"and {counted(number, f'more {noun}')}" if noun else f"and {number} more"


def patches(number: int) -> str:
    """Write a number of patches."""
    return f"{number} patch{'' if number == 1 else 'es'}"


def shortened(text: str, most: int) -> str:
    """Write text in one line, cut to `most` characters."""
    shown = line(text)
    return shown if len(shown) <= most else f"{shown[:most]}…"
