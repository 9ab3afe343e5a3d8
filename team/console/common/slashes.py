"""A `/` within a variable of a path, such as the name of a dispatch: it is written %2F, and parts no variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from starlette.types import Scope

_WRITTEN = re.compile(rb"%2f", re.IGNORECASE)
_KEPT = "\0"  # stands for it until the path has been taken apart; no name has it
_FILES = b"/static/"


def keep_slashes(scope: Scope) -> None:
    """Write the path of a request so that a route's variables can hold what the client wrote as %2F."""
    raw = scope.get("raw_path") or b""
    if _WRITTEN.search(raw) and not raw.startswith(_FILES):
        scope["path"] = unquote(_WRITTEN.sub(b"%00", raw).decode("ascii", "replace"))


def variables(path: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a path as the client meant them."""
    return {name: value.replace(_KEPT, "/") if isinstance(value, str) else value for name, value in path.items()}
