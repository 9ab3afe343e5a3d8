"""The tool calls of a session as its updates tell them, piece by piece: tool, kind, input, files, output."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

MOST = 1 << 20  # characters of an output that comes in pieces
EDITS = frozenset({"edit", "delete", "move"})
_SHELLS = frozenset({"sh", "bash", "zsh", "dash"})
_COMMAND = ("command", "cmd", "commands")
_WORDS = 3  # of a shell, a flag, and what it is to run


@dataclass
class Call:
    """One tool call. `files` are the paths that it names; `output` is None until something of it is known."""

    id: str
    tool: str = ""
    title: str = ""
    kind: str = ""
    input: Any = None
    files: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    output: Any = None
    status: str = ""
    _text: str = field(default="", repr=False)

    def take(self, raw: Mapping[str, Any], *, asked: bool = False) -> None:
        """Take what an update says: a field that is not there says nothing. What is `asked` for has no output yet."""
        meta = _table(raw.get("_meta"))
        own = (_table(each).get("toolName") for each in meta.values())
        name = next((each for each in (meta.get("toolName"), *own) if isinstance(each, str)), "")
        self.tool = name or self.tool
        self.title, self.kind, self.status = (
            text(raw.get(key)) or old
            for key, old in (("title", self.title), ("kind", self.kind), ("status", self.status))
        )
        given = raw.get("rawInput")
        self.input = {**_table(self.input), **_table(given)} or given or self.input
        if places := [path for each in _tables(raw.get("locations")) if (path := text(each.get("path")))]:
            self.files = tuple(places)
        self._take_changes(_tables(raw.get("content")))
        if not asked:
            self._take_output(raw, meta)

    @property
    def is_known(self) -> bool:
        """Whether its input is known; of one that has not begun, what is told at first may be a part of it."""
        given = _table(self.input)
        return self.status not in {"", "pending"} or bool(
            any(given.get(key) for key in _COMMAND) if self.kind == "execute" else self.input
        )

    @property
    def name(self) -> str:
        """What the tool is called: by the agent if it says so, else by the kind of the call."""
        return self.tool or (self.kind if self.kind not in {"", "other"} else "") or self.title or "a tool"

    @property
    def shown(self) -> Any:
        """Its input; where the agent tells none, what its title and its files say of it."""
        if self.input:
            return self.input
        if self.kind == "execute":
            return {"command": self.title} if self.title else {}
        paths = self.paths
        return ({"title": self.title} if self.title else {}) | ({"paths": [*paths]} if paths else {})

    @property
    def command(self) -> str:
        """The command of the shell that it is to run, empty if it names none."""
        given = _table(self.input)
        value = next((given[key] for key in _COMMAND if given.get(key)), None)
        if isinstance(value, list):
            words = [str(word) for word in cast("list[Any]", value)]
            if len(words) == _WORDS and words[0].rpartition("/")[2] in _SHELLS and words[1].startswith("-"):
                return words[2]
            return words[0] if len(words) == 1 else shlex.join(words)
        return text(value) or (self.title if self.kind == "execute" else "")

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that it is to change, by all that names one."""
        named = (text(value) for key, value in _table(self.input).items() if "path" in key.lower() or key == "file")
        return tuple(dict.fromkeys([*self.changed, *self.files, *filter(None, named)]))

    def _take_changes(self, parts: list[Mapping[str, Any]]) -> None:
        if changed := [path for part in parts if part.get("type") == "diff" and (path := text(part.get("path")))]:
            self.changed = tuple(changed)

    def _take_output(self, raw: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        if isinstance(raw.get("content"), list):
            self._text = "\n".join(filter(None, _texts(_tables(raw["content"]))))[:MOST]
        elif len(self._text) < MOST:
            self._text += text(_table(meta.get("terminal_output_delta")).get("data"))
        whole = raw.get("rawOutput")
        if isinstance(whole, str):
            self.output = whole
        else:
            self.output = self._text or whole


def _texts(parts: list[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        content = _table(part.get("content"))
        if part.get("type") == "content" and content.get("type") == "text":
            yield text(content.get("text"))


def text(value: Any) -> str:
    """Return a text, and an empty one for any other value."""
    return value if isinstance(value, str) else ""


def _table(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _tables(value: Any) -> list[Mapping[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [_table(item) for item in items if isinstance(item, dict)]
