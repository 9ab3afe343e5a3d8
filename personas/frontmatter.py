"""YAML, parsed with the line of each value: the front matter of a persona file, or a whole document; and written.

Values are taken from the nodes of the YAML, so text stays as it was written (`name: No` is a name), every fault has a
line, and nothing is created that is not written out in the file: no aliases, no objects, no dates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, cast

import yaml

MAX_FRONT = 16 << 10  # characters; YAML in Python is slow
MAX_DEPTH = 16
MAX_VALUES = 100_000  # in one document; parsing them takes two seconds
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_RULE = re.compile(r"[-\u2010-\u2015\u2212]{2,}|[\u2014\u2015]|\+{3}|={3,}|---(#.*|ya?ml)")  # `---`, or meant as it
_CODE = re.compile(r"(```|~~~)\w*")
_ENTRY = re.compile(r"\s|-\s|#|[\"']?[\w-]+[\"']?\s*[:=]")
_PLACE = "between two lines of ---, of which the first is line 1 of the file"


class Fault(Exception):
    """What is wrong with a line of YAML; the caller adds the name of the file."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(what)


class Part(NamedTuple):
    """One value of the front matter."""

    key: str
    node: yaml.Node
    line: int

    def fault(self, what: str) -> Fault:
        """Return a Fault about this value; `what` follows its key."""
        return Fault(self.line, f"{self.key} {what}")

    def text(self) -> str:
        """Return the value as it was written, without quotes; an empty string for null."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.fault("must be a single value; write `key: text`")
        value = cast("str", self.node.value)
        return "" if self.node.tag.endswith(":null") else value.strip()

    def items(self) -> list[Part]:
        """Return the items of a list; a single value counts as a list of one."""
        nodes = cast("list[yaml.Node]", self.node.value) if isinstance(self.node, yaml.SequenceNode) else [self.node]
        return [Part(self.key, node, _line(node)) for node in nodes]

    def plain(self) -> Any:
        """Return the value as a JSON value."""
        return _plain(self.node)

    def parts(self) -> dict[str, Part]:
        """Return the values of a mapping. Raises Fault for anything else."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fault("must have lines `key: value` below it")
        return {key.value: Part(key.value, value, _line(key)) for key, value in _pairs(self.node)}


def read_front(text: str, keys: Collection[str] = ()) -> tuple[dict[str, Part], str, int]:
    """Split a file into the values of its front matter, the text below it, and that text's first line.

    Raises Fault, also for what looks like front matter, because it has one of the `keys`, and is not read as such.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    _check_text(text)
    front, start = _split(text)
    if start == 1 and keys:
        _check_misplaced(text.split("\n"), keys)
    return _parts(front), "\n".join(text.split("\n")[start - 1 :]), start


def _check_text(text: str) -> None:
    """Refuse NUL and lone surrogates, which can be neither an argument nor a file's text."""
    if match := re.search("[\0\ud800-\udfff]", text):
        raise Fault(text.count("\n", 0, match.start()) + 1, f"{match[0]!r} is not text; remove it")


def _split(text: str) -> tuple[str, int]:
    """Return the front matter, with its lines numbered as in the file, and the line where the prompt starts."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return "", 1
    end = next((at for at, row in enumerate(lines[1:], 1) if row.rstrip() == "---"), None)
    if end is None:
        raise Fault(1, "the front matter is not closed; end it with a line of ---")
    front = "\n".join(["", *lines[1:end], ""])
    if len(front) > MAX_FRONT:
        raise Fault(1, f"the front matter is over {MAX_FRONT >> 10} KiB; put the prompt below the second ---")
    return front, end + 2


def _check_misplaced(rows: list[str], keys: Collection[str]) -> None:
    """Refuse front matter that does not begin in the first line, or not with `---`: its limits would not be in force.

    An example in a code block is none, unless the file begins with it.
    """
    key = re.compile(rf"\s*[\"']?({'|'.join(keys)})[\"']?\s*[:=]")
    code = prose = False
    for at, row in enumerate(rows):
        bare = _INVISIBLE.sub("", row)
        fence, rule = bool(_CODE.fullmatch(bare)), bool(_RULE.fullmatch(bare))
        if ((fence and not prose) or (rule and not (code and prose))) and _has_key(rows[at + 1 :], key):
            raise Fault(at + 1, f"this looks like front matter, which is read only {_PLACE}")
        if not (code or prose) and _has_key(rows[at:], key) and _is_closed(rows[at:]):
            raise Fault(at + 1, f"this looks like front matter without its first ---, and is read only {_PLACE}")
        code ^= fence
        prose = prose or not (fence or rule or not bare or bare.startswith(("#", "<!--")))


def _has_key(rows: list[str], key: re.Pattern[str]) -> bool:
    """Tell whether one of these keys is in the lines up to the first that cannot be front matter."""
    for row in rows:
        if key.match(row):
            return True
        if row.strip() and not _ENTRY.match(row):
            return False
    return False


def _is_closed(rows: list[str]) -> bool:
    """Tell whether lines as of front matter go on up to a line of `---`."""
    last = next((row for row in rows if row.rstrip() == "---" or (row.strip() and not _ENTRY.match(row))), "")
    return last.rstrip() == "---"


def read_yaml(text: str) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    """Parse a whole YAML document; return its values, and the line of each by its path. Raises Fault.

    Every value is a dict, a list, text as it was written, or None for null: the caller converts the texts.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    _check_text(text)
    node, lines = _composed(text), dict[tuple[str | int, ...], int]()
    return (None if node is None else _spelled(node, (), lines)), lines


def read_parts(text: str) -> dict[str, Part]:
    """Parse a whole document that consists of lines `key: value`. Raises Fault."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    _check_text(text)
    return _parts(text)


def _spelled(node: yaml.Node, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> Any:
    lines.setdefault(path, _line(node))
    if node.tag.rpartition(":")[0] != "tag:yaml.org,2002":
        raise Fault(_line(node), f"the tag {node.tag[:40]!r} is not supported; write the value without it, or quote it")
    if isinstance(node, yaml.MappingNode):
        lines.update({(*path, key.value): _line(key) for key, _ in _pairs(node)})
        return {cast("str", key.value): _spelled(value, (*path, key.value), lines) for key, value in _pairs(node)}
    if isinstance(node, yaml.SequenceNode):
        items = cast("list[yaml.Node]", node.value)
        return [_spelled(item, (*path, at), lines) for at, item in enumerate(items)]
    return None if node.tag.endswith(":null") else cast("str", node.value)


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses aliases, duplicate keys, deep nesting and control characters."""

    _depth = 0
    _values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = cast("yaml.NodeEvent", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        at = event.start_mark.line + 1 if event.start_mark else 1
        if event.anchor:
            raise Fault(at, "anchors and aliases are not supported; write the value out, or quote it")
        if self._depth == MAX_DEPTH:
            raise Fault(at, f"nested more than {MAX_DEPTH} levels deep; flatten it")
        if self._values == MAX_VALUES:
            raise Fault(at, f"there are more than {MAX_VALUES:,} values; write a document of this size as JSON")
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
                raise Fault(_line(key), "a key must be a single value")
            if key.value in seen:
                raise Fault(_line(key), f"{key.value[:40]!r} is given twice; keep one")
            seen.add(key.value)
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\t\n" for char in node.value):
            raise Fault(_line(node), "the value has a control character; remove it")
        return node


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        at = min(mark.line, text.rstrip("\n").count("\n")) + 1 if mark else 1  # not behind the last line
        raise Fault(at, f"not YAML: {problem}; quote text with : # or brackets") from None
    except yaml.reader.ReaderError as error:
        raise Fault(
            text.count("\n", 0, error.position) + 1, "there is a character that YAML does not allow; remove it"
        ) from None


def _parts(front: str) -> dict[str, Part]:
    node = _composed(front)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise Fault(_line(node), "the front matter must consist of lines `key: value`")
    return {key.value: Part(key.value, value, _line(key)) for key, value in _pairs(node)}


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    return cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _plain(node: yaml.Node) -> Any:
    """Return a value as JSON: text, unless YAML reads it as null, a boolean or a number of reasonable size."""
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


def number(value: float) -> str:
    """Return a number without an exponent, where that is short."""
    return str(value) if isinstance(value, int) or "e" not in repr(value) else re.sub(r"\.?0+$", "", f"{value:.15f}")


class _Dumper(yaml.SafeDumper):
    """Writes YAML as people do: no aliases, numbers without exponents, long texts as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    block = "\n" in value and not re.search(r"[ \t]\n|^\s|[^\n -~\u00a0-\ud7ff]", value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "|" if block else None)  # pyright: ignore[reportUnknownMemberType]


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", number(value))  # pyright: ignore[reportUnknownMemberType]


_add = cast("Callable[[type, Callable[[Any, Any], yaml.Node]], None]", _Dumper.add_representer)  # pyright: ignore[reportUnknownMemberType]
_add(str, _text)
_add(float, _number)


def write_yaml(keys: Mapping[str, Any]) -> str:
    """Return YAML that is read again as these values; empty for none."""
    if not keys:
        return ""
    return yaml.dump(dict(keys), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118)
