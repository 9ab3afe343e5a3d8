"""The files that coding agents leave behind for themselves: histories, caches, logs. They are no part of a patch.

A file that the base commit has is the project's, and a change to it counts as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ...mail.text.globs import matches
from ..agents.presets.preset import litter

_TOOLS = ("**/.playwright-mcp/**",)  # of tools that any agent may use


@cache
def known_litter() -> tuple[str, ...]:
    """Return the globs of what agents and their tools are known to leave behind."""
    return (*litter(), *_TOOLS)


def is_litter(path: bytes, more: Sequence[str]) -> bool:
    """Tell whether a file that the base does not have is an agent's own; `more` are globs of the settings."""
    return matches(path, (*known_litter(), *more))


def only_ignores_litter(before: bytes, after: bytes, more: Sequence[str]) -> bool:
    """Tell whether a `.gitignore` was changed only by lines that name litter, as some agents add them unasked."""
    old, new = before.splitlines(), after.splitlines()
    added = [line for line in new[len(old) :] if line.strip()]
    names = (line.strip().lstrip(b"/") for line in added)
    return new[: len(old)] == old and bool(added) and all(is_litter(name, more) for name in names)
