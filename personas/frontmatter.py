"""YAML, read with the line of each value: front matter at the head of a persona file, or a document of its own.

It is read from the nodes of the YAML, so that text stays as it was written (`name: No` is a name), every fault has a
line, and nothing is built that the file did not spell out: no aliases, no objects, no dates.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple, cast

import yaml

MAX_FRONT = 16 << 10  # characters: no front matter needs more, and YAML in Python is slow
MAX_DEPTH = 16
MAX_VALUES = 100_000  # in a document: reading them takes two seconds
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Fault(Exception):
    """What is wrong in a line of a persona file, before the file is known by name."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(what)


class Part(NamedTuple):
    """One value of the front matter."""

    key: str
    node: yaml.Node
    line: int

    def fault(self, what: str) -> Fault:
        """Say what is wrong with this value."""
        return Fault(self.line, f"{self.key} {what}")

    def text(self) -> str:
        """Return the value as it was written, but for quotes; nothing for null."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.fault("must be one value; write `key: text`")
        value = cast("str", self.node.value)
        return "" if self.node.tag.endswith(":null") else value.strip()

    def items(self) -> list[Part]:
        """Return the values of a list; a value alone is a list of one."""
        nodes = cast("list[yaml.Node]", self.node.value) if isinstance(self.node, yaml.SequenceNode) else [self.node]
        return [Part(self.key, node, _line(node)) for node in nodes]

    def plain(self) -> Any:
        """Return the value as JSON would have it."""
        return _plain(self.node)


def read_front(text: str) -> tuple[dict[str, Part], str, int]:
    """Take a file apart: the values of its front matter, the rest, and the line the rest begins in. Raises Fault."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    _check_text(text)
    front, start = _split(text)
    return _parts(front), "\n".join(text.split("\n")[start - 1 :]), start


def _check_text(text: str) -> None:
    """Refuse what no program takes as an argument or a file: halves of surrogate pairs, and NUL."""
    if found := re.search("[\0\ud800-\udfff]", text):
        raise Fault(text.count("\n", 0, found.start()) + 1, f"{found[0]!r} is no text; take it out")


def _split(text: str) -> tuple[str, int]:
    """Return the front matter, its lines numbered as in the file, and the line in which the prompt begins."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return "", 1
    end = next((at for at, found in enumerate(lines[1:], 1) if found.rstrip() == "---"), None)
    if end is None:
        raise Fault(1, "the front matter is never closed; end it with a line of ---")
    front = "\n".join(["", *lines[1:end]])
    if len(front) > MAX_FRONT:
        raise Fault(1, f"the front matter is over {MAX_FRONT >> 10} KiB; the prompt goes below its second ---")
    return front, end + 2


def read_yaml(text: str) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    """Read a whole document of YAML: its values, and the line of each by its path. Raises Fault.

    Every value is a dict, a list, the text as it was written, or None for null: what a text means is the reader's.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    _check_text(text)
    node, lines = _composed(text), dict[tuple[str | int, ...], int]()
    return (None if node is None else _spelled(node, (), lines)), lines


def _spelled(node: yaml.Node, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> Any:
    lines.setdefault(path, _line(node))
    if node.tag.rpartition(":")[0] != "tag:yaml.org,2002":
        raise Fault(_line(node), f"the tag {node.tag[:40]!r} is not read; write the value alone, or quote it")
    if isinstance(node, yaml.MappingNode):
        lines.update({(*path, key.value): _line(key) for key, _ in _pairs(node)})
        return {cast("str", key.value): _spelled(value, (*path, key.value), lines) for key, value in _pairs(node)}
    if isinstance(node, yaml.SequenceNode):
        items = cast("list[yaml.Node]", node.value)
        return [_spelled(item, (*path, at), lines) for at, item in enumerate(items)]
    return None if node.tag.endswith(":null") else cast("str", node.value)


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses aliases, keys told twice, deep nesting, and text that would steer a terminal."""

    _depth = 0
    _values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = cast("yaml.NodeEvent", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        at = event.start_mark.line + 1 if event.start_mark else 1
        if event.anchor:
            raise Fault(at, "anchors and aliases are not read; write the value out, or quote text that begins so")
        if self._depth == MAX_DEPTH:
            raise Fault(at, f"nested more than {MAX_DEPTH} deep; write it flatter")
        if self._values == MAX_VALUES:
            raise Fault(at, f"there are more than {MAX_VALUES:,} values; write a document of that size as JSON")
        self._values += 1
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in _pairs(node):
            if not isinstance(key, yaml.ScalarNode):
                raise Fault(_line(key), "a key must be a word")
            if key.value in seen:
                raise Fault(_line(key), f"{key.value[:40]!r} is told twice; keep one")
            seen.add(key.value)
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\t\n" for char in node.value):
            raise Fault(_line(node), "there is a control character in it; take it out")
        return node


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise Fault(mark.line + 1 if mark else 1, f"no YAML: {said}; quote text that holds : # or brackets") from None
    except yaml.reader.ReaderError as error:
        raise Fault(text.count("\n", 0, error.position) + 1, "there is a character that YAML refuses") from None


def _parts(front: str) -> dict[str, Part]:
    node = _composed(front)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise Fault(_line(node), "the front matter must be lines of `key: value`")
    return {key.value: Part(key.value, value, _line(key)) for key, value in _pairs(node)}


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    return cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _plain(node: yaml.Node) -> Any:
    """Return a value as JSON would have it: text unless YAML says null, true, false or a number of a sane size."""
    if isinstance(node, yaml.MappingNode):
        return {cast("str", key.value): _plain(value) for key, value in _pairs(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in cast("list[yaml.Node]", node.value)]
    text, kind = cast("str", node.value), node.tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return BOOLEANS.get(text.lower(), text)
    if kind in {"int", "float"} and re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?", text, re.ASCII):
        return float(text) if "." in text else int(text)
    return text
