"""The nearest known names to one that is not known, for the end of an error message."""

from __future__ import annotations

from collections.abc import Iterable

MOST_LISTED = 30  # names that a message lists where none is near


def nearest(name: str, known: Iterable[str], *, most: int = 2, cutoff: float = 0.6) -> list[str]:
    """Return at most `most` of the known names that resemble `name`, the most similar first.

    `cutoff` is how similar they have to be, from 0 to 1, as in `difflib.get_close_matches`.
    """
    from difflib import get_close_matches  # only an error needs it, and every send would pay for it

    return get_close_matches(name, list(known), n=most, cutoff=cutoff)


def suggestion(name: str, known: Iterable[str], *, most: int = 2) -> str:
    """Return `; did you mean a or b?`, or `; there are a, b, c` where none is near and the list is short."""
    names = list(known)
    if close := nearest(name, names, most=most):
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are {', '.join(names)}" if 0 < len(names) <= MOST_LISTED else ""
