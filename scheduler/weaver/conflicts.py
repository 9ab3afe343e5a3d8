"""Why a patch could not land: each hunk in which it conflicts with the branch, and who changed the branch there."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...personas.git import Git
from .commit import Author, changed_by, write_commit
from .landing import Branch
from .merging import merged
from .patch import GITLINK, SYMLINK, Entry, PatchSubmission, text
from .result import BINARY, GONE, Conflicted, ConflictHunk
from .scratch import Quarantine
from .three_way import ConflictFile, three_way
from .tree import Applied, Tree

_WIDE = 61  # a marker so long that no file has one
_LONGEST = 6_000  # characters of one side shown; a mail is read, not scrolled through
_MOST = 40  # places shown of one patch
_MOST_PROBED = 1_000  # places where the same lines stand
_PROBED = 8_000  # bytes in which git looks for a NUL to tell a binary file
_LINKS = {SYMLINK, GITLINK}
_FILE = "100644"
_NOBODY = PatchSubmission("merge", "weaver", "", b"", 0, "merge", "1970-01-01T00:00:00+00:00")
_Versions = tuple[str, str, str]  # ids of blobs: base, branch, patch


@dataclass(frozen=True)
class ConflictContext:
    """Where patches conflicted: the branch before and after the weave, and which patches conflict with each other."""

    start: str
    branch: Branch
    edges: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class _Parts:
    """A patch that conflicts, and its files in conflict; those that a mail has room for in `detailed`."""

    each: Applied
    files: Sequence[ConflictFile]

    @property
    def detailed(self) -> Sequence[ConflictFile]:
        return self.files[:_MOST]


def conflict(context: ConflictContext, left: Sequence[Applied]) -> tuple[Conflicted, ...]:
    """Return for each remaining patch where it conflicts with the branch as it is now."""
    tree, scratch = context.branch.tree, context.branch.quarantine
    merges = context.branch.merging.merge(tree, left)
    parts = [
        _Parts(each, _files(tree, each, three_way(scratch, tree, each, merge).files))
        for each, merge in zip(left, merges, strict=True)
    ]
    texts = Texts(scratch, [file for part in parts for file in part.detailed])
    authors = _authors(context, parts)
    return tuple(_conflicted(context, part, texts, authors[part.each.submission.key]) for part in parts)


def _files(tree: Tree, each: Applied, files: Sequence[ConflictFile]) -> Sequence[ConflictFile]:
    files = files or [ConflictFile(path, old, tree[path], new) for path, old, new in each.changes]
    return [file for file in files if file.ours or file.theirs] or files  # both sides renamed the others


def _conflicted(
    context: ConflictContext, part: _Parts, texts: Texts, authors: Mapping[str, tuple[Author, ...]]
) -> Conflicted:
    places = [place for file in part.detailed for place in texts.places(file)][:_MOST]
    named = {place.file for place in places}
    rest = [file for file in part.files if text(file.path) not in named]
    places += [ConflictHunk(text(file.path), "", "", marked=file.marked) for file in rest]
    shown = [
        replace(
            place,
            theirs=_short(place.theirs),
            yours=_short(place.yours),
            was=_short(place.was),
            landed_by=authors.get(place.file, ()),
        )
        for place in places
    ]
    signature = _signature(part.each.submission.persona, places)
    return Conflicted(part.each.submission, tuple(shown), context.branch.tip, signature)


def _signature(persona: str, places: Sequence[ConflictHunk]) -> str:
    digest = hashlib.sha256(persona.encode())
    for place in sorted((place.file, place.theirs, place.yours) for place in places):
        digest.update(repr(place).encode())
    return digest.hexdigest()[:32]


def _authors(context: ConflictContext, parts: Sequence[_Parts]) -> dict[str, dict[str, tuple[Author, ...]]]:
    """Return for each patch, by its key, who changed its files in conflict since its base, the last first."""
    files = {part.each.submission.key: [os.fsdecode(file.path) for file in part.detailed] for part in parts}
    bases = {part.each.submission.base for part in parts}
    git, names = context.branch.quarantine.git, sorted({name for names in files.values() for name in names})
    before = changed_by(git, bases, context.start, names)
    own: dict[str, list[Author]] = {}
    for landed in reversed(context.branch.landed):
        for file in landed.files:
            own.setdefault(file, []).append((landed.submission.persona, landed.commit, landed.submission.key))
    authors: dict[str, dict[str, tuple[Author, ...]]] = {}
    for part in parts:
        key = part.each.submission.key
        rivals = {name for edge in context.edges if key in edge[:2] for name in edge[:2]}
        by_file = {file: [author for author in row if author[2] in rivals] or [*row] for file, row in own.items()}
        wanted = {text(file.path) for file in part.detailed}
        for file, author in before[part.each.submission.base]:
            if file in wanted:
                by_file.setdefault(file, []).append(author)
        authors[key] = {file: tuple(row) for file, row in by_file.items()}
    return authors


class Texts:
    """The texts of files in conflict, all merged by one process of git, and all compared by another."""

    def __init__(self, quarantine: Quarantine, files: Iterable[ConflictFile]) -> None:
        self._quarantine = quarantine
        self._plain: dict[str, bool] = {}
        merges, pairs = dict[_Versions, None](), dict[tuple[str, str], None]()
        for file in files:
            if versions := self._versions(file):
                merges[versions] = None
            else:
                pairs |= dict.fromkeys(_pairs(file))
        self._merges = self._merge(list(merges))
        self._changes = self._compare(list(pairs))

    def places(self, conflict: ConflictFile) -> Iterator[ConflictHunk]:
        """Yield the conflicts in one file: hunk by hunk if all versions are text, else the file as a whole."""
        file, versions = text(conflict.path), self._versions(conflict)
        hunks = list(_hunks(self._blob(self._merges[versions]), self._blob(versions[1]))) if versions else []
        for line, here, before, there in hunks:
            yield ConflictHunk(file, here, there, (), line, before, conflict.marked)
        if not hunks:
            here, there = (self._side(conflict.base, side) for side in (conflict.ours, conflict.theirs))
            yield ConflictHunk(file, here, there, marked=conflict.marked)

    def _versions(self, file: ConflictFile) -> _Versions | None:
        """Return the versions of a file that can be merged by lines: base, branch, patch."""
        if not file.ours or not file.theirs or not all(map(self._is_plain, file.entries)):
            return None
        return (file.base.oid if file.base else self._quarantine.write("blob", b"")), file.ours.oid, file.theirs.oid

    def _is_plain(self, entry: Entry) -> bool:
        if entry.mode in _LINKS:
            return False
        if entry.oid not in self._plain:
            self._plain[entry.oid] = not _is_binary(self._blob(entry.oid))
        return self._plain[entry.oid]

    def _merge(self, versions: Sequence[_Versions]) -> dict[_Versions, str]:
        """Merge texts as files of one tree; return the blob of each merge, with marks that no text has."""
        if not versions:
            return {}
        base, *sides = (self._tree(oids) for oids in zip(*versions, strict=True))
        root = self._commit(base)
        ours, theirs = (self._commit(side, root) for side in sides)
        (merge,) = merged(self._git(), [(ours, theirs)])
        entries = self._quarantine.entries(merge.tree)
        return {each: entries[b"%d" % number].oid for number, each in enumerate(versions)}

    def _git(self) -> Git:
        return self._quarantine.apart(f"* conflict-marker-size={_WIDE}\n")

    def _tree(self, oids: Iterable[str]) -> str:
        return self._quarantine.write_folder({b"%d" % number: Entry(_FILE, oid) for number, oid in enumerate(oids)})

    def _commit(self, tree: str, *parents: str) -> str:
        return write_commit(self._quarantine.write, _NOBODY, tree, parents)

    def _compare(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Compare pairs of blobs; return the hunks of each, none for binary files."""
        if not pairs:
            return {}
        before, after = (self._tree(oids) for oids in zip(*pairs, strict=True))
        words = ("diff-tree", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", before, after)
        hunks = dict.fromkeys(pairs, "")
        for section in re.split(rb"^diff --git a/", self._git()(*words), flags=re.MULTILINE)[1:]:
            number = int(section[: section.index(b" ")])
            _, mark, rows = section.partition(b"\n@@")
            hunks[pairs[number]] = text((mark + rows)[1:])
        return hunks

    def _side(self, was: Entry | None, side: Entry | None) -> str:
        """Return what one side changed in a file that the other has deleted, else what it has there."""
        pair = (was.oid, side.oid) if was and side and _LINKS.isdisjoint({was.mode, side.mode}) else None
        if pair and pair not in self._changes:
            self._changes |= self._compare([pair])
        return (pair and self._changes[pair]) or self._whole(side)

    def _whole(self, entry: Entry | None) -> str:
        """Describe one side of a file that cannot be merged by lines."""
        if entry is None:
            return GONE
        if entry.mode in _LINKS:
            return "(a symbolic link)" if entry.mode == SYMLINK else "(a submodule)"
        blob = self._blob(entry.oid)
        return f"{BINARY}{entry.oid[:12]})" if _is_binary(blob) else f"(mode {entry.mode})\n{text(blob)}"

    def _blob(self, oid: str) -> bytes:
        return self._quarantine.blobs([oid])[oid]


def _pairs(file: ConflictFile) -> Iterator[tuple[str, str]]:
    """Yield the blobs to compare in a file that cannot be merged by lines."""
    for side in (file.ours, file.theirs):
        if file.base and side and _LINKS.isdisjoint({file.base.mode, side.mode}):
            yield file.base.oid, side.oid


def _is_binary(blob: bytes) -> bool:
    return b"\0" in blob[:_PROBED]


def _hunks(merge: bytes, theirs: bytes) -> Iterator[tuple[int, str, str, str]]:
    """Yield for each conflict in a merged text its line on their side, and all versions: theirs, both's, yours."""
    marks = {bytes([mark]) * _WIDE: place for place, mark in enumerate(b"<|=>")}
    line, place, hunk = 1, 3, [b"", b"", b""]
    for row in re.findall(rb"[^\n]*\n|[^\n]+", merge):
        if (mark := marks.get(row[:_WIDE])) is not None:
            place = mark
            if place == len(hunk):
                at = _nearest(theirs, hunk[0], line - hunk[0].count(b"\n"))
                yield at, text(hunk[0]), text(hunk[1]), text(hunk[2])
                hunk = [b"", b"", b""]
            continue
        line += place in {0, 3}
        if place < len(hunk):
            hunk[place] += row


def _nearest(whole: bytes, block: bytes, line: int) -> int:
    """Return the line at which a block of lines begins that is said to begin at one, where others may have added some.

    What merged without a conflict above it stands in the merge and not in the text itself.
    """
    if not block:
        return min(line, whole.count(b"\n") + 1)
    starts: list[int] = []
    padded, at, seen = b"\n" + whole, 0, 1
    while len(starts) < _MOST_PROBED and (place := padded.find(b"\n" + block, at)) >= 0:
        seen += padded.count(b"\n", at, place)
        starts.append(seen)
        at, seen = place + 1, seen + 1
    return min(starts, key=lambda start: abs(start - line), default=line)


def _short(side: str) -> str:
    if len(side) <= _LONGEST:
        return side
    cut = side[:_LONGEST].rpartition("\n")[0] or side[:_LONGEST]
    return f"{cut}\n(and {side.count(chr(10)) - cut.count(chr(10))} more lines)\n"
