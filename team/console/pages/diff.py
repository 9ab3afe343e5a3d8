"""A patch as its files and their lines, each with what it is: added, removed, a place, or about the file."""

from __future__ import annotations

from typing import NamedTuple

_FILE = "diff --git "
_IDS = "index "  # the line of blobs, which says nothing to people


class Line(NamedTuple):
    """A line of a patch; `kind` is add, del, at, meta, or empty for one that stays."""

    kind: str
    text: str


class FileDiff(NamedTuple):
    """What a patch does to one file."""

    name: str
    lines: tuple[Line, ...]

    @property
    def added(self) -> int:
        """How many lines are new."""
        return sum(line.kind == "add" for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines are gone."""
        return sum(line.kind == "del" for line in self.lines)


def files_of(patch: str) -> list[FileDiff]:
    """Split a patch of git into its files. What comes before the first of them is left out."""
    files: list[tuple[str, list[Line]]] = []
    within = False
    for text in patch.split("\n"):
        if text.startswith(_FILE):
            within = False
            files.append((text.removeprefix(_FILE).rpartition(" b/")[2], []))
        elif files and (within or not text.startswith(_IDS)):
            within = within or text.startswith("@@")
            files[-1][1].append(Line(_kind(text, within=within), text))
    return [FileDiff(name, tuple(_trimmed(lines))) for name, lines in files]


def _trimmed(lines: list[Line]) -> list[Line]:
    """Leave out the empty line after the last newline."""
    return lines[:-1] if lines and not lines[-1].text else lines


def _kind(text: str, *, within: bool) -> str:
    """Tell what a line is; before the first place of a file, all lines are about the file."""
    if not within:
        return "meta"
    return {"+": "add", "-": "del", "@": "at", "\\": "meta"}.get(text[:1], "")
