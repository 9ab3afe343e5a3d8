"""The places that a run has changed so far: lines of files, as git's diff has them, and as people read them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ...mail.log.disk import read_file, replacing
from ...mail.render import line
from ...mail.text.units import and_more
from ...personas.git import Git
from ..weaver.patch import Change, text

_FILE = "places.json"  # in a run's folder
_VERSION = 1
_MOST_FILES, _MOST_SPANS = 20, 10  # that are written down
_SHOWN_FILES, _SHOWN_SPANS = 2, 3
_DIFF = ("-r", "-p", "-U0", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv")
_TIME = 10.0  # seconds
_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
Span = tuple[int, int]  # the first and the last line


class Hunk(NamedTuple):
    """Lines of a file before and after a change: where they begin, and how many they are."""

    old: int
    old_count: int
    new: int
    new_count: int


class FilePlaces(NamedTuple):
    """A file that a run has changed, and in which lines as the file is now; none if it is gone, or not text."""

    file: str
    spans: tuple[Span, ...]


class Places(NamedTuple):
    """What a run has changed so far: the first files, and how many more there are."""

    files: tuple[FilePlaces, ...] = ()
    more: int = 0

    def document(self) -> list[dict[str, Any]]:
        """Return it as JSON has it."""
        return [{"file": file, "lines": [[*span] for span in spans]} for file, spans in self.files]

    @property
    def shown(self) -> str:
        """Return it in a few words for people, escaped: `kiosk/cart.py:20-31, 40`."""
        words = ", ".join(map(_shown, self.files[:_SHOWN_FILES]))
        hidden = len(self.files) - _SHOWN_FILES + self.more
        return f"{words} {and_more(hidden)}" if hidden > 0 else words


NOWHERE = Places()


def _shown(places: FilePlaces) -> str:
    file, spans = places
    words = ", ".join(map(span_text, spans[:_SHOWN_SPANS]))
    more = f" {and_more(len(spans) - _SHOWN_SPANS)}" if len(spans) > _SHOWN_SPANS else ""
    return f"{line(file)}:{words}{more}" if words else line(file)


def span_text(span: Span) -> str:
    """Return lines as people write them: `20-31`, or `40`."""
    first, last = span
    return f"{first}-{last}" if last > first else f"{first}"


def places_of(changes: Sequence[Change], hunks: Mapping[bytes, Sequence[Hunk]]) -> Places:
    """Return the places of a run's changes, by the hunks of each file."""
    files = tuple(
        FilePlaces(text(change.path), tuple(_span(hunk) for hunk in hunks.get(change.path, ())[:_MOST_SPANS]))
        for change in changes[:_MOST_FILES]
    )
    return Places(files, len(changes) - len(files))


def _span(hunk: Hunk) -> Span:
    first = max(1, hunk.new)
    return first, max(first, hunk.new + hunk.new_count - 1)


def unread(changes: Iterable[Change], known: Collection[Change]) -> list[Change]:
    """Return the changes whose hunks have to be read, if those of the `known` ones have been.

    A file that stands in the place of a folder, or the other way round, is read again with what has changed there:
    neither of them can be changed without the other.
    """
    changes = [*changes]
    fresh = {change.path for change in changes if change not in known}
    around = {folder for path in fresh for folder in _above(path)}
    return [
        change
        for change in changes
        if change.path in fresh or change.path in around or not fresh.isdisjoint(_above(change.path))
    ]


def _above(path: bytes) -> Iterator[bytes]:
    """Yield the folders that contain a path, but for the top."""
    while path := path.rpartition(b"/")[0]:
        yield path


def read_hunks(git: Git, runs: Sequence[tuple[str, str, Sequence[Change]]]) -> list[dict[bytes, tuple[Hunk, ...]]]:
    """Read the hunks of several runs, each with the trees before and after, and its changes, in one process.

    Those of a run are by file; of what is no text there are none. Raises GitError.
    """
    asked = [run for run in runs if run[0] != run[1]]
    if not asked:
        return [{} for _ in runs]
    words = ("diff-tree", "--stdin", *_DIFF)
    rows = "".join(f"{before} {after}\n" for before, after, _ in asked).encode()
    output = git.output(words, git.run(*words, stdin=rows, timeout=_TIME))
    parts = iter(_split(output, [f"{before} {after}".encode() for before, after, _ in asked]))
    return [_by_file(next(parts), run[2]) if run[0] != run[1] else {} for run in runs]


def _split(output: bytes, heads: Sequence[bytes]) -> list[list[bytes]]:
    """Split the output into the rows of each pair of trees, in the order in which they were asked for."""
    parts: list[list[bytes]] = [[] for _ in heads]
    at = -1
    for row in output.split(b"\n"):
        if at + 1 < len(heads) and row == heads[at + 1]:  # a row of a file begins with a sign, and so is none of these
            at += 1
        elif at >= 0:
            parts[at].append(row)
    return parts


def _by_file(rows: Iterable[bytes], changes: Sequence[Change]) -> dict[bytes, tuple[Hunk, ...]]:
    """Give the hunks to the files, which git prints in the order of their paths; twice if their type has changed."""
    paths = [change.path for change in sorted(changes) for _ in range(2 if _is_retyped(change) else 1)]
    hunks: dict[bytes, tuple[Hunk, ...]] = {}
    at = -1
    for row in rows:
        if row.startswith(b"diff --git "):
            at += 1
        elif 0 <= at < len(paths) and (match := _HUNK.match(row)):
            numbers = [1 if group is None else int(group) for group in match.groups()]
            hunks[paths[at]] = (*hunks.get(paths[at], ()), Hunk(*numbers))
    return hunks


def _is_retyped(change: Change) -> bool:
    old, new = change.old, change.new
    return old is not None and new is not None and old.mode[:2] != new.mode[:2]


def in_base(span: Span, hunks: Sequence[Hunk]) -> Span:
    """Return which lines of the base the lines of a changed file come from, those between which they stand at least."""
    return _old_line(span[0], hunks, last=False), _old_line(span[1], hunks, last=True)


def _old_line(new: int, hunks: Sequence[Hunk], *, last: bool) -> int:
    moved = 0
    for hunk in hunks:
        if new < hunk.new + (hunk.new_count == 0):
            break
        if new < hunk.new + hunk.new_count:
            return max(1, hunk.old + (max(0, hunk.old_count - 1) if last else 0))
        moved = (hunk.old + hunk.old_count) - (hunk.new + hunk.new_count)
        moved += (hunk.old_count == 0) - (hunk.new_count == 0)
    return max(1, new + moved)


def write_places(folder: Path, places: Places) -> None:
    """Write down where a run is, for `scheduler status`; `folder` is the run's. Raises OSError."""
    with replacing(folder / _FILE, durable=False) as scratch:
        scratch.write_text(json.dumps({"v": _VERSION, "files": places.document(), "more": places.more}))


def read_places(folder: Path) -> Places:
    """Return what was last written down of where a run is; nothing if that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data: Any = json.loads(read_file(folder / _FILE))
        if data["v"] == _VERSION:
            files = [
                FilePlaces(str(each["file"]), tuple((int(first), int(last)) for first, last in each["lines"]))
                for each in data["files"]
            ]
            return Places(tuple(files), int(data["more"]))
    return NOWHERE
