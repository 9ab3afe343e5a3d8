"""JSON from strangers, read so that it cannot hurt: its size and depth are known before it is parsed.

What some reader of the log could not take (a key twice, NaN, half a letter, integers beyond 2^53) is named by its path.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from ...mail.log.event import MAX_INTEGER
from ..errors import InvalidTasks
from ..problems import Problems, shown, where

MAX_BYTES = 16 << 20
MAX_DEPTH = 24
Path = tuple[str | int, ...]
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS = 17  # with its sign 2^53 has no more
_BEYOND = "is an integer beyond 2^53, which not every reader keeps; write it as text"
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class _Odd:
    """What stands where a JSON value should, and what is wrong with it."""

    def __init__(self, what: str) -> None:
        self.what = what


class _Twice(dict[str, Any]):
    """An object with a key that is written more than once."""

    twice = ""


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
        problems.add(f"{where(path) or 'the input'}: {what}")
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
    """Tell, without parsing, whether brackets outside of strings nest deeper than they may."""
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    marked, seen = _Twice(found), set[str]()
    marked.twice = next(key for key, _ in pairs if key in seen or seen.add(key))
    return marked


def _integer(digits: str) -> int | _Odd:
    """Read no integer so long that reading it takes time."""
    return int(digits) if len(digits) <= _DIGITS else _Odd(_BEYOND)


def _constant(word: str) -> _Odd:
    return _Odd(f"is {word}, which JSON has not")


def flaws(value: Any, path: Path = (), depth: int = 1) -> Iterator[tuple[Path, str]]:
    """Find what a JSON value holds that the log does not take: each with its path and what is wrong.

    Values made by Python are looked at as well: what JSON has no word for is a flaw.
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
    if isinstance(value, _Twice):
        yield path, f"has the key '{shown(value.twice)}' twice; keep one"
    if isinstance(value, dict):
        for key in cast("dict[Any, Any]", value):
            if not isinstance(key, str):
                yield path, f"has the key {shown(repr(key))}, which is not text"
            elif what := _flaw(key):
                yield path, f"has the key '{shown(key)}', which {what}"


def _flaw(value: Any) -> str:
    """Say what is wrong with a value that holds no others, or nothing."""
    if isinstance(value, str):
        return "" if value.isascii() and "\0" not in value else _text_flaw(value)
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if -MAX_INTEGER <= value <= MAX_INTEGER else _BEYOND
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is not a finite number"
    return value.what if isinstance(value, _Odd) else f"is a {type(value).__name__}, which JSON has not"


def _text_flaw(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character, which is not text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is not text"
    return ""
