"""`team.toml` with the line of every key: `tomllib` parses the values, and a scanner of the tokens finds the lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...mail.errors import UsageError
from ...mail.home import read_team_file
from ...mail.log.disk import check_regular, reason_of
from ..errors import SettingsError
from ..problems import line_of

Key = tuple[str, ...]
_TOKEN = re.compile(
    r'(?P<text>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<comment>\#[^\n]*)|(?P<newline>\n)|(?P<space>[ \t\r]+)|(?P<mark>[\[\]{},=.])|(?P<bare>[^\s\#\[\]{},=.\"']+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class TomlFile:
    """A file's values as `tomllib` returns them, and the line on which each key or table begins."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[Key, int] = field(default_factory=dict[Key, int])

    def line(self, key: Key) -> int:
        """Return the line of a key, or that of the nearest table around it."""
        return line_of(self.lines, key)


def read_toml(home: Path) -> TomlFile:
    """Read the settings file of a team, as mail does. Raises SettingsError with the line of a mistake."""
    path = home / "team.toml"
    try:
        with suppress(FileNotFoundError):
            check_regular(path, path.stat().st_mode)
        file = read_team_file(home)
    except UsageError as error:
        raise SettingsError(str(error)) from None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {reason_of(error)}") from None
    return TomlFile(file.values, key_lines(file.text))


def key_lines(text: str) -> dict[Key, int]:
    """Find the line of every key and table in valid TOML; the first line if a table is written several times."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """Makes one pass over the tokens of a valid TOML document."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Key, int] = {}
        self._tokens = _tokens(text)
        self._line, self._word = 0, ""
        self._next()

    def _next(self) -> None:
        self._line, self._word = next(self._tokens, (0, ""))

    def document(self) -> None:
        table: Key = ()
        while self._word:
            if self._word == "\n":
                self._next()
            elif self._word == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Key:
        while self._word == "[":
            self._next()
        key = self._key(())
        while self._word == "]":
            self._next()
        return key

    def _key(self, table: Key) -> Key:
        """Read `a.b."c d"`, and record the line of it and of every table that it creates."""
        key = table
        while True:
            key = (*key, _name(self._word))
            self.lines.setdefault(key, self._line)
            self._next()
            if self._word != ".":
                return key
            self._next()

    def _pair(self, table: Key) -> None:
        key = self._key(table)
        self._next()
        self._value(key)

    def _value(self, key: Key) -> None:
        if self._word == "{":
            self._many("}", lambda: self._pair(key))
        elif self._word == "[":
            self._many("]", lambda: self._value(key))
        else:
            while self._word and self._word not in ",]}\n":
                self._next()

    def _many(self, end: str, read_entry: Callable[[], None]) -> None:
        self._next()
        while self._word != end:
            if self._word in ",\n":
                self._next()
            else:
                read_entry()
        self._next()


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup not in {"comment", "space"}:
            yield line, match[0]
        line += match[0].count("\n")


def _name(token: str) -> str:
    """Return the key of a token, quoted or bare."""
    return next(iter(tomllib.loads(f"{token} = 0"))) if token[0] in "\"'" else token
