"""Why a patch could not land: each hunk in which it conflicts with the branch, and who changed the branch there."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .authors import Author, changed_by
from .conflict_graph import merged
from .landing import Branch, sides
from .patch import GITLINK, SYMLINK, Entry, text
from .result import BINARY, GONE, Conflicted, ConflictHunk
from .scratch import Quarantine
from .three_way import ConflictFile, three_way
from .tree import Applied

_WIDE = 61  # a marker so long that no file has one
_LONGEST = 6_000  # characters of one side shown; a mail is read, not scrolled through
_MOST = 40  # places shown of one patch
_PROBED = 8_000  # bytes in which git looks for a NUL to tell a binary file
_LINKS = {SYMLINK, GITLINK}


@dataclass(frozen=True)
class ConflictContext:
    """Where patches conflicted: the branch before and after the weave, and which patches conflict with each other."""

    quarantine: Quarantine
    start: str
    branch: Branch
    edges: tuple[tuple[str, str, tuple[str, ...]], ...]


def conflict(context: ConflictContext, left: Sequence[Applied]) -> tuple[Conflicted, ...]:
    """Return for each remaining patch where it conflicts with the branch as it is now."""
    commits = [sides(context.branch.tree, each) for each in left]
    merges = merged(context.quarantine.git, commits)
    tree, scratch = context.branch.tree, context.quarantine
    return tuple(
        _conflicted(context, each, three_way(scratch, tree, each, merge, pair).files)
        for each, merge, pair in zip(left, merges, commits, strict=True)
    )


def _conflicted(context: ConflictContext, each: Applied, files: Sequence[ConflictFile]) -> Conflicted:
    files = files or [ConflictFile(path, old, context.branch.tree[path], new) for path, old, new in each.changes]
    files = [file for file in files if file.ours or file.theirs] or files  # both sides renamed the others
    detailed = files[:_MOST]
    entries = [entry for file in detailed for entry in file.entries]
    blobs = context.quarantine.blobs({entry.oid for entry in entries if entry.mode not in _LINKS})
    places = [place for file in detailed for place in _places(context.quarantine, file, blobs)]
    places = places[:_MOST]
    named = {place.file for place in places}
    rest = [file for file in files if text(file.path) not in named]
    places += [ConflictHunk(text(file.path), "", "", marked=file.marked) for file in rest]
    authors = _authors(context, each, [os.fsdecode(file.path) for file in detailed])
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
    signature = _signature(each.submission.persona, places)
    return Conflicted(each.submission, tuple(shown), context.branch.tip, signature)


def _signature(persona: str, places: Sequence[ConflictHunk]) -> str:
    digest = hashlib.sha256(persona.encode())
    for place in sorted((place.file, place.theirs, place.yours) for place in places):
        digest.update(repr(place).encode())
    return digest.hexdigest()[:32]


def _places(quarantine: Quarantine, conflict: ConflictFile, blobs: Mapping[str, bytes]) -> Iterator[ConflictHunk]:
    """Yield the conflicts in one file: hunk by hunk if all versions are text, else the file as a whole."""
    file, was, theirs, yours = text(conflict.path), conflict.base, conflict.ours, conflict.theirs
    plain = all(entry.mode not in _LINKS and not _is_binary(blobs[entry.oid]) for entry in conflict.entries)
    if theirs and yours and plain:
        versions = (blobs[theirs.oid], blobs[was.oid] if was else b"", blobs[yours.oid])
        hunks = list(_hunks(quarantine, *versions))
        for line, here, before, there in hunks:
            yield ConflictHunk(file, here, there, (), line, before, conflict.marked)
        if hunks:
            return
    here, there = (_change(quarantine, was, side) or _whole(side, blobs) for side in (theirs, yours))
    yield ConflictHunk(file, here, there, marked=conflict.marked)


def _is_binary(blob: bytes) -> bool:
    return b"\0" in blob[:_PROBED]


def _change(quarantine: Quarantine, was: Entry | None, side: Entry | None) -> str:
    """Return what one side changed in a file that the other side has deleted."""
    if not was or not side or was.mode in _LINKS or side.mode in _LINKS:
        return ""
    words = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", was.oid, side.oid)
    _, mark, hunks = quarantine.git(*words).partition(b"\n@@")
    return text((mark + hunks)[1:])


def _whole(entry: Entry | None, blobs: Mapping[str, bytes]) -> str:
    """Describe one side of a file that cannot be merged by lines."""
    if entry is None:
        return GONE
    if entry.mode in _LINKS:
        return "(a symbolic link)" if entry.mode == SYMLINK else "(a submodule)"
    blob = blobs[entry.oid]
    return f"{BINARY}{entry.oid[:12]})" if _is_binary(blob) else f"(mode {entry.mode})\n{text(blob)}"


def _hunks(quarantine: Quarantine, theirs: bytes, was: bytes, yours: bytes) -> Iterator[tuple[int, str, str, str]]:
    """Merge three texts; yield for each conflict its line on their side and all three versions."""
    paths = [quarantine.folder / name for name in ("theirs", "was", "yours")]
    for path, side in zip(paths, (theirs, was, yours), strict=True):
        path.write_bytes(side)
    words = ("merge-file", "-p", "-q", "--diff3", f"--marker-size={_WIDE}")
    merge = quarantine.git.run(*words, *map(str, paths)).stdout
    marks = {bytes([mark]) * _WIDE: place for place, mark in enumerate(b"<|=>")}
    line, place, hunk = 1, 3, [b"", b"", b""]
    for row in re.findall(rb"[^\n]*\n|[^\n]+", merge):
        if (mark := marks.get(row[:_WIDE])) is not None:
            place = mark
            if place == len(hunk):
                yield line - hunk[0].count(b"\n"), text(hunk[0]), text(hunk[1]), text(hunk[2])
                hunk = [b"", b"", b""]
            continue
        line += place in {0, 3}
        if place < len(hunk):
            hunk[place] += row


def _authors(context: ConflictContext, each: Applied, files: Sequence[str]) -> dict[str, tuple[Author, ...]]:
    """Return who changed these files since the patch's base, the last first."""
    rivals = {key for edge in context.edges if each.submission.key in edge[:2] for key in edge[:2]}
    by_file: dict[str, list[Author]] = {}
    for landed in reversed(context.branch.landed):
        for file in landed.files:
            by_file.setdefault(file, []).append((landed.submission.persona, landed.commit, landed.submission.key))
    for file, authors in by_file.items():
        by_file[file] = [author for author in authors if author[2] in rivals] or authors
    for file, author in changed_by(context.quarantine.git, each.submission.base, context.start, files):
        by_file.setdefault(file, []).append(author)
    return {file: tuple(authors) for file, authors in by_file.items()}


def _short(side: str) -> str:
    if len(side) <= _LONGEST:
        return side
    cut = side[:_LONGEST].rpartition("\n")[0] or side[:_LONGEST]
    return f"{cut}\n(and {side.count(chr(10)) - cut.count(chr(10))} more lines)\n"
