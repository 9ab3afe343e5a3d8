"""What a persona file of another tool says, before it means anything to us: its keys as they stand, and its prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from ...mail.render import line
from ..frontmatter import Fault, number

MAX_SHEETS = 500  # in one file
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)  # what the front matter of ours reads as a number
_DEEPEST = 10


class Format(StrEnum):
    """The formats that are read and written, by the tool whose they are."""

    CLAUDE = "claude"
    CODEX = "codex"
    COPILOT = "copilot"
    CREWAI = "crewai"
    EGREGORA = "egregora"
    GEMINI = "gemini"
    OPENCODE = "opencode"


FOLDERS = (
    ".claude/agents", ".codex/agents", ".gemini/agents", ".opencode/agent", ".opencode/agents", ".github/agents",
    ".github/chatmodes",
)  # fmt: skip


@dataclass(frozen=True)
class Note:
    """What became of one key of a file: `lost` if nothing comes of it here, else what it was taken for.

    `source` is the file and `line` the key's line there; `why` follows the key in a sentence.
    """

    key: str
    line: int
    why: str
    lost: bool = True
    source: Path | None = None

    def __str__(self) -> str:
        where = f"{line(str(self.source))}:{self.line}: " if self.source else ""
        return f"{where}{line(self.key)[:60]}: {line(self.why)}"


@dataclass(frozen=True)
class Sheet:
    """One persona of a file: its keys in their order, as JSON values, and the line of each.

    `prompt` is the text that the tool gives its model, which starts at line `start`; for CrewAI it is made of keys.
    """

    format: Format
    id: str
    keys: Mapping[str, Any]
    prompt: str
    lines: Mapping[str, int] = field(default_factory=dict[str, int])
    start: int = 1
    notes: tuple[Note, ...] = ()
    source: Path | None = None

    def text(self, key: str) -> str:
        """Return the text of a key, empty if it has none."""
        value = self.keys.get(key)
        return "" if value is None or isinstance(value, dict | list) else spelled(value)

    def note(self, key: str, why: str, *, lost: bool = True) -> Note:
        """Return a note on one of the keys."""
        return Note(key, self.lines.get(key, 1), why, lost, self.source)

    def noted(self, *notes: Note) -> Sheet:
        """Return the sheet with more notes, which are about its file."""
        return replace(self, notes=(*self.notes, *(replace(note, source=self.source) for note in notes)))


class NotAPersona(Exception):
    """A file that its tool would not take for a persona either; the message says why."""


def spelled(value: Any) -> str:
    """Return a single value as it is written in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def plain(value: Any, at: int, depth: int = 0) -> Any:
    """Return a value as it survives any of the formats: numbers that they spell differently become text.

    Raises Fault for control characters, and for what is nested too deep.
    """
    if depth > _DEEPEST:
        raise Fault(at, f"nested more than {_DEEPEST} levels deep; flatten it")
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(plain(str(key), at)): plain(item, at, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain(item, at, depth + 1) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and _NUMBER.fullmatch(written := number(value)):
        return float(written) if "." in written else int(written)
    text = str(cast("object", value))
    if match := re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text.replace("\r\n", "\n")):
        raise Fault(at, f"has the control character {match[0]!r}; remove it")
    return text.replace("\r\n", "\n")
