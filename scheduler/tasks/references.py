"""References from one task's input to another task's output: `{{ tasks.<id>.output.<path> }}` in any text.

A reference is looked up and never evaluated, and the inserted output is not searched for references: it is data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from ...mail.errors import TeamMailError
from ..problems import Path, hint, shown, where
from .strict import flaws

MAX_TEXT = 1 << 20  # characters that references insert into one input
_START = re.compile(r"\{\{\s*+tasks\.")
_QUOTED = r"""(?:"(?:[^"\\]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"|'[^']*+')"""
_STEP = rf"(?:\.[\w-]++|\[\s*+(?:\d++|{_QUOTED})\s*+\])"
_STEPS = re.compile(_STEP)
_PATH = re.compile(rf"{_STEP}(?:{_STEP})*+")
_REFERENCE = re.compile(rf"\{{\{{\s*+tasks\.([A-Za-z0-9_-]++)\.output({_STEP}*+)\s*+\}}\}}")
_SAMPLE = 60  # characters of a malformed reference that are shown


class MissingOutput(TeamMailError):
    """A reference cannot be filled: the value that it names does not exist or is too long; the message says which."""


class Reference(NamedTuple):
    """One reference: its path in the input and the task whose output it names, or its malformed text."""

    path: Path
    task: str = ""
    malformed: str = ""


def references(value: Any) -> frozenset[str]:
    """Return the ids of the tasks whose output an input refers to."""
    return frozenset(reference.task for reference in find_references(value) if reference.task)


def find_references(value: Any, path: Path = ()) -> Iterator[Reference]:
    """Go through the references of an input, malformed ones included."""
    if isinstance(value, str):
        if "{{" in value:
            yield from _in_text(value, path)
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from find_references(item, (*path, key))
    elif isinstance(value, list):
        for key, item in enumerate(cast("list[Any]", value)):
            yield from find_references(item, (*path, key))


def has_reference(text: str) -> bool:
    """Tell whether a text holds a reference."""
    return "{{" in text and _REFERENCE.search(text) is not None


def _in_text(text: str, path: Path) -> Iterator[Reference]:
    at = 0
    while start := _START.search(text, at):
        if match := _REFERENCE.match(text, start.start()):
            yield Reference(path, match[1])
            at = match.end()
        else:
            yield Reference(path, malformed=text[start.start() : start.start() + _SAMPLE])
            at = start.end()


def filled(value: Any, outputs: Mapping[str, Any]) -> Any:
    """Return a copy of an input with each reference replaced by the value that it names.

    A text that is a single reference becomes the value itself, of any type. Within other text, a value is inserted
    as text, anything but text as compact JSON. Raises MissingOutput.
    """
    filling = _Filling(outputs)
    result = filling.fill(value)
    if filling.left < MAX_TEXT:
        for path, what in flaws(result):
            raise MissingOutput(f"{where(('input_data', *path))}, with the outputs in it, {what}")
    return result


class _Filling:
    """Fills one input; `left` is the number of characters that may still be inserted."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self.left = MAX_TEXT
        self._outputs = outputs

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if "{{" in value else value
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in cast("dict[str, Any]", value).items()}
        return [self.fill(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value

    def _text(self, text: str) -> Any:
        if whole := _REFERENCE.fullmatch(text):
            return json.loads(self._json(whole))
        return _REFERENCE.sub(self._within, text)

    def _within(self, match: re.Match[str]) -> str:
        value, name = self._named(match)
        return self._counted(value, name) if isinstance(value, str) else self._json(match)

    def _json(self, match: re.Match[str]) -> str:
        value, name = self._named(match)
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            raise MissingOutput(f"{name}: is nothing that JSON could hold") from None
        return self._counted(text, name)

    def _counted(self, text: str, name: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            raise MissingOutput(
                f"{name}: makes the input more than {MAX_TEXT:,} characters longer; refer to a part of it"
            )
        return text

    def _named(self, match: re.Match[str]) -> tuple[Any, str]:
        """Look up what a reference names; return it with the reference's own path, for messages."""
        name = f"tasks.{match[1]}.output"
        if match[1] not in self._outputs:
            raise MissingOutput(f"{name}: task '{match[1]}' has given no output")
        return look_up(self._outputs[match[1]], map(_key, _STEPS.findall(match[2])), name)


def steps_of(path: str) -> tuple[str, ...] | None:
    """Return the keys and positions that a path such as `findings.0.file` names; None if it is no path."""
    text = path if path.startswith("[") else f".{path}"
    return tuple(map(_key, _STEPS.findall(text))) if _PATH.fullmatch(text) else None


def look_up(output: Any, steps: Iterable[str], name: str) -> tuple[Any, str]:
    """Return the value that a path leads to in an output, and the name that messages have for it.

    `name` is what they call the output. Raises MissingOutput, which says what exists instead.
    """
    value = output
    for step in steps:
        value, name = _inner(value, step, name), f"{name}{_written(step)}"
    return value, name


def _key(step: str) -> str:
    """Return the key or index that a step of a path means."""
    if step.startswith("."):
        return step[1:]
    inner = step[1:-1].strip()
    if inner.startswith('"'):
        return json.loads(inner, strict=False)
    return inner[1:-1] if inner.startswith("'") else inner


def _written(step: str) -> str:
    return f".{step}" if re.fullmatch(r"[\w-]+", step) else f'["{shown(step)}"]'


def _inner(value: Any, step: str, name: str) -> Any:
    """Take one step into a value. Raises MissingOutput, which says what exists instead."""
    missing = f"{name}{_written(step)}: there is no {shown(step)}; "
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if step in table:
            return table[step]
        raise MissingOutput(missing.removesuffix("; ") + (hint(step, list(map(str, table))) or "; the object is empty"))
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if step.isdecimal() and step.isascii() and len(step) < len("1000000000") and int(step) < len(items):
            return items[int(step)]
        raise MissingOutput(missing + _indexes(len(items)))
    kind = "text" if isinstance(value, str) else "null" if value is None else f"{json.dumps(value, default=repr)}"
    raise MissingOutput(f"{missing}{name} is {kind}")


def _indexes(length: int) -> str:
    return "the list is empty" if not length else f"there are 0 to {length - 1}" if length > 1 else "there is only 0"
