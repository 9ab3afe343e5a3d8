"""JSON values that agents produce: parsed strictly, and limited to what every reader of logs and traces can take.

The log's own rules are in `mail/log/event.py`. A value may be less deep than an event, because events wrap it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, cast

from ..mail.errors import InvalidEvent
from ..mail.log.event import check_json, strict_json

MAX_DEPTH = 24  # levels of nesting


def read_value(text: str) -> Any:
    """Parse one JSON value. Raises ValueError if it is not JSON, or if some reader could not take it."""
    try:
        value = strict_json(text)
    except InvalidEvent as error:
        raise ValueError(str(error)) from None
    if problem := fault_in(value):
        raise ValueError(problem)
    return value


def fault_in(value: Any) -> str | None:
    """Return why a value cannot be written as JSON that every reader takes; None if it can."""
    try:
        check_json(value, MAX_DEPTH)
    except InvalidEvent as error:
        return str(error)
    return None


def masked(value: Any, secrets: Collection[str]) -> Any:
    """Return a value with `***` in place of every secret in its strings and keys, the longest secrets first."""
    if not secrets:
        return value
    pattern = re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))

    def mask(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {pattern.sub("***", key): mask(item) for key, item in cast("dict[str, Any]", inner).items()}
        if isinstance(inner, list):
            return [mask(item) for item in cast("list[Any]", inner)]
        return pattern.sub("***", inner) if isinstance(inner, str) else inner

    return mask(value)


def compact(value: Any) -> str:
    """Return a value as JSON without optional white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
