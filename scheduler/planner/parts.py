"""Globs name by name: whether two meet, told at once for what people write, without walking them letter by letter.

Where both have room for any number of folders, or two names both have a star, what lies between can always be fitted
in: heads and tails decide. Other wildcards than stars are for `globs.meet`, which takes a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product, starmap
from typing import NamedTuple

from ...mail.globs import Form, forms, is_path, plain

Name = tuple[str, ...]  # a star stands between each two texts
Names = tuple[Name, ...]

_ANY: Name = ()  # `**`, as in `globs.FOLDERS`
_SOME: Name = ("", "")  # `*`


class Parts(NamedTuple):
    """A glob's names: those in front of its first `**`, those between each two, those behind its last.

    If it is `loose` any number of names may lie between these; else the head is all of it.
    """

    head: Names
    between: tuple[Names, ...]
    tail: Names
    loose: bool


def told(one: str, other: str, below: tuple[bool, bool] = (True, True)) -> bool | None:
    """Tell whether some path matches both globs; None if only walking them can tell.

    `below` says of each whether it covers what is below a folder that it matches.
    """
    left, right = parts(one, below[0]), parts(other, below[1])
    if left is None or right is None:
        return None
    if len(left) == len(right) == 1:
        return _meet(left[0], right[0])
    return any(starmap(_meet, product(left, right)))


def _meet(left: Parts, right: Parts) -> bool:
    if left.loose and right.loose:
        return _heads_and_tails(left, right)
    if left.loose or right.loose:
        return _fits_in(left, right.head) if left.loose else _fits_in(right, left.head)
    return len(left.head) == len(right.head) and all(map(_alike, left.head, right.head))


@lru_cache(maxsize=1 << 14)
def parts(glob: str, below: bool) -> tuple[Parts, ...] | None:
    """Take each reading of a glob apart; None if one of its names cannot be looked at alone."""
    taken = [_parts(form, below) for form in forms(glob)]
    return None if None in taken else tuple(filter(None, taken))


def _parts(form: Form, below: bool) -> Parts | None:
    names = list[Name]()
    for name in form.names:
        texts = [text for piece in name if (text := plain(piece)) is not None]
        if len(texts) < len(name):
            return None
        names.append(tuple(texts))
    if form.folder:
        names.append(_ANY)
    if names[-1] == _ANY:
        names.append(_SOME)  # all that lies in a folder is not the folder itself
    head, *rest = _between(names)
    between, tail = (rest, ()) if below or not rest else (rest[:-1], rest[-1])
    return Parts(head, tuple(filter(None, between)), tail, bool(rest) or below)


def _between(names: Sequence[Name]) -> Iterator[Names]:
    start = 0
    for at, name in enumerate(names):
        if name == _ANY:
            yield tuple(names[start:at])
            start = at + 1
    yield tuple(names[start:])


def folder(glob: str) -> str:
    """Return the name of the folder that all files of a glob lie in, if it is one name; else nothing."""
    names = glob.removeprefix("/").split("/")
    return names[-2] if len(names) > 1 and is_path(names[-2]) and "**" not in names[-1] and "[" not in glob else ""


def _heads_and_tails(one: Parts, other: Parts) -> bool:
    return all(map(_alike, one.head, other.head)) and all(map(_alike, reversed(one.tail), reversed(other.tail)))


def _fits_in(loose: Parts, names: Names) -> bool:
    """Tell whether so many names fit: head and tail at the ends, and what is between them as early as it can be."""
    head, between, tail, _ = loose
    at, end = len(head), len(names) - len(tail)
    if end < at or not all(map(_alike, head, names)) or not all(map(_alike, reversed(tail), reversed(names))):
        return False
    for part in between:
        last = end - len(part)
        while at <= last and not (_alike(part[0], names[at]) and all(map(_alike, part, names[at:]))):
            at += 1
        if at > last:
            return False
        at += len(part)
    return True


def _alike(name: Name, second: Name) -> bool:
    """Tell whether some text matches both."""
    if name == second:
        return True
    if len(name) == 1:
        return len(second) > 1 and _matches(name[0], second)
    if len(second) == 1:
        return _matches(second[0], name)
    (head, *_, tail), (start, *_, end) = name, second
    return (head.startswith(start) or start.startswith(head)) and (tail.endswith(end) or end.endswith(tail))


def _matches(text: str, name: Name) -> bool:
    head, *middle, tail = name
    at, end = len(head), len(text) - len(tail)
    if end < at or not text.startswith(head) or not text.endswith(tail):
        return False
    for part in middle:
        at = text.find(part, at, end) + len(part)
        if at < len(part):
            return False
    return True
