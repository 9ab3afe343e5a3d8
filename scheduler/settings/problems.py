"""What is wrong with a setting: the words for TOML tables, and the example that shows what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...mail.text.nearest import suggestion
from ..problems import explain, quoted
from .file import Key

Fields = Mapping[str, Any] | None
_HEADERS = (
    "[team]", "[sprint]", "[agents.shell]", "[gates.tests]", "[workspace]", "[dispatch]", "[route.docs]",
    "[teams.code]", "[channels.review]", "[supervisor]", "[review.pixel]", "[deploy]",
    "[notify.phone]", "[console]", "[schedules.nightly]", "[logging]", "[otel]", "[github]",
)  # fmt: skip
_EXAMPLES = {header.strip("[]").partition(".")[0]: header for header in _HEADERS}
_WORDS = {
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_type": "must be text in quotes",
}


def problem(error: Mapping[str, Any], place: str, fields: Callable[[Key], Fields]) -> str:
    """Explain a validation error in one line; `error` has pydantic's `type`, `loc`, `msg`, `input`, `ctx`.

    `place` is where the setting was written, and `fields` maps a table's key to the settings that it may hold.
    """
    loc = tuple(part for part in error["loc"] if part != "[key]")
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)[1:]
    return f"{place}: {dotted} {_explanation(error, tuple(map(str, loc)), fields)}"


def _explanation(error: Mapping[str, Any], key: Key, fields: Callable[[Key], Fields]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is not a setting{_elsewhere(key, fields) or suggestion(key[-1], fields(key[:-1]) or ())}"
    if kind == "missing":
        example = {"command": '["make", "test"]', "kind": '"ntfy"'}.get(key[-1], "…")
        return f"is missing: write {key[-1]} = {example}"
    if kind == "unknown_agent":
        return f"{error['input']!r} names no [agents.{error['input']}]{suggestion(error['input'], context['known'])}"
    if kind == "literal_error":
        choices = context["expected"].replace("'", '"')
        return f"must be {choices}{quoted(error['input'])}"
    if kind in {"model_type", "dict_type"} and len(key) == 1:
        return f"must be a table: write {_EXAMPLES.get(key[0], '[groups]')} above its settings"
    return explain(error, _WORDS)


def _elsewhere(key: Key, fields: Callable[[Key], Fields]) -> str:
    """Point out that a setting of this name belongs to another table."""
    for table, header in _EXAMPLES.items():
        owner = (table,) if header == f"[{table}]" else (table, "*")
        if table not in key[:1] and key[-1] in (fields(owner) or {}):
            return f" here; it belongs under {header}"
    return ""
