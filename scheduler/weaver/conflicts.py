"""Why a patch could not land: each hunk in which it conflicts with the branch, and who changed the branch there."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .conflict_graph import Stage, merged
from .landing import Branch, sides
from .patch import GITLINK, SYMLINK, Change, Entry, text
from .result import BINARY, GONE, Conflicted, ConflictHunk
from .scratch import Quarantine
from .tree import Applied, Tree

RUN_TRAILER = "Team-Mail-Run"
_WIDE = 61  # a marker so long that no file has one
_LONGEST = 6_000  # characters of one side shown; a mail is read, not scrolled through
_MOST = 40  # places shown of one patch
_PROBED = 8_000  # bytes in which git looks for a NUL to tell a binary file
_LINKS = {SYMLINK, GITLINK}
Author = tuple[str, str, str]


@dataclass(frozen=True)
class ConflictContext:
    """Where patches conflicted: the branch before and after the weave, and which patches conflict with each other."""

    quarantine: Quarantine
    start: str
    branch: Branch
    edges: tuple[tuple[str, str, tuple[str, ...]], ...]


def conflict(context: ConflictContext, left: Sequence[Applied]) -> tuple[Conflicted, ...]:
    """Return for each remaining patch where it conflicts with the branch as it is now."""
    merges = merged(context.quarantine.git, [sides(context.branch.tree, each) for each in left])
    return tuple(_conflicted(context, each, merge.stages or ()) for each, merge in zip(left, merges, strict=True))


def _conflicted(context: ConflictContext, each: Applied, stages: Sequence[Stage]) -> Conflicted:
    files = _sides(context.branch.tree, each, stages)
    apart = {change.path for change in each.changes if not _takes(context.branch.tree, change)}
    own = {change.path for change in each.changes}
    detailed = dict(list(files.items())[:_MOST])
    entries = [entry for sides in detailed.values() for entry in sides.values()]
    blobs = context.quarantine.blobs({entry.oid for entry in entries if entry.mode not in _LINKS})
    places = [
        (path, place) for path, sides in detailed.items() for place in _places(context.quarantine, path, sides, blobs)
    ]
    places = places[:_MOST] + [(path, ConflictHunk(text(path), "", "")) for path in files if path not in detailed]
    authors = _authors(context, each, [os.fsdecode(path) for path in detailed])
    shown = [
        replace(
            place,
            theirs=_short(place.theirs),
            yours=_short(place.yours),
            was=_short(place.was),
            landed_by=authors.get(place.file, ()),
            apart=path in apart or path not in own,
        )
        for path, place in places
    ]
    signature = _signature(each.submission.persona, [place for _, place in places])
    return Conflicted(each.submission, tuple(shown), context.branch.tip, signature)


def _sides(tree: Tree, each: Applied, stages: Sequence[Stage]) -> dict[bytes, dict[int, Entry]]:
    """Return the versions of each file in conflict, and of each that only `git apply` cannot bring to the branch."""
    files: dict[bytes, dict[int, Entry]] = {}
    for stage in stages:
        files.setdefault(stage.path, {})[stage.number] = stage.entry
    unnamed = not files
    for change in each.changes:
        if change.path not in files and (unnamed or not _takes(tree, change)):
            sides = {1: change.old, 2: tree[change.path], 3: change.new}
            files[change.path] = {number: entry for number, entry in sides.items() if entry}
    return files


def _takes(tree: Tree, change: Change) -> bool:
    """Tell whether `git apply --3way` takes a change, marking what conflicts, or refuses the whole patch for it."""
    now = tree[change.path]
    if change.old is None:
        return now is not None or tree.fits([change])
    return now is not None and (change.new is not None or now == change.old)


def _signature(persona: str, places: Sequence[ConflictHunk]) -> str:
    digest = hashlib.sha256(persona.encode())
    for place in sorted((place.file, place.theirs, place.yours) for place in places):
        digest.update(repr(place).encode())
    return digest.hexdigest()[:32]


def _places(
    quarantine: Quarantine, path: bytes, entries: Mapping[int, Entry], blobs: Mapping[str, bytes]
) -> Iterator[ConflictHunk]:
    """Yield the conflicts in one file: hunk by hunk if all versions are text, else the file as a whole."""
    file, (was, theirs, yours) = text(path), (entries.get(number) for number in (1, 2, 3))
    plain = all(entry.mode not in _LINKS and not _is_binary(blobs[entry.oid]) for entry in entries.values())
    if theirs and yours and plain:
        sides = (blobs[theirs.oid], blobs[was.oid] if was else b"", blobs[yours.oid])
        hunks = list(_hunks(quarantine, *sides))
        for line, here, before, there in hunks:
            yield ConflictHunk(file, here, there, (), line, before)
        if hunks:
            return
    here, there = (_change(quarantine, was, side) or _whole(side, blobs) for side in (theirs, yours))
    yield ConflictHunk(file, here, there)


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
    if files and each.submission.base != context.start:
        for file, author in _earlier(context, each.submission.base, files):
            by_file.setdefault(file, []).append(author)
    return {file: tuple(authors) for file, authors in by_file.items()}


def _earlier(context: ConflictContext, base: str, files: Sequence[str]) -> Iterator[tuple[str, Author]]:
    """Read from the history who changed these files between the patch's base and the start of this weave."""
    mark = context.start.encode() + b" "  # which no file's name can know beforehand
    layout = f"--format=format:{context.start} %H%x00%an%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)%x00"
    words = (
        "--literal-pathspecs",
        "log",
        "-z",
        "--name-only",
        "--no-renames",
        layout,
        f"{base}..{context.start}",
        "--",
    )
    for commit in context.quarantine.git(*words, *files).split(mark)[1:]:
        oid, persona, run, *names = commit.split(b"\0")
        for name in names:
            if file := text(name.removeprefix(b"\n")):
                yield file, (text(persona), oid.decode(), text(run))


def _short(side: str) -> str:
    if len(side) <= _LONGEST:
        return side
    cut = side[:_LONGEST].rpartition("\n")[0] or side[:_LONGEST]
    return f"{cut}\n(and {side.count(chr(10)) - cut.count(chr(10))} more lines)\n"
