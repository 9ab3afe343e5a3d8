"""Globs of paths, and whether two of them have a path in common: decided on the globs, whatever files there are.

They mean what they mean in a persona's `paths` (`refusal.matches`): `*` and `?` stay within one folder, `**` does not,
and what names a folder names all that lies in it. Both are walked at once, letter by letter, and no pair of places is
looked at twice: no glob, however it is made, is slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

Letters = tuple[tuple[int, int], ...]  # ranges of code points, in order and apart from each other

MAX_GLOB = 500  # letters
_SIGN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_IDLE = {("**", "**"), ("**", "*"), ("**", "**/"), ("**/", "**/")}
_WILD = re.compile(r"[*?]|\[[^\]/]+\]")
_SLASH = ord("/")
_ANY: Letters = ((1, 0x10FFFF),)
_WITHIN: Letters = ((1, _SLASH - 1), (_SLASH + 1, 0x10FFFF))
_BETWEEN: Letters = ((_SLASH, _SLASH),)


class Walk(NamedTuple):
    """A glob made ready: from each place the letters that lead on and where to, and the places a path may end at.

    The first `len(start)` places are those of the letters that every path of it begins with.
    """

    start: str
    moves: tuple[tuple[tuple[Letters, int], ...], ...]
    ends: tuple[bool, ...]


def meet(one: str, other: str) -> bool:
    """Tell whether some path matches both globs."""
    return common(walk(one), walk(other))


def common(one: Walk, other: Walk) -> bool:
    """Tell whether some path may walk both; a path has no empty part, so no slash at an end or beside another."""
    known = min(len(one.start), len(other.start))
    if one.start[:known] != other.start[:known] or "//" in f"/{one.start[:known]}":
        return False
    first = (known, known, known == 0 or one.start[known - 1] == "/")
    seen, todo = {first}, [first]
    while todo:
        here, there, new = todo.pop()
        if one.ends[here] and other.ends[there] and not new:
            return True
        for step in _steps(one, other, here, there, new):
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _steps(one: Walk, other: Walk, here: int, there: int, new: bool) -> Iterator[tuple[int, int, bool]]:
    """Go one letter further in both; the last of each step says that a part of the path begins there."""
    for letters, to in one.moves[here]:
        for others, on in other.moves[there]:
            plain, slash = _shared(letters, others)
            if plain:
                yield to, on, False
            if slash and not new:
                yield to, on, True


@lru_cache(maxsize=1 << 14)
def _shared(one: Letters, other: Letters) -> tuple[bool, bool]:
    """Tell whether two sets of letters share one that is no slash, and whether they share the slash."""
    both = [(max(low, least), min(high, most)) for low, high in one for least, most in other]
    slash = any(low <= _SLASH <= high for low, high in both)
    return any(low <= high and (low, high) != _BETWEEN[0] for low, high in both), slash


@lru_cache(maxsize=1 << 12)
def walk(glob: str, *, within: bool = True) -> Walk:
    """Make a glob ready; `within` says whether what it names may be a folder, and all that lies in it counts."""
    # Each place has the letters that keep one there, those that lead to the next, and places to skip to without any.
    places: list[tuple[Letters, Letters, tuple[int, ...]]] = []
    for sign in _signs(glob):
        if sign == "**/":
            places += [((), (), (1, 2)), (_ANY, _BETWEEN, ())]
        elif sign in {"*", "**"}:
            places.append((_ANY if sign == "**" else _WITHIN, (), (1,)))
        else:
            places.append(((), _letters(sign), ()))
    end = len(places)
    places += [((), _BETWEEN, ()), (_ANY, (), ())] if within else [((), (), ())]
    reached = [_reached(places, at) for at in range(len(places))]
    return Walk(
        start(glob),
        tuple(tuple(_moves(places, ways)) for ways in reached),
        tuple(max(ways) >= end for ways in reached),
    )


def _signs(glob: str) -> Iterator[str]:
    """Take a glob apart, leaving out wildcards that add nothing to the one before them."""
    before = ""
    for sign in _SIGN.findall(glob.removeprefix("/").rstrip("/")):
        if (before, sign) not in _IDLE:
            yield sign
            before = sign


def _reached(places: list[tuple[Letters, Letters, tuple[int, ...]]], at: int) -> list[int]:
    """List the places that one is at without any further letter."""
    found = [at]
    for place in found:
        found += [place + by for by in places[place][2] if place + by not in found]
    return found


def _moves(places: list[tuple[Letters, Letters, tuple[int, ...]]], ways: list[int]) -> Iterator[tuple[Letters, int]]:
    for at in ways:
        stays, leads, _ = places[at]
        if stays:
            yield stays, at
        if leads:
            yield leads, at + 1


def _letters(sign: str) -> Letters:
    if sign == "?":
        return _WITHIN
    if len(sign) == 1:
        return ((ord(sign), ord(sign)),)
    inner = sign[1:-1]
    ranges = sorted(_ranges(inner[1:] if inner[0] in "!^" else inner))
    if inner[0] not in "!^":
        return tuple((low, high) for low, high in ranges if low <= high)
    left, least = list[tuple[int, int]](), 1
    for low, high in ranges:
        if least < low:
            left.append((least, low - 1))
        least = max(least, high + 1)
    return (*left, (least, _ANY[0][1]))


def _ranges(inner: str) -> Iterator[tuple[int, int]]:
    for low, high, letter in re.findall(r"(.)-(.)|(.)", inner, re.DOTALL):
        yield ord(low or letter), ord(high or letter)


def start(glob: str) -> str:
    """Return what every path of a glob begins with, up to its first wildcard."""
    glob = glob.removeprefix("/").rstrip("/")
    return glob[: found.start()] if (found := _WILD.search(glob)) else glob


def end(glob: str) -> str:
    """Return what every path of a glob ends with, from behind its last wildcard on; a slash in front may be missing."""
    glob = glob.removeprefix("/").rstrip("/")
    return _WILD.split(glob)[-1]


def is_path(glob: str) -> bool:
    """Tell whether a glob names one path, be it a file or a folder: it has no wildcard."""
    return not _WILD.search(glob)


def checked(glob: str) -> str:
    """Return a glob as the rest of this module takes it: from the top of the repository. Raises ValueError."""
    if not 0 < len(glob) <= MAX_GLOB or not glob.isprintable():
        raise ValueError(f"must be a path or a glob of 1 to {MAX_GLOB} letters")
    if "\\" in glob:
        raise ValueError("must be a path with / between its folders, not \\")
    parts = [part for part in glob.split("/") if part not in {"", "."}]
    if not parts or ".." in parts or parts[0][0] in ":!":
        raise ValueError("must be a path within the repository, from its top; write ** for all of it")
    for sign in _SIGN.findall(glob):
        if len(sign) > 1 and sign[0] == "[" and not _is_set(sign[1:-1]):
            raise ValueError(f"must be a glob, and {sign} is no set of letters; write it as in [abc], [a-z] or [!a-z]")
    return "/".join(parts) + "/" * glob.endswith("/")


def _is_set(inner: str) -> bool:
    ranges = list(_ranges(inner[1:] if inner[0] in "!^" else inner))
    return bool(ranges) and all(low <= high for low, high in ranges)
