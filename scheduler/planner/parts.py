"""Globs name by name: whether two meet, told at once for what people write, without walking them letter by letter.

Where both have room for any number of folders, or two names both have a star, what lies between can always be fitted
in: heads and tails decide. Other wildcards than stars are for `globs.common`, which takes a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from .globs import is_path

_ANY = "**"
_ONE = "*"
_ESCAPED = {"[*]": "\1", "[?]": "\2", "[[]": "\3"}  # one letter that is no wildcard: as in `app/[[]id]/page.tsx`

Names = tuple[str, ...]


class Parts(NamedTuple):
    """A glob's names: those in front of its first `**`, those between each two, those behind its last.

    If it is `loose` any number of names may lie between these; else the head is all of it.
    """

    head: Names
    between: tuple[Names, ...]
    tail: Names
    loose: bool


def told(one: str, other: str, within: tuple[bool, bool] = (True, True)) -> bool | None:
    """Tell whether some path matches both globs; None if only walking them can tell.

    `within` says of each whether what it names may be a folder, and all that lies in it counts.
    """
    left, right = parts(one, within[0]), parts(other, within[1])
    if not left or not right:
        return None
    if left.loose and right.loose:
        return _heads_and_tails(left, right)
    if left.loose or right.loose:
        return _fits_in(left, right.head) if left.loose else _fits_in(right, left.head)
    return len(left.head) == len(right.head) and all(map(_alike, left.head, right.head))


@lru_cache(maxsize=1 << 14)
def parts(glob: str, within: bool) -> Parts | None:
    """Take a glob apart; None if one of its names cannot be looked at alone."""
    for sign, letter in _ESCAPED.items():
        glob = glob.replace(sign, letter)
    names = glob.removeprefix("/").rstrip("/").split("/")
    if any("[" in name or "?" in name or (_ANY in name and name != _ANY) for name in names):
        return None
    if names[-1] == _ANY:
        names.append(_ONE)  # all that lies in a folder is not the folder itself
    head, *rest = _between(names)
    between, tail = (rest, ()) if within or not rest else (rest[:-1], rest[-1])
    return Parts(head, tuple(filter(None, between)), tail, bool(rest) or within)


def _between(names: Sequence[str]) -> Iterator[Names]:
    start = 0
    for at, name in enumerate(names):
        if name == _ANY:
            yield tuple(names[start:at])
            start = at + 1
    yield tuple(names[start:])


def folder(glob: str) -> str:
    """Return the name of the folder that all files of a glob lie in, if it is one name; else nothing."""
    names = glob.removeprefix("/").split("/")
    return names[-2] if len(names) > 1 and is_path(names[-2]) and _ANY not in names[-1] and "[" not in glob else ""


def _heads_and_tails(one: Parts, other: Parts) -> bool:
    return all(map(_alike, one.head, other.head)) and all(map(_alike, reversed(one.tail), reversed(other.tail)))


def _fits_in(loose: Parts, names: Names) -> bool:
    """Tell whether so many names fit: head and tail at the ends, and what is between them as early as it can be."""
    at, end = len(loose.head), len(names) - len(loose.tail)
    if end < at or not _heads_and_tails(loose, Parts(names, (), names, loose=False)):
        return False
    for part in loose.between:
        last = end - len(part)
        at = next((place for place in range(at, last + 1) if all(map(_alike, part, names[place:]))), end) + len(part)
        if at > end:
            return False
    return True


def _alike(one: str, other: str) -> bool:
    """Tell whether some name matches both, which have no wildcard but stars."""
    if one == other:
        return True
    if _ONE not in one:
        return _ONE in other and _matches(one, other)
    if _ONE not in other:
        return _matches(other, one)
    head, tail = one.partition(_ONE)[0], one.rpartition(_ONE)[2]
    start, end = other.partition(_ONE)[0], other.rpartition(_ONE)[2]
    return (head.startswith(start) or start.startswith(head)) and (tail.endswith(end) or end.endswith(tail))


def _matches(name: str, pattern: str) -> bool:
    head, *middle, tail = pattern.split(_ONE)
    at, end = len(head), len(name) - len(tail)
    if end < at or not name.startswith(head) or not name.endswith(tail):
        return False
    for part in middle:
        at = name.find(part, at, end) + len(part)
        if at < len(part):
            return False
    return True
