"""What is wrong with a setting, in words: where it stands, what it is called, and what may be written instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from .settings.file import Key

Fields = Mapping[str, Any] | None
_EXAMPLES = {"team": "[team]", "sprint": "[sprint]", "agents": "[agents.shell]", "gates": "[gates.tests]"}
_SHORT = 60  # characters
_KINDS = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list: […]",
}


def problem(error: Mapping[str, Any], place: str, fields: Callable[[Key], Fields]) -> str:
    """Say in one line what a validation error means; `error` has pydantic's `type`, `loc`, `msg`, `input`, `ctx`."""
    loc = tuple(part for part in error["loc"] if part != "[key]")
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)[1:]
    return f"{place}: {dotted} {_what(error, tuple(map(str, loc)), fields)}"


def _what(error: Mapping[str, Any], key: Key, fields: Callable[[Key], Fields]) -> str:
    kind, told = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is no setting{_elsewhere(key, fields) or nearest(key[-1], fields(key[:-1]) or ())}"
    if kind == "missing":
        example = '["make", "test"]' if key[-1] == "command" else "…"
        return f"is missing: write {key[-1]} = {example}"
    if kind == "unknown_agent":
        return f"{error['input']!r} names no [agents.{error['input']}]{nearest(error['input'], told['known'])}"
    if kind == "literal_error":
        choices = told["expected"].replace("'", '"')
        return f"must be {choices}{_not(error['input'])}"
    if kind in {"model_type", "dict_type"} and len(key) == 1:
        return f"must be a table: write {_EXAMPLES.get(key[0], '[groups]')} above its settings"
    said = _bound(kind, told) or _KINDS.get(kind) or str(error.get("msg", kind)).removeprefix("Value error, ")
    return said + (_not(error.get("input")) if said.startswith("must be") else "")


def _bound(kind: str, told: Mapping[str, Any]) -> str:
    limits = {
        "greater_than_equal": "{ge:g} or more",
        "greater_than": "more than {gt:g}",
        "less_than_equal": "at most {le:g}",
    }
    return f"must be {limits[kind].format(**told)}" if kind in limits else ""


def _not(value: Any) -> str:
    """Quote what was written, if it is short enough to help."""
    if not isinstance(value, str | int | float) or len(str(value)) > _SHORT:
        return ""
    return f", not {json.dumps(value, ensure_ascii=False)}"


def _elsewhere(key: Key, fields: Callable[[Key], Fields]) -> str:
    """Point out that a setting of this very name belongs to another table."""
    for table, header in _EXAMPLES.items():
        at = (table,) if header == f"[{table}]" else (table, "*")
        if table not in key[:1] and key[-1] in (fields(at) or {}):
            return f" here; it belongs under {header}"
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?`, or all that there is where nothing is near."""
    if close := get_close_matches(name, list(known), n=2, cutoff=0.6):
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are {', '.join(known)}" if known else ""
