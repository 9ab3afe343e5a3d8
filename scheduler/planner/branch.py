"""A branch name for each item of a plan: a valid git ref, unique when case is ignored, and never a sprint's."""

from __future__ import annotations

import re

from .item import Roadmap

_LONGEST = 60
_NOT_PLAIN = re.compile(r"[^a-z0-9_-]+")


def branches(roadmap: Roadmap) -> dict[str, str]:
    """Name a branch for each item: `team/phase2-cli`, or `team/plan-cli` where there are no phases."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for number, item in enumerate(roadmap.items, 1):
        where = f"phase{item.phase + 1}" if len(roadmap.phases) > 1 else "plan"
        name = f"team/{where}-{slug(item.id) or number}"
        names[item.id] = unique(name, taken)
    return names


def slug(text: str) -> str:
    """Reduce a name to lower-case ASCII letters, digits, hyphens and underscores; the result may be empty."""
    return _NOT_PLAIN.sub("-", text.lower()).strip("-_")[:_LONGEST].rstrip("-_")


def unique(name: str, taken: set[str]) -> str:
    """Return a name that is not `taken`, with a number appended if necessary, and add it to `taken`."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate)
    return candidate
