"""What is wrong with a file that a user wrote: where, what, and the nearest right word.

One vocabulary for tasks, roadmaps, templates and settings. The first fifty problems are listed and the rest counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from ..mail.render import line
from ..mail.text.nearest import nearest, suggestion
from ..mail.text.units import and_more
from .errors import InvalidTasks

Path = tuple[str | int, ...]  # from the top of a document to a value in it
Part = TypeVar("Part", bound=str | int)
MOST = 50  # problems that are listed
_LONGEST_VALUE = 60  # characters of a value that are quoted
_LONGEST_NAME = 120  # characters of a name that are shown
_MOST_NAMES = 500  # names that are searched for a near one
_PLAIN = re.compile(r"[\w-]+")
_WORDS = {
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
    """Collects the problems of one document, each in one line.

    If the document is a file with known lines, its `name` and `lines` (the line of each path) go in front of each
    problem, and problems are listed by line.
    """

    def __init__(self, name: str = "", lines: Mapping[Path, int] | None = None) -> None:
        self._name, self._lines = shown(name), lines
        self._listed: list[tuple[int, str]] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._listed)

    def add(self, problem: str, name: str = "", known: Collection[str] = (), *, path: Path = ()) -> None:
        """Add a problem; `name` is what was written instead of one of the `known` names."""
        if len(self._listed) >= MOST:
            self._more += 1
            return
        number = 0 if self._lines is None else line_of(self._lines, path)
        place = f"{self._name}:{number}: " if number else ""
        self._listed.append((number, place + problem + (hint(name, known) if name else "")))

    def add_at(self, path: Path, problem: str, name: str = "", known: Collection[str] = ()) -> None:
        """Add a problem of the value at `path`, which the message begins with."""
        self.add(f"{where(path)}: {problem}", name, known, path=path)

    def messages(self) -> list[str]:
        """Return the listed problems, in the order of their lines, and how many more there are."""
        listed = [message for _, message in sorted(self._listed, key=lambda problem: problem[0])]
        return [*listed, and_more(self._more)] if self._more else listed

    def refuse(self) -> None:
        """Raise InvalidTasks if there are any problems."""
        if self:
            raise InvalidTasks(self.messages())


def line_of(lines: Mapping[tuple[Part, ...], int], path: tuple[Part, ...]) -> int:
    """Return the line of the value at `path`, or of the nearest one around it that has a line; else 1."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def where(path: Sequence[str | int]) -> str:
    """Format a path in a document: `tasks[3].input_data["odd key"]`."""
    parts = [
        f"[{part}]" if isinstance(part, int) else f".{part}" if _PLAIN.fullmatch(shown(part)) else f'["{shown(part)}"]'
        for part in path
    ]
    return "".join(parts).removeprefix(".")


def shown(text: str) -> str:
    """Make a name from outside safe to print: one line, cut if it is long."""
    return _cut(text, _LONGEST_NAME)


def hint(name: str, known: Collection[str]) -> str:
    """Return `; did you mean …?`, or all known names where none is near and the list is short."""
    if len(known) > _MOST_NAMES:
        return ""
    return suggestion(name[:_LONGEST_NAME], sorted(map(shown, known)))


def explain(error: Mapping[str, Any], words: Mapping[str, str] | None = None) -> str:
    """Explain a validation error of pydantic's, without its place; `words` are other words for some types of error."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return _choice(error["loc"][-1], error["input"], context["expected"])
    bound = _BOUNDS[kind].format(**context) if kind in _BOUNDS else ""
    message = bound or (_WORDS | dict(words or {})).get(kind) or str(error.get("msg", kind))
    message = message.removeprefix("Value error, ")
    return message + (quoted(error.get("input")) if message.startswith("must be") else "")


def quoted(value: Any) -> str:
    """Return `, not "value"` for a value that is short enough to help."""
    if not isinstance(value, str | int | float) or len(str(value)) > _LONGEST_VALUE:
        return ""
    return f", not {line(json.dumps(value, ensure_ascii=False))}"


def _choice(name: str | int, value: Any, expected: str) -> str:
    choices = re.findall(r"'([^']+)'", expected)
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    start = written[:_LONGEST_VALUE]
    close = nearest(start.capitalize(), choices, most=1) or nearest(start, choices, most=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    value_shown = _cut(written, _LONGEST_VALUE)
    return f"Invalid {name}: {value_shown}; it must be {', '.join(choices[:-1])} or {choices[-1]}{meant}"


def _cut(text: str, most: int) -> str:
    return line(text if len(text) <= most else f"{text[:most]}…")
