"""Which events of the engine count: those of whoever writes their kind, with values of the form that they always have.

The log is a file, and whoever can write it can write any event into it. One that the engine would never have written is
passed over, so that none stops a command, which would stop it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, cast

from ...personas.spending.usage import is_count, is_money
from ..kinds import is_writer
from .facts import Fact

_MAYBE = "agent dispatch error task"  # names of values that may be missing
_MOST = 10_000_000  # sprints, ticks or attempts


def counts(fact: Fact) -> bool:
    """Tell whether a fact counts."""
    return is_writer(fact.kind, fact.sender, fact.run) and is_well_formed(fact.data)


def is_well_formed(data: Mapping[str, Any]) -> bool:
    """Tell whether each value has the form of its name; what a name means is the same in all kinds of events."""
    return all(_FORMS[name](value) for name, value in data.items() if name in _FORMS)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= _MOST


def _is_span(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value))


def _is_blob(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    table = cast("dict[str, Any]", value)
    return isinstance(table.get("sha256"), str) and _is_size(table.get("size"))


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _are_conflicts(value: Any) -> bool:
    """Tell whether this is a list of pairs of runs, each with the files that they conflict in."""
    return isinstance(value, list) and all(_is_conflict(each) for each in cast("list[Any]", value))


def _is_conflict(value: Any) -> bool:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != 3:  # noqa: PLR2004
        return False
    run, rival, files = cast("list[Any]", value)
    return isinstance(run, str) and isinstance(rival, str) and _are_texts(files)


def _are_dangling(value: Any) -> bool:
    """Tell whether this is a list of names that are gone and still used."""
    return isinstance(value, list) and all(_is_dangling(each) for each in cast("list[Any]", value))


def _is_dangling(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    table = cast("dict[str, Any]", value)
    texts = (table.get(name) for name in ("name", "renamed", "defined_in"))
    people = (table.get(name) for name in ("removed_by", "used_by"))
    uses = table.get("uses")
    return (
        all(isinstance(text, str) for text in texts)
        and all(_are_texts(who) and len(cast("list[str]", who)) == 3 for who in people)  # noqa: PLR2004
        and isinstance(uses, list)
        and all(_is_place(use) for use in cast("list[Any]", uses))
    )


def _is_place(value: Any) -> bool:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != 2:  # noqa: PLR2004
        return False
    file, line = cast("list[Any]", value)
    return isinstance(file, str) and is_count(line)


def _are_spans(value: Any) -> bool:
    """Tell whether this is a list of lines of a file: of pairs of a first and a last one."""
    return isinstance(value, list) and all(map(_is_span_of_lines, cast("list[Any]", value)))


def _is_span_of_lines(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    ends = cast("list[Any]", value)
    return len(ends) == 2 and all(map(_is_number, ends))  # noqa: PLR2004


def _is_workspace(value: Any) -> bool:
    """Tell whether this is what became of a workspace, with the seconds of its set-up if it had one."""
    if not isinstance(value, dict):
        return False
    seconds = cast("dict[str, Any]", value).get("seconds")
    return seconds is None or _is_span(seconds)


def _is_time(value: Any) -> bool:
    try:
        return value is None or datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_usage(value: Any) -> bool:
    """Tell whether this is what a run used: numbers that are known, or None."""
    if not isinstance(value, dict):
        return False
    table = cast("dict[str, Any]", value)
    counts = all(table.get(name) is None or is_count(table[name]) for name in ("input", "cached", "output"))
    return counts and (table.get("usd") is None or is_money(table["usd"]))


def _is_route(value: Any) -> bool:
    """Tell whether this is how an agent was chosen: a rule, and the agents that gave way, each with the reason."""
    if not isinstance(value, dict):
        return False
    table = cast("dict[str, Any]", value)
    passed = table.get("passed", [])
    return (
        isinstance(table.get("rule", ""), str)
        and isinstance(passed, list)
        and all(_is_passed(each) for each in cast("list[Any]", passed))
    )


def _is_passed(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    table = cast("dict[str, Any]", value)
    return isinstance(table.get("agent"), str) and isinstance(table.get("why"), str)


def _are_verdicts(value: Any) -> bool:
    """Tell whether this is a list of gates, each with whether it passed and why."""
    return isinstance(value, list) and all(_is_verdict(each) for each in cast("list[Any]", value))


def _is_verdict(value: Any) -> bool:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != 3:  # noqa: PLR2004
        return False
    gate, passed, why = cast("list[Any]", value)
    return isinstance(gate, str) and isinstance(passed, bool) and isinstance(why, str)


_FORMS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("sprint", "tick", "attempt", "known"), _is_number),
    **dict.fromkeys(
        (
            "budget", "day", "limit", "persona", "base", "base_branch", "branch",
            "commit", "detail", "how", "id", "mark", "mode", "outcome",
            "decision", "file", "reason", "rival", "rule", "signature", "start", "status", "tip", "tree", "who",
            "why", "withdrawn", "question", "resumed",
        ),
        _is_text,
    ),
    **dict.fromkeys(_MAYBE.split(), _is_text_or_none),
    **dict.fromkeys(("files", "mail", "order", "personas", "red", "blocks"), _are_texts),
    **dict.fromkeys(("orderly", "passed", "hopeless", "rolling", "on_base", "landed", "delivered"), _is_flag),
    "offered": _is_flag,
    "seconds": _is_span,
    "lines": _are_spans,
    "supervisor": _is_table,
    "patch": _is_blob,
    "conflicts": _are_conflicts,
    "dangling": _are_dangling,
    "workspace": _is_workspace,
    "usage": _is_usage,
    **dict.fromkeys(("report", "ask", "schedule"), _is_table),
    "gates": _are_verdicts,
    "until": _is_time,
    "route": _is_route,
}  # fmt: skip
