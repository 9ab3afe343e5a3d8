"""JSON values that agents give: read strictly, and held to what every reader of the log and of a trace can take."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from typing import Any, cast

from ..mail.log.event import MAX_INTEGER

MAX_DEPTH = 24
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH}"


def read_value(text: str) -> Any:
    """Read one JSON value. Raises ValueError for what is not JSON or goes too far, in words that follow "it"."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if fault := fault_in(value):
        raise ValueError(fault)
    return value


def fault_in(value: Any) -> str | None:
    """Say what in a value JSON has no word for, or some reader could not take; None if all is well."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return None
        if fault := next((fault for one in level if (fault := _fault(one))), None):
            return fault
        level = [inner for one in level for inner in _within(one)]
    return _TOO_DEEP if level else None


def blotted(value: Any, secrets: Collection[str]) -> Any:
    """Return a value with `***` in the place of every secret in its texts, the longest first."""
    if not secrets:
        return value
    hidden = re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))

    def clear(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {hidden.sub("***", key): clear(one) for key, one in cast("dict[str, Any]", inner).items()}
        if isinstance(inner, list):
            return [clear(one) for one in cast("list[Any]", inner)]
        return hidden.sub("***", inner) if isinstance(inner, str) else inner

    return clear(value)


def compact(value: Any) -> str:
    """Write a value in as few characters as JSON needs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"has the key {key!r} twice")
        found[key] = value
    return found


def _constant(word: str) -> None:
    raise ValueError(f"holds {word}, which JSON has no word for")


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        held = cast("dict[Any, Any]", value)
        return [*held, *held.values()]
    return cast("list[Any]", value) if isinstance(value, list) else []


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        return None if _is_text(value) else "holds half of a surrogate pair, which is no text"
    if isinstance(value, float):
        return None if math.isfinite(value) else "holds a number that JSON has no word for"
    if isinstance(value, int):
        return None if abs(value) <= MAX_INTEGER else "holds a whole number beyond 2^53, which some readers would round"
    if isinstance(value, dict):
        odd = next((key for key in cast("dict[Any, Any]", value) if not isinstance(key, str)), None)
        return None if odd is None else f"holds the key {odd!r}, which is not text"
    return None if value is None or isinstance(value, list) else f"holds a {type(value).__name__}, which is not JSON"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
