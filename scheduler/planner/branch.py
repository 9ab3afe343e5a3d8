"""A branch name for each item of a plan: a ref that git takes, unique on every file system, and no sprint's."""

from __future__ import annotations

import re

from .item import Roadmap

_LONGEST = 60
_NOT_PLAIN = re.compile(r"[^a-z0-9_-]+")


def branches(roadmap: Roadmap) -> dict[str, str]:
    """Name a branch for each item: `team/phase2-cli`, or `team/plan-cli` where there are no phases."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for number, item in enumerate(roadmap.items, 1):
        where = f"phase{item.phase + 1}" if len(roadmap.phases) > 1 else "plan"
        name = f"team/{where}-{slug(item.id) or number}"
        found[item.id] = unique(name, taken)
    return found


def slug(text: str) -> str:
    """Return a name as one word of small ASCII letters, digits, hyphens and underscores; it may be empty."""
    return _NOT_PLAIN.sub("-", text.lower()).strip("-_")[:_LONGEST].rstrip("-_")


def unique(name: str, taken: set[str]) -> str:
    """Take a name, or one with a number behind it, that nobody has taken yet."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found
