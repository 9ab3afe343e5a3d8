"""Changes of a text: an exact part of it replaced by another, and what a model is told where that part is not there."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from ...mail.text.escape import line
from ...mail.text.units import counted
from .place import Refused

_MOST_COMPARED = 400_000  # pairs of lines: lines of the file by lines of what was looked for
_ALIKE = 0.5  # how much of the nearest text must agree to be shown
_MOST_SHOWN = 40  # lines
_LONGEST_LINE = 200


def changed(text: str, old: str, new: str, path: str, count: int = 1) -> str:
    """Return a text with `old` replaced, which must stand in it `count` times; line ends are those of the text.

    Raises Refused, which shows the nearest text if `old` is not there.
    """
    if not old:
        raise Refused("old is empty; name the text to be replaced, or write the whole file")
    old, new = (each.replace("\r\n", "\n") for each in (old, new))
    if old == new:
        raise Refused("old and new are the same, so that nothing would change")
    wanted = _pattern(old)
    if old.endswith("\n") and not text.endswith("\n") and not re.search(wanted, text):
        wanted, new = rf"{_pattern(old[:-1])}\Z", new.removesuffix("\n")  # of the last line, which has no end
    _check(len(re.findall(wanted, text)), count, text, old, path)
    with_returns = new.replace("\n", "\r\n")
    by_default = with_returns if "\r\n" in text else new

    def put(found: re.Match[str]) -> str:
        return with_returns if "\r\n" in found[0] else new if "\n" in found[0] else by_default

    return re.sub(wanted, put, text)


def _pattern(text: str) -> str:
    """Return the expression of a text whose lines may have ends of either kind."""
    return "\r?\n".join(map(re.escape, text.split("\n")))


def changed_lines(text: str, old: str, new: str, path: str) -> str:
    """Return a text with whole lines replaced, which must stand in it once. Raises Refused as `changed`."""
    raw, end = text.split("\n"), "\r" if "\r\n" in text else ""
    rows, wanted = [row.rstrip("\r") for row in raw], old.removesuffix("\n").split("\n")
    size = len(wanted)
    places = [at for at in range(len(rows) - size + 1) if rows[at : at + size] == wanted]
    _check(len(places), 1, text, old, path)
    more = [f"{row}{end}" for row in new.removesuffix("\n").split("\n")] if new else []
    rest = raw[places[0] + size :]
    whole = "\n".join([*raw[: places[0]], *more, *rest])
    return whole if rest else whole.removesuffix(end)  # the last line of such a text has no end


def _check(there: int, count: int, text: str, old: str, path: str) -> None:
    """Raise Refused if a text does not stand there as often as it should."""
    if there and there != count:
        more = "name more of the lines around it" if count == 1 else "count must say how often"
        raise Refused(f"that text stands in {line(path)} {counted(there, 'time')}, not {count}; {more}")
    if not there:
        raise Refused(f"that text does not stand in {line(path)}{_nearest(text, old)}")


def _nearest(text: str, old: str) -> str:
    """Say which part of a text is most like another one."""
    rows, wanted = ([row.rstrip("\r") for row in each.removesuffix("\n").split("\n")] for each in (text, old))
    size = len(wanted)
    if not text or len(rows) * size > _MOST_COMPARED:
        return "; read it again, and copy the text exactly"
    bare = [row.strip() for row in wanted]
    scores = [
        (sum(row.strip() == each for row, each in zip(rows[at : at + size], bare, strict=False)) / size, -at)
        for at in range(max(1, len(rows) - size + 1))
    ]
    score, at = max(scores)
    if score == 0 and size == 1:
        ratios = (SequenceMatcher(None, row.strip()[:_LONGEST_LINE], bare[0][:_LONGEST_LINE]) for row in rows)
        score, at = max((each.quick_ratio(), -number) for number, each in enumerate(ratios))
    if score < _ALIKE:
        return "; read it again, and copy the text exactly"
    shown = "\n".join(row[:_LONGEST_LINE] for row in rows[-at : -at + min(size, _MOST_SHOWN)])
    return f". The nearest is from line {1 - at}, exactly:\n{shown}"
