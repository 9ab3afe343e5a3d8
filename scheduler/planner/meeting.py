"""Whether two globs can match the same path: decided by the patterns alone, not by the files that exist.

Both are walked as automata at once, letter by letter, and no pair of states is visited twice, so no glob is slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product, starmap, takewhile
from typing import NamedTuple

from ...mail.text.globs import FOLDERS, Form, Letters, Name, forms, plain

Place = tuple[Letters, Letters, tuple[int, ...]]  # letters that stay there, letters that lead on, offsets to skip to

_SLASH = ord("/")
_ANY: Letters = ((1, 0x10FFFF),)
_WITHIN: Letters = ((1, _SLASH - 1), (_SLASH + 1, 0x10FFFF))
_BETWEEN: Letters = ((_SLASH, _SLASH),)


class Walk(NamedTuple):
    """A form as an automaton: for each place its transitions, and whether a path may end there.

    The first `len(start)` places spell the letters that every matching path begins with.
    """

    start: str
    moves: tuple[tuple[tuple[Letters, int], ...], ...]
    ends: tuple[bool, ...]


def meet(pattern: str, second: str, *, below: tuple[bool, bool] = (True, True)) -> bool:
    """Tell whether some path matches both patterns.

    `below` tells of each whether it also covers what is below a folder that it matches.
    """
    return any(starmap(_common, product(_walks(pattern, below[0]), _walks(second, below[1]))))


@lru_cache(maxsize=1 << 12)
def _walks(pattern: str, below: bool) -> tuple[Walk, ...]:
    return tuple(_walk(form, below=below) for form in forms(pattern))


def _walk(form: Form, *, below: bool) -> Walk:
    places = list(_places(form.names))
    last = len(places)
    fixed = takewhile(lambda place: not place[0] and place[1] and plain([place[1]]), places)
    start = "".join(chr(leads[0][0]) for _, leads, _ in fixed)
    places += [((), _BETWEEN, ()), (_ANY, (), ())] if below or form.folder else [((), (), ())]
    reached = [_reached(places, at) for at in range(len(places))]
    return Walk(
        start,
        tuple(tuple(_moves(places, ways)) for ways in reached),
        tuple(max(ways) >= last + form.folder for ways in reached),
    )


def _places(names: Sequence[Name]) -> Iterator[Place]:
    for number, name in enumerate(names, start=1):
        if name == FOLDERS:
            yield from [((), (), (1, 2)), (_ANY, _BETWEEN, ())] if number < len(names) else [(_ANY, (), (1,))]
            continue
        for place, piece in enumerate(name):
            if place:
                yield _WITHIN, (), (1,)
            for letters in piece:
                yield (), letters, ()
        if number < len(names):
            yield (), _BETWEEN, ()


def _reached(places: Sequence[Place], at: int) -> list[int]:
    """List the places that can be reached from a place without a letter, itself included."""
    reached = [at]
    for place in reached:
        reached += [place + by for by in places[place][2] if place + by not in reached]
    return reached


def _moves(places: Sequence[Place], ways: Iterable[int]) -> Iterator[tuple[Letters, int]]:
    for at in ways:
        stays, leads, _ = places[at]
        if stays:
            yield stays, at
        if leads:
            yield leads, at + 1


def _common(walk: Walk, second: Walk) -> bool:
    """Tell whether some path is accepted by both. It has no empty name: no slash at an end or beside another."""
    known = min(len(walk.start), len(second.start))
    if walk.start[:known] != second.start[:known]:
        return False
    first = (known, known, known == 0 or walk.start[known - 1] == "/")
    seen, todo = {first}, [first]
    while todo:
        here, there, new = todo.pop()
        if walk.ends[here] and second.ends[there] and not new:
            return True
        for step in _steps(walk.moves[here], second.moves[there], new=new):
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _steps(
    moves: Iterable[tuple[Letters, int]], others: Sequence[tuple[Letters, int]], *, new: bool
) -> Iterator[tuple[int, int, bool]]:
    """Yield the pairs of places one letter further on; the third value tells whether a name begins there."""
    for letters, to in moves:
        for alternatives, on in others:
            name, slash = _shared(letters, alternatives)
            if name:
                yield to, on, False
            if slash and not new:
                yield to, on, True


@lru_cache(maxsize=1 << 14)
def _shared(letters: Letters, others: Letters) -> tuple[bool, bool]:
    """Tell whether two sets of letters share a letter other than the slash, and whether both have the slash."""
    both = [(max(low, least), min(high, most)) for low, high in letters for least, most in others]
    slash = any(low <= _SLASH <= high for low, high in both)
    return any(low <= high and (low, high) != _BETWEEN[0] for low, high in both), slash
