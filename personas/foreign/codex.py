"""Codex's agents: TOML whose `developer_instructions` are the prompt."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ...mail.team_file import syntax_error
from ..frontmatter import Fault, number
from .markdown import check_link
from .sheet import Format, NotAPersona, Sheet, plain

PROMPT = "developer_instructions"
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_DEEP = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){40}""", re.ASCII)
_ASSIGNED = re.compile(r"^[ \t]*\[*[ \t]*\"?([\w-]+)", re.MULTILINE)


def read_codex(text: str, id: str, source: Path | None) -> Sheet:
    """Read a file of Codex. Raises Fault with its line, and NotAPersona for TOML that is something else."""
    text = text.removeprefix("\ufeff")
    check_link(text)
    if match := _DEEP.search(text):  # each dot costs as much as all before it
        raise Fault(text.count("\n", 0, match.start()) + 1, "tables nested too deep; flatten them")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise Fault(1, "lists or tables nested too deep; flatten them") from None
    except ValueError as error:
        at, what = syntax_error(text, str(error))
        raise Fault(at, f"not TOML: {what}") from None
    lines = _lines(text, values)
    if PROMPT not in values:
        if not {"name", "description"} <= values.keys():
            raise NotAPersona(f"has no {PROMPT}, as the agents of Codex have")
        raise Fault(1, f"there is no {PROMPT}, which is the prompt; write what the persona should do")
    prompt = values.pop(PROMPT)
    if not isinstance(prompt, str):
        raise Fault(lines[PROMPT], f"{PROMPT} must be a text; write it between quotes")
    keys = {key: plain(value, lines[key]) for key, value in values.items()}
    return Sheet(Format.CODEX, id, keys, plain(prompt, lines[PROMPT]).strip("\n"), lines, lines[PROMPT], source=source)


def _lines(text: str, values: Mapping[str, Any]) -> dict[str, int]:
    """Find the line of each key at the top, as far as the first words of lines tell it."""
    lines = dict.fromkeys(values, 1)
    left, at, seen = {*values}, 1, 0
    for match in _ASSIGNED.finditer(text):
        if match[1] in left:
            at += text.count("\n", seen, match.start())
            seen = match.start()
            lines[match[1]] = at
            left.discard(match[1])
    return lines


def write_codex(keys: Mapping[str, Any], prompt: str) -> str:
    """Return a file of Codex with these keys and this prompt."""
    simple = {key: value for key, value in keys.items() if not isinstance(value, dict) and value is not None}
    tables = {key: cast("dict[str, Any]", value) for key, value in keys.items() if isinstance(value, dict)}
    rows = [f"{_key(key)} = {_value(value)}" for key, value in simple.items()]
    rows += [f"{PROMPT} = {_block(prompt)}", *_tables(tables, ())]
    return "\n".join(rows) + "\n"


def _tables(tables: Mapping[str, dict[str, Any]], above: tuple[str, ...]) -> Iterator[str]:
    for name, table in tables.items():
        path = (*above, name)
        yield f"\n[{'.'.join(map(_key, path))}]"
        inner = {key: cast("dict[str, Any]", value) for key, value in table.items() if isinstance(value, dict)}
        for key, value in table.items():
            if key not in inner and value is not None:
                yield f"{_key(key)} = {_value(value)}"
        yield from _tables(inner, path)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in items if item is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value("" if item is None else item) for item in cast("list[Any]", value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, int | float) else _quoted(str(value))


def _quoted(text: str) -> str:
    """Return a basic string of TOML, whose escapes are those of JSON but for DEL, which is no text here."""
    return json.dumps(text, ensure_ascii=False)


def _block(text: str) -> str:
    """Return a text of several lines, as it stands if TOML can say it so."""
    body = text.strip("\n") + "\n"
    if "'''" not in body and not re.search("[\0-\x08\x0b-\x1f\x7f]", body):
        return f"'''\n{body}'''"
    return _quoted(body)
