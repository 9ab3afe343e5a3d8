"""Parts of the tables here: aligned columns, Markdown, measured times, and text cut short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...mail.render import line
from ...mail.text.units import duration

_MINUTE = 60
_THOUSAND = 999.5  # what would be written with more than three digits
_MARKS = "\\`*_[]<>|#!&~"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align the columns of rows, each on a line of its own; the last column is not padded."""
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
    """Escape text for Markdown, so that no character of it is markup, HTML's included."""
    return "".join(f"\\{sign}" if sign in _MARKS else sign for sign in line(text))


def span(seconds: float) -> str:
    """Format a measured time, to a tenth of a second below a minute: `0.4 s`, `12 min 30 s`, `2 h 5 min`."""
    return f"{seconds:.1f} s" if seconds < _MINUTE else duration(seconds)


def bytes_text(size: int) -> str:
    """Write a number of bytes in three digits: `0 bytes`, `12.3 kB`, `1.5 GB`."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < _THOUSAND:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


def shortened(text: str, most: int) -> str:
    """Write text in one line, cut to `most` characters."""
    shown = line(text)
    return shown if len(shown) <= most else f"{shown[:most]}…"
