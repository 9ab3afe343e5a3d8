"""Pull requests among the personas of a sprint: `pr-7` has no mailbox, and is told at the forge what became of it."""

from __future__ import annotations

import re

_NAME = re.compile(r"pr-[1-9][0-9]{0,9}")


def pull_name(number: int) -> str:
    """Return the name under which a pull request takes part in a sprint."""
    return f"pr-{number}"


def is_pull(persona: str) -> bool:
    """Tell whether a name is that of a pull request."""
    return _NAME.fullmatch(persona) is not None
