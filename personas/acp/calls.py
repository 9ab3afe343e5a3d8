"""The tool calls of a session as its updates tell them, piece by piece: tool, kind, input, files, output."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

MOST = 1 << 20  # characters of an output that comes in pieces
EDITS = frozenset({"edit", "delete", "move"})
_SHELLS = frozenset({"sh", "bash", "zsh", "dash"})
_COMMAND = ("command", "cmd", "commands")
_FLAGS = re.compile(r"-[a-z]+")  # of a shell: one with a `c` is followed by what it is to run
_EDITOR = frozenset({"create", "insert", "str_replace", "undo_edit", "view"})  # what editors call `command`, too
_FILE = frozenset({"file", "files", "filename", "target_file", "destination"})  # and what has "path" in its name
_DEPTH = 4  # of an input in which files are looked for


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
        """The command that its input names, else its title if it is to run one, else an empty text."""
        return self.given_command or (self.title if self.kind == "execute" else "")

    @property
    def given_command(self) -> str:
        """The command of the shell that its input names, empty if it names none."""
        given = _table(self.input)
        value = next((given[key] for key in _COMMAND if given.get(key)), None)
        if isinstance(value, str) and value in _EDITOR and self.kind != "execute":
            return ""
        words = [str(word) for word in cast("list[Any]", value)] if isinstance(value, list) else []
        more = [str(word) for word in cast("list[Any]", given["args"])] if isinstance(given.get("args"), list) else []
        if words and not more:
            return _run_by_shell(words) or (words[0] if len(words) == 1 else shlex.join(words))
        return shlex.join([*(words or [text(value)]), *more]) if value and more else text(value)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that it is to change, by all that names one."""
        named = [*_named(self.input, _DEPTH)]
        alone = (path for path in named if ", " not in path or not {*path.split(", ")} < {*named})  # no list of others
        return tuple(dict.fromkeys([*self.changed, *self.files, *alone]))

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


def _run_by_shell(words: list[str]) -> str:
    """Return what a shell is to run, as in `bash -lc TEXT`, empty if the words are no such thing."""
    program, *flags, last = words
    is_shell = program.rpartition("/")[2] in _SHELLS and all(map(_FLAGS.fullmatch, flags))
    return last if is_shell and any("c" in flag for flag in flags) else ""


def _named(value: Any, depth: int) -> Iterator[str]:
    """Yield what an input names as files, at any depth."""
    for key, each in _table(value).items() if depth else ():
        items = cast("list[Any]", each) if isinstance(each, list) else [each]
        if "path" in key.lower() or key.lower() in _FILE:
            yield from filter(None, map(text, items))
        for item in items:
            yield from _named(item, depth - 1)


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
