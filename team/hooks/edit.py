"""Edits a JSON file as text: all that is not ours stays as it is written, to the byte.

What is added is found again by its place in the structure, and removed with the space that was added with it. So
removing after adding gives the same bytes back, whatever the file's indentation, order or line ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from json.decoder import JSONDecodeError
from typing import Any, NamedTuple

from ...mail.errors import UsageError

_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()
Path = Sequence[str | int]  # of keys, and numbers of items


class Item(NamedTuple):
    """A member of an object, or an element of an array, in a text: where it begins and ends, and its value.

    `key` is "" for an element; `at` is where the value begins.
    """

    key: str
    begin: int
    at: int
    end: int
    value: Any


class Document(NamedTuple):
    """A JSON object as text. `unit` is what one level is indented by, None for a text of one line."""

    text: str
    unit: str | None = "  "
    newline: str = "\n"

    @classmethod
    def of(cls, text: str) -> Document:
        """Read a text. Raises UsageError for one that is no JSON object."""
        try:
            value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_without_twins)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"it is no plain JSON: {error}") from None
        if not isinstance(value, dict):
            raise UsageError("it is no JSON object")
        indented = re.search(r"\n([ \t]+)\S", text)
        unit = indented[1] if indented else None if "\n" not in text.strip() and text.strip() != "{}" else "  "
        return cls(text, unit, "\r\n" if "\r\n" in text else "\n")

    def items(self, path: Path = ()) -> list[Item]:
        """Return the items of the object or array at a path; none if there is no such place."""
        at = self._place(path)
        return [] if at is None else _items(self.text, at)

    def value(self, path: Path) -> Any:
        """Return the value at a path; None if there is none."""
        at = self._place(path)
        return None if at is None else _DECODER.raw_decode(self.text, at)[0]

    def added(self, path: Path, key: str, value: Any) -> Document:
        """Return the document with a new last item in the object (`key`), or in the array (""), at a path."""
        at = self._place(path)
        if at is None:
            raise KeyError(path)
        items, depth = _items(self.text, at), len(path) + 1
        text = self._written(value, depth)
        text = f"{json.dumps(key)}:{'' if self.unit is None else ' '}{text}" if key else text
        if items:
            return self._put(items[-1].end, "," + self._line(depth) + text)
        return self._put(at + 1, self._line(depth) + text + self._line(depth - 1))

    def removed(self, path: Path, number: int) -> Document:
        """Return the document without an item of the object or array at a path, and without what came with it."""
        at = self._place(path)
        if at is None:
            raise KeyError(path)
        items = _items(self.text, at)
        item = items[number]
        if number:
            return self._cut(items[number - 1].end, item.end)
        if len(items) > 1:
            return self._cut(item.begin, items[1].begin)
        tail = self._line(len(path))
        end = item.end + len(tail) if self.text.startswith(tail, item.end) else item.end
        return self._cut(at + 1, end)

    def _place(self, path: Path) -> int | None:
        at = _after_space(self.text, 1 if self.text.startswith("\ufeff") else 0)
        for key in path:
            items = _items(self.text, at)
            found = items[key : key + 1] if isinstance(key, int) else [item for item in items if item.key == key]
            if not found:
                return None
            at = found[0].at
        return at

    def _put(self, at: int, text: str) -> Document:
        return self._replace(text=self.text[:at] + text + self.text[at:])

    def _cut(self, begin: int, end: int) -> Document:
        return self._replace(text=self.text[:begin] + self.text[end:])

    def _line(self, depth: int) -> str:
        return "" if self.unit is None else self.newline + self.unit * depth

    def _written(self, value: Any, depth: int) -> str:
        if self.unit is None:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        lines = json.dumps(value, ensure_ascii=False, indent=self.unit).split("\n")
        return (self.newline + self.unit * depth).join(lines)


def _items(text: str, at: int) -> list[Item]:
    """Return the items of the object or array that begins at a place."""
    close, items = {"{": "}", "[": "]"}.get(text[at], ""), list[Item]()
    if not close:
        return items
    here = _after_space(text, at + 1)
    while text[here] != close:
        begin, key = here, ""
        if close == "}":
            key, here = _DECODER.raw_decode(text, here)
            here = _after_space(text, _after_space(text, here) + 1)
        value, end = _DECODER.raw_decode(text, here)
        items.append(Item(key, begin, here, end, value))
        here = _after_space(text, end)
        here = _after_space(text, here + 1) if text[here] == "," else here
    return items


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; one with a key twice is none that can be edited without harm."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JSONDecodeError("an object has a key twice", "", 0)
    return made
