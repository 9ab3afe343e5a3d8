"""Strict JSON: its size and depth are checked before it is parsed.

Values that not every reader of the log can represent are reported with their path: repeated keys, NaN, unpaired
surrogates, NUL characters, integers beyond 2^53.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from ...mail.log.event import MAX_INTEGER
from ..errors import InvalidTasks
from ..problems import Path, Problems, shown, where

MAX_BYTES = 16 << 20
MAX_DEPTH = 24
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS = 17  # of 2^53, with its sign
_BEYOND = "is an integer beyond 2^53, which not every reader keeps; write it as text"
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class _NotJson:
    """Stands for a value that is no JSON; `what` says why."""

    def __init__(self, what: str) -> None:
        self.what = what


class _RepeatedKey(dict[str, Any]):
    """An object in which `key` is written more than once."""

    key = ""


def read_json(data: bytes, most: int = MAX_BYTES) -> Any:
    """Read one JSON document of at most `most` bytes. Raises InvalidTasks with everything that is wrong with it."""
    text = _text(data, most)
    if _is_deep(data):
        raise InvalidTasks([f"the input is nested deeper than {MAX_DEPTH} levels; make it flatter"])
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
    except json.JSONDecodeError as error:
        comment = text.startswith(("//", "/*", "#"), error.pos)
        why = "comments are no part of JSON, leave them out" if comment else f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise InvalidTasks([f"the input is not JSON: {why} (line {error.lineno}, column {error.colno})"]) from None
    problems = Problems()
    for path, what in flaws(value):
        problems.add(f"{where(path) or 'the input'}: {what}", path=path)
    problems.refuse()
    return value


def _text(data: bytes, most: int) -> str:
    if len(data) > most:
        raise InvalidTasks([f"the input has more than {most:,} bytes; give the large parts as files that tasks read"])
    if data.startswith(_MARKS):
        raise InvalidTasks(["the input begins with a byte order mark; save it as UTF-8 without one"])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise InvalidTasks([f"the input is not UTF-8 (line {at}); save it as UTF-8"]) from None
    if not text.strip():
        raise InvalidTasks(['the input is empty; it must be JSON, as {"tasks": [{"task_id": …, "agent": …}]}'])
    return text


def _is_deep(data: bytes) -> bool:
    """Tell, without parsing, whether brackets outside of strings nest deeper than `MAX_DEPTH`."""
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) == len(pairs):
        return table
    repeated, seen = _RepeatedKey(table), set[str]()
    repeated.key = next(key for key, _ in pairs if key in seen or seen.add(key))
    return repeated


def _integer(digits: str) -> int | _NotJson:
    """Convert an integer, unless Python would refuse its length."""
    return int(digits) if len(digits) <= _DIGITS else _NotJson(_BEYOND)


def _constant(word: str) -> _NotJson:
    return _NotJson(f"is {word}, which JSON has not")


def flaws(value: Any, path: Path = (), depth: int = 1) -> Iterator[tuple[Path, str]]:
    """Find the values that the log does not take: each with its path and what is wrong.

    A value made in Python is checked as well: what JSON cannot express is a flaw.
    """
    if not isinstance(value, dict | list):
        if what := _flaw(value):
            yield path, what
        return
    if depth > MAX_DEPTH:
        yield path, f"is nested deeper than {MAX_DEPTH} levels; make it flatter"
        return
    yield from _key_flaws(value, path)
    for key, item in _items(cast("dict[str, Any] | list[Any]", value)):
        if isinstance(item, dict | list):
            yield from flaws(item, (*path, key), depth + 1)
        elif what := _flaw(item):
            yield (*path, key), what


def _items(value: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _key_flaws(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, _RepeatedKey):
        yield path, f"has the key '{shown(value.key)}' twice; keep one"
    if isinstance(value, dict):
        for key in cast("dict[Any, Any]", value):
            if not isinstance(key, str):
                yield path, f"has the key {shown(repr(key))}, which is not text"
            elif what := _flaw(key):
                yield path, f"has the key '{shown(key)}', which {what}"


def _flaw(value: Any) -> str:
    """Return what is wrong with a value that is no container; empty if nothing is."""
    if isinstance(value, str):
        return "" if value.isascii() and "\0" not in value else _text_flaw(value)
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if -MAX_INTEGER <= value <= MAX_INTEGER else _BEYOND
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is not a finite number"
    return value.what if isinstance(value, _NotJson) else f"is a {type(value).__name__}, which JSON has not"


def _text_flaw(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character, which is not text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is not text"
    return ""
