"""A patch merged with the branch as files: what fits is in, what conflicts is marked, and the rest is as on the branch.

The author of a patch that conflicts goes on from these files. Nothing that the patch may not do is in them, and no
file that cannot be merged by lines was decided by anybody: it stays as the branch has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .marks import MARK
from .merging import PatchMerge, Stage, besides
from .patch import GITLINK, SYMLINK, Change, Entry
from .refusal import refused, sensitive
from .scratch import Quarantine
from .tree import Applied, Tree

_LABELLED = re.compile(rb"^([<|>]{7,}) ([0-9a-f]{40,64})(?::[^\n\r]*)?(\r?)$", re.MULTILINE)
_NUMBER = {b"|": 1, b"<": 2, b">": 3}
_LINKS = {SYMLINK, GITLINK}
Labels = tuple[str, str, str]  # what stands behind the marks: of the base, of the branch, of the patch


@dataclass(frozen=True)
class ConflictFile:
    """One file in conflict: its entries in the common base, on the branch, in the patch; None where it is not there.

    `marked` tells that the conflicts are marked in it; else the branch's version is in its place. `marks` are the lines
    that mark them, which none of the three versions has.
    """

    path: bytes
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    marks: frozenset[bytes] = frozenset()

    @property
    def marked(self) -> bool:
        """Whether the conflicts are marked in the file."""
        return bool(self.marks)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The versions that exist."""
        return tuple(entry for entry in (self.base, self.ours, self.theirs) if entry)


@dataclass(frozen=True)
class ThreeWay:
    """The merge of a patch with the branch: what it changes there, and the files in conflict."""

    changes: tuple[Change, ...]
    files: tuple[ConflictFile, ...]


def three_way(quarantine: Quarantine, tree: Tree, each: Applied, merge: PatchMerge) -> ThreeWay:
    """Read a patch's merge with the tree of the branch as files.

    The marks bear the ids of commits; `labelled` puts words in their place.
    """
    beside = besides(merge.commits)
    staged = _staged(merge.stages or ())
    versions = {path: _true(stages, _own(each, tree, path)) for path, stages in staged.items()}
    renamed = {path for path, stages in staged.items() if versions[path] != stages}
    changes = merge.changes
    places = {change.path: versions.get(change.path) or _own(each, tree, change.path) for change in changes}
    looked = [
        change
        for change in changes
        if change.path not in renamed and (change.path in versions or quarantine.has_drivers)
    ]
    marks = _marks(quarantine, looked, places)
    settled = [change for change in changes if _takes(each, change, versions, marks) and not beside.search(change.path)]
    removed = tree.changed(change for change in settled if change.new is None)
    taken = [change for change in settled if change.new is None or removed.fits([change])]
    left = {change.path for change in changes if not beside.search(change.path)} - {change.path for change in taken}
    paths = sorted({*versions, *left, *marks})
    return ThreeWay(
        tuple(taken),
        tuple(_file(path, versions.get(path) or _own(each, tree, path), marks.get(path)) for path in paths),
    )


def labelled(quarantine: Quarantine, merge: ThreeWay, labels: Mapping[bytes, Labels]) -> ThreeWay:
    """Put words behind the marks in place of the ids of commits, file by file."""
    taken = {change.path: change.new for change in merge.changes if change.new}
    marked = {file.path: taken[file.path] for file in merge.files if file.marked}
    blobs = quarantine.blobs({entry.oid for entry in marked.values()})
    entries: dict[bytes, Entry] = {}
    files: list[ConflictFile] = []
    for file in merge.files:
        if not file.marked:
            files.append(file)
            continue
        words = labels[file.path]
        text = _relabelled(blobs[marked[file.path].oid], words)
        entries[file.path] = Entry(marked[file.path].mode, quarantine.write("blob", text))
        marks = frozenset(_relabelled(mark, words) for mark in file.marks)
        files.append(ConflictFile(file.path, file.base, file.ours, file.theirs, marks))
    changes = (Change(path, old, entries.get(path, new)) for path, old, new in merge.changes)
    return ThreeWay(tuple(changes), tuple(files))


def _relabelled(text: bytes, words: Labels) -> bytes:
    def label(match: re.Match[bytes]) -> bytes:
        return b"%s %s%s" % (match[1], words[_NUMBER[match[1][:1]] - 1].encode(errors="replace"), match[3])

    return _LABELLED.sub(label, text)


def _staged(stages: Iterable[Stage]) -> dict[bytes, dict[int, Entry]]:
    """Return the entries that git has for each file in conflict, by the number of their stage."""
    staged: dict[bytes, dict[int, Entry]] = {}
    for stage in stages:
        staged.setdefault(stage.path, {})[stage.number] = stage.entry
    return staged


def _true(stages: Mapping[int, Entry], own: Mapping[int, Entry]) -> dict[int, Entry]:
    """Return the versions of a file in conflict, which are those of its own sides where these have it.

    Of a file that a side renamed, git has merged the contents before, and its stages hold what came of that.
    """
    return {number: own.get(number, entry) for number, entry in stages.items()}


def _own(each: Applied, tree: Tree, path: bytes) -> dict[int, Entry]:
    """Return what base, branch and patch have at a path, by the numbers of the stages."""
    own = next((change for change in each.changes if change.path == path), None)
    sides = {1: each.base[path], 2: tree[path], 3: own.new if own else each.base[path]}
    return {number: entry for number, entry in sides.items() if entry}


def _marks(
    quarantine: Quarantine, changes: Sequence[Change], places: Mapping[bytes, Mapping[int, Entry]]
) -> dict[bytes, frozenset[bytes]]:
    """Return the marks in merged files that none of their versions has."""
    merged = {change.path: change.new for change in changes if change.new and change.new.mode not in _LINKS}
    entries = [entry for path in merged for entry in (*places[path].values(), merged[path])]
    blobs = quarantine.blobs({entry.oid for entry in entries if entry.mode not in _LINKS})
    rows = {oid: frozenset(MARK.findall(blob)) for oid, blob in blobs.items()}
    marks: dict[bytes, frozenset[bytes]] = {}
    for path, entry in merged.items():
        known = frozenset[bytes]().union(*(rows.get(version.oid, frozenset()) for version in places[path].values()))
        if fresh := rows[entry.oid] - known:
            marks[path] = fresh
    return marks


def _takes(each: Applied, change: Change, versions: Mapping[bytes, object], marks: Mapping[bytes, object]) -> bool:
    """Tell whether a change is for the author to go on from: nobody has to decide it, and the patch may make it."""
    if change.path in versions and change.path not in marks:
        return False
    if change.new is None and not any(own.path == change.path and own.new is None for own in each.changes):
        return False
    if refused(each.submission, [change], each.links):
        return False
    return each.submission.approved or not sensitive([change])


def _file(path: bytes, versions: Mapping[int, Entry], marks: frozenset[bytes] | None) -> ConflictFile:
    return ConflictFile(path, versions.get(1), versions.get(2), versions.get(3), marks or frozenset())
