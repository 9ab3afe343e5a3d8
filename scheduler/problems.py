"""What is wrong with tasks, in words: where it stands, what it is, and what may be written instead.

Of a million mistakes the first fifty are put into words and the others counted, so that hostile input costs little.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ..mail.render import line
from .errors import InvalidTasks

MOST = 50  # problems told in words
_SHORT = 60  # characters of what was written
_MANY = 500  # names that are searched for a near one
_FEW = 30  # names that are listed
_PLAIN = re.compile(r"[\w-]+")
_KINDS = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object: {…}",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "missing": "is missing",
    "model_type": "must be an object: {…}",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "tuple_type": "must be a list: […]",
}
_BOUNDS = {
    "greater_than_equal": "must be {ge:g} or more",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
}


class Problems:
    """Collects what is wrong, each in one line; those past the first fifty are only counted."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._more = 0

    def add(self, problem: str, name: str = "", known: Collection[str] = ()) -> None:
        """Add one; `name` is what was written in the place of one of the `known` names."""
        if len(self._told) < MOST:
            self._told.append(problem + (hint(name, known) if name else ""))
        else:
            self._more += 1

    @property
    def full(self) -> bool:
        """Whether the next problem will only be counted, and need not be put into words."""
        return len(self._told) >= MOST

    def count(self, number: int) -> None:
        """Add problems that nobody put into words."""
        self._more += number

    def told(self) -> list[str]:
        """Return all problems in words, and how many more there are."""
        return [*self._told, f"and {self._more} more"] if self._more else self._told.copy()

    def refuse(self) -> None:
        """Raise InvalidTasks if there are any."""
        if self._told:
            raise InvalidTasks(self.told())


def where(path: Sequence[str | int]) -> str:
    """Write a path into JSON the way people do: `tasks[3].input_data["odd key"]`."""
    parts = [
        f"[{part}]" if isinstance(part, int) else f".{part}" if _PLAIN.fullmatch(shown(part)) else f'["{shown(part)}"]'
        for part in path
    ]
    return "".join(parts).removeprefix(".")


def shown(text: str) -> str:
    """Show a name from outside within one line, cut if it is long."""
    cut = text if len(text) <= 2 * _SHORT else f"{text[: 2 * _SHORT]}…"
    return line(cut)


def hint(name: str, known: Collection[str]) -> str:
    """Return `; did you mean …?`, or all that there is where nothing is near and the list is short."""
    if not known or len(known) > _MANY:
        return ""
    if close := get_close_matches(name[: 2 * _SHORT], known, n=2, cutoff=0.6):
        return f"; did you mean {' or '.join(map(shown, close))}?"
    return f"; there are {', '.join(map(shown, sorted(known)))}" if len(known) <= _FEW else ""


def said(error: Mapping[str, Any]) -> str:
    """Say what a validation error of pydantic's means, without its place."""
    kind, told = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return _choice(error["loc"][-1], error["input"], told["expected"])
    bound = _BOUNDS[kind].format(**told) if kind in _BOUNDS else ""
    words = bound or _KINDS.get(kind) or str(error.get("msg", kind)).removeprefix("Value error, ")
    return words + (_not(error.get("input")) if words.startswith("must be") else "")


def _choice(name: str | int, value: Any, expected: str) -> str:
    choices = re.findall(r"'([^']+)'", expected)
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    close = get_close_matches(written[:_SHORT].capitalize(), choices, n=1) or get_close_matches(
        written[:_SHORT], choices
    )
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"Invalid {name}: {_cut(written)}; it must be {', '.join(choices[:-1])} or {choices[-1]}{meant}"


def _not(value: Any) -> str:
    """Quote what was written, if it is short enough to help."""
    if not isinstance(value, str | int | float) or len(str(value)) > _SHORT:
        return ""
    return f", not {line(json.dumps(value, ensure_ascii=False))}"


def _cut(text: str) -> str:
    return line(text if len(text) <= _SHORT else f"{text[:_SHORT]}…")
