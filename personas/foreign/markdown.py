"""Markdown with front matter, read as leniently as the tools that it was written for read it.

Many public files have a `description:` with a colon and no quotes, which is no YAML. What is not YAML is read key by
key: each value as YAML if it is that, else as the text that stands there. Every such reading is noted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

from ..frontmatter import MAX_FRONT, Fault, read_front, write_yaml
from .sheet import Note, plain

_KEY = re.compile(r"([A-Za-z][\w-]*)[ \t]*:(?=[ \t]|$)(.*)")
_FENCE = re.compile(r"`{3,}[\w-]*\s*")
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_BAR = re.compile(r"\s*[|>][+-]?\d?\s*")
_FREE = frozenset({"description", "goal", "backstory", "role"})  # keys whose text may go on in lines of any form
_LINK = re.compile(r"(\.{0,2}/)*[\w@.-]+(/[\w@. -]+)*\.(md|toml|ya?ml|prompt)")


class Front(NamedTuple):
    """The front matter of a file: values and their lines, what was read leniently, and the text below."""

    keys: dict[str, Any]
    lines: dict[str, int]
    notes: tuple[Note, ...]
    prompt: str
    start: int
    found: bool


def read_markdown(text: str, known: Collection[str]) -> Front:
    """Split a file into its keys and its prompt. `known` are the keys that end a description of several lines.

    Raises Fault, with the line, for a file of which nobody can tell where its front matter ends, or what a value is.
    """
    text, skipped = _uncovered(text)
    check_link(text)
    notes = [Note("front matter", 1, f"begins in line {skipped + 1}; what stands before is left out", lost=False)]
    try:
        parts, prompt, start = read_front(text)
        lines = {key: part.line + skipped for key, part in parts.items()}
        keys = {key: plain(part.plain(), lines[key]) for key, part in parts.items()}
        lenient: list[Note] = []
    except Fault as fault:
        front, prompt, start = _split(text, fault)
        keys, lines, lenient = _by_lines(front, known, skipped)
    return Front(
        keys, lines, (*(notes if skipped else ()), *lenient), prompt.strip("\n"), start + skipped, found=start > 1
    )


def check_link(text: str) -> None:
    """Refuse the text of a symbolic link that was stored as a file. Raises Fault."""
    if "/" in text and _LINK.fullmatch(text.strip()):
        raise Fault(1, f"is a symbolic link that was stored as text, to {text.strip()[:80]}; put that file here")


def _uncovered(text: str) -> tuple[str, int]:
    """Leave out empty lines, comments, and the fence of a code block, before the front matter; count the lines."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    rest, closing = text.lstrip(), ""
    while match := _COMMENT.match(rest):
        rest = rest[match.end() :].lstrip()
    if (match := _FENCE.match(rest)) and rest[match.end() :].startswith("---\n"):
        closing, rest = match[0].strip("\n").rstrip("abcdefghijklmnopqrstuvwxyz-"), rest[match.end() :]
    if not rest.startswith("---\n") or rest == text:
        return text, 0
    skipped = text[: len(text) - len(rest)].count("\n")
    body = rest.rstrip()
    return (body.removesuffix(closing).rstrip() + "\n" if closing else rest), skipped


def _split(text: str, fault: Fault) -> tuple[list[str], str, int]:
    """Find the front matter of a file that is no YAML. Raises the fault if that is why it cannot be read."""
    rows = text.split("\n")
    if rows[0].rstrip() != "---" or re.search("[\0\ud800-\udfff]", text):
        raise fault
    end = next((at for at, row in enumerate(rows[1:], 1) if row.rstrip() == "---"), None)
    if end is None or sum(map(len, rows[1:end])) > MAX_FRONT:
        raise fault
    return rows[1:end], "\n".join(rows[end + 1 :]), end + 2


def _by_lines(
    front: list[str], known: Collection[str], skipped: int
) -> tuple[dict[str, Any], dict[str, int], list[Note]]:
    """Read front matter key by key."""
    keys, lines, notes = dict[str, Any](), dict[str, int](), list[Note]()
    for key, at, rows in _chunks(front, known):
        line = at + 2 + skipped
        if key in keys:
            notes.append(Note(key, line, f"is given twice; the one in line {lines[key]} counts"))
            continue
        value, is_text = _value(key, rows, line)
        keys[key], lines[key] = plain(value, line), line
        if is_text:
            notes.append(
                Note(key, line, "is no YAML without quotes; it was read as the text that stands there", lost=False)
            )
    return keys, lines, notes


def _chunks(front: list[str], known: Collection[str]) -> list[tuple[str, int, list[str]]]:
    """Split front matter into keys, each with the number of its row and its rows.

    A text of several lines ends with the next known key alone: dialogues in examples have lines `user: …`, too.
    """
    chunks: list[tuple[str, int, list[str]]] = []
    for at, row in enumerate(front):
        match = _KEY.match(row)
        free = chunks and chunks[-1][0] in _FREE
        if match and (match[1] in known or not free):
            chunks.append((match[1], at, [row]))
        elif chunks:
            chunks[-1][2].append(row)
        elif row.strip() and not row.lstrip().startswith("#"):
            raise Fault(at + 2, f"{row.strip()[:40]!r} is no key; write `key: value`")
    return chunks


def _value(key: str, rows: list[str], line: int) -> tuple[Any, bool]:
    """Return the value of some rows, and whether they had to be read as text."""
    text = "\n".join(row.expandtabs(2) for row in rows)
    try:
        parts = read_front(f"---\n{text}\n---\n")[0]
        if [*parts] == [key]:
            return parts[key].plain(), False
    except Fault as fault:
        within = len(rows) > 1 and any(row.startswith((" ", "\t", "-")) for row in rows[1:])
        if key not in _FREE and (within or not str(fault).startswith("not YAML")):
            raise Fault(line + max(fault.line - 2, 0), str(fault)) from None
    first = cast("re.Match[str]", _KEY.match(rows[0]))[2].strip()
    if _BAR.fullmatch(first):
        first = ""
    whole = "\n".join([first, *(row.strip() for row in rows[1:])]).strip()
    if len(whole) > 1 and whole[0] == whole[-1] and whole[0] in "'\"":
        whole = whole[1:-1]
    return re.sub(r"\\n", "\n", whole), True


def write_markdown(keys: Mapping[str, Any], prompt: str) -> str:
    """Return a file with this front matter and this prompt."""
    return f"---\n{write_yaml(keys)}---\n\n{prompt.strip(chr(10))}\n"
