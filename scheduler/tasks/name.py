"""The names of tasks, in a module that loads nothing: claims need no more of tasks."""

from __future__ import annotations

import re

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_INDEX = re.compile(r"dispatch-\d+_\d+.*", re.IGNORECASE)


def task_name(value: str) -> str:
    """Return the name of a task. Raises ValueError if it is none."""
    if not _ID.fullmatch(value):
        raise ValueError("must be 1 to 100 letters (a to z), digits, '_' and '-', with a letter or a digit in front")
    if _INDEX.fullmatch(value):
        raise ValueError("must be another name: an index of a dispatch is called so")
    return value
