"""Whether claims of paths overlap, decided by their globs alone, as the planner decides it of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from ...mail.text.globs import matches
from ..planner.meeting import meet
from .facts import Claim


def overlapping(globs: Iterable[str], others: Iterable[str]) -> str | None:
    """Return the first of some globs that may match a path that one of others matches; None if none can."""
    return next((glob for glob, rival in product(globs, others) if meet(glob, rival)), None)


def shared(globs: Iterable[str], names: Iterable[str], claim: Claim) -> str | None:
    """Return the first of some globs and names that a claim has already; None if it has none of them."""
    return overlapping(globs, claim.globs) or next((name for name in names if name in claim.names), None)


def holding(path: bytes | str, claims: Iterable[Claim]) -> Claim | None:
    """Return the first claim that a path belongs to."""
    return next((claim for claim in claims if matches(path, claim.globs)), None)
