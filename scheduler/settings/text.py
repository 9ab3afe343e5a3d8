"""Settings from the environment and from flags: text, parsed into the values that the file would hold."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from ...mail.text.nearest import suggestion
from ..errors import SettingsError
from .file import Key
from .problems import Fields

FieldsOf = Callable[[Key], Fields]
_NAMED = frozenset({"agents", "gates", "route"})
_COMMANDS = frozenset({"command", "setup"})


class Origin(NamedTuple):
    """A setting as it was written, and where: `flag`, `environment TEAM_X`, `team.toml:12` or `default`."""

    value: Any
    where: str


def environment(
    environ: Mapping[str, str], values: Mapping[str, Any], fields: FieldsOf
) -> dict[Key, tuple[Any, Origin]]:
    """Read `TEAM_SPRINT_MAX_PARALLEL`, `TEAM_AGENTS_SHELL_TIMEOUT` …; only agents and gates of the file have any.

    Raises SettingsError for a command that no shell could split into words.
    """
    settings: dict[Key, tuple[Any, Origin]] = {}
    tables: list[Key] = [("team",), ("sprint",), ("workspace",), ("dispatch",), ("weaver",), ("budget",)]
    tables += [(table, name) for table in sorted(_NAMED) for name in _names(values, table)]
    for table in tables:
        for name, kind in (fields(table) or {}).items():
            variable = "_".join(("TEAM", *(re.sub(r"\W|[.-]", "_", part).upper() for part in (*table, name))))
            if text := environ.get(variable, "").strip():
                where = f"environment {variable}"
                settings[*table, name] = (_value(text, name, kind, where), Origin(text, where))
    return settings


def flagged(flags: Mapping[str, str], fields: FieldsOf) -> dict[Key, tuple[Any, Origin]]:
    """Read flags, each given as the dotted key that it sets. Raises SettingsError for an unknown key."""
    settings: dict[Key, tuple[Any, Origin]] = {}
    for dotted, text in flags.items():
        table, _, name = dotted.rpartition(".")
        first, _, rest = table.partition(".")
        key: Key = (first, rest) if first in _NAMED else (table,)
        known = fields(key) or {}
        if name not in known:
            raise SettingsError(f"flag: {dotted} is not a setting{suggestion(name, known)}")
        settings[*key, name] = (_value(text, name, known[name], "flag"), Origin(text, "flag"))
    return settings


def _names(values: Mapping[str, Any], table: str) -> list[str]:
    named = values.get(table)
    return list(cast("dict[str, Any]", named)) if isinstance(named, dict) else []


def _value(text: str, name: str, kind: Any, where: str) -> Any:
    """Parse text as a value of a type: text stays as it is, a list is split at blanks and commas, the rest is TOML."""
    kinds = _alternatives(kind)
    if tuple in kinds and text.startswith("["):
        return _toml(text)
    if kinds == {tuple} and name in _COMMANDS:
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            raise SettingsError(f"{where}: {name}: {error}; write it as a shell would read it") from None
    if kinds == {tuple}:
        return tuple(_toml(part) for part in re.split(r"[\s,]+", text) if part)
    return text if kinds <= {str, tuple} else _toml(text)


def _alternatives(kind: Any) -> set[Any]:
    """Return the alternatives of a type, without None and parameters: `tuple` for a list, `str` for a literal."""
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return set[Any]().union(*map(_alternatives, get_args(kind)))
    if origin is Annotated:
        return _alternatives(get_args(kind)[0])
    return {str if origin is Literal else origin or kind} - {NoneType}


def _toml(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return _frozen(value["value"]) if len(value) == 1 else text


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, cast("list[Any]", value))) if isinstance(value, list) else value
