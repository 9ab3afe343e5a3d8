"""Why a patch could not land: each place where it and the branch want different things, and whose work stands there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .conflict_graph import Stage, merged
from .landing import Branch, sides
from .patch import GITLINK, SYMLINK, Entry, text
from .quarantine import Quarantine
from .tree import Applied
from .woven import BINARY, GONE, Clash, Conflicted

RUN_TRAILER = "Team-Mail-Run"
_WIDE = 61  # a marker so long that no file has one
_LONGEST = 6_000  # characters of one side shown; a mail is read, not scrolled through
_MOST = 40  # places shown of one patch
_PROBED = 8_000  # bytes in which git looks for a NUL to tell a binary file
_LINKS = {SYMLINK, GITLINK}
Author = tuple[str, str, str]


@dataclass(frozen=True)
class Scene:
    """Where patches clashed: the branch as it began and as it is now, and who stood in whose way."""

    quarantine: Quarantine
    start: str
    branch: Branch
    edges: tuple[tuple[str, str, tuple[str, ...]], ...]


def conflict(scene: Scene, left: Sequence[Applied]) -> tuple[Conflicted, ...]:
    """Say for each patch that is left where it clashes with the branch as it is now."""
    merges = merged(scene.quarantine.git, [sides(scene.branch.tree, each) for each in left])
    return tuple(_conflicted(scene, each, merge.stages or ()) for each, merge in zip(left, merges, strict=True))


def _conflicted(scene: Scene, each: Applied, stages: Sequence[Stage]) -> Conflicted:
    files: dict[bytes, dict[int, Entry]] = {}
    for stage in stages:
        files.setdefault(stage.path, {})[stage.number] = stage.entry
    places = [place for path, sides in files.items() for place in _places(scene.quarantine, path, sides)]
    if not places:
        places = [
            Clash(file, "(as the branch has it)", "(changes that cannot be merged into it)") for file in each.files
        ]
    digest = hashlib.sha256()
    for place in sorted(places, key=lambda place: (place.file, place.theirs, place.yours)):
        digest.update(repr((each.offer.persona, place.file, place.theirs, place.yours)).encode())
    authors = _authors(scene, each, [os.fsdecode(path) for path in files])
    shown = [
        Clash(p.file, _short(p.theirs), _short(p.yours), authors.get(p.file, ()), p.line, _short(p.was))
        for p in places[:_MOST]
    ]
    return Conflicted(each.offer, tuple(shown), scene.branch.tip, digest.hexdigest()[:32])


def _places(quarantine: Quarantine, path: bytes, entries: dict[int, Entry]) -> Iterator[Clash]:
    """Go through the places of one file: line by line where both sides are text, else as a whole."""
    file, (was, theirs, yours) = text(path), (entries.get(number) for number in (1, 2, 3))
    blobs = {entry.oid: _blob(quarantine, entry) for entry in entries.values()}
    if theirs and yours and all(blob is not None for blob in blobs.values()):
        found = list(_hunks(quarantine, *(blobs[e.oid] or b"" if e else b"" for e in (theirs, was, yours))))
        for line, here, before, there in found:
            yield Clash(file, here, there, (), line, before)
        if found:
            return
    here, there = (_change(quarantine, was, side) or _whole(side, blobs) for side in (theirs, yours))
    yield Clash(file, here, there)


def _change(quarantine: Quarantine, was: Entry | None, side: Entry | None) -> str:
    """Write what one side changed in a file that the other one has no more."""
    if not was or not side or was.mode in _LINKS or side.mode in _LINKS:
        return ""
    words = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", was.oid, side.oid)
    _, mark, hunks = quarantine.git(*words).partition(b"\n@@")
    return text((mark + hunks)[1:])


def _whole(entry: Entry | None, blobs: dict[str, bytes | None]) -> str:
    """Describe one side of a file that cannot be merged by lines."""
    if entry is None:
        return GONE
    if entry.mode in _LINKS:
        return "(a symbolic link)" if entry.mode == SYMLINK else "(a submodule)"
    blob = blobs[entry.oid]
    return f"{BINARY}{entry.oid[:12]})" if blob is None else f"(mode {entry.mode})\n{text(blob)}"


def _blob(quarantine: Quarantine, entry: Entry) -> bytes | None:
    """Read a file's text; None where it is none."""
    if entry.mode in _LINKS:
        return None
    blob = quarantine.git("cat-file", "blob", entry.oid)
    return None if b"\0" in blob[:_PROBED] else blob


def _hunks(quarantine: Quarantine, theirs: bytes, was: bytes, yours: bytes) -> Iterator[tuple[int, str, str, str]]:
    """Merge three texts; go through the conflicts: line on their side, and all three versions."""
    paths = [quarantine.folder / name for name in ("theirs", "was", "yours")]
    for path, side in zip(paths, (theirs, was, yours), strict=True):
        path.write_bytes(side)
    words = ("merge-file", "-p", "-q", "--diff3", f"--marker-size={_WIDE}")
    told = quarantine.git.run(*words, *map(str, paths)).stdout
    marks = {bytes([mark]) * _WIDE: place for place, mark in enumerate(b"<|=>")}
    line, place, hunk = 1, 3, [b"", b"", b""]
    for row in told.splitlines(keepends=True):
        if (mark := marks.get(row[:_WIDE])) is not None:
            place = mark
            if place == len(hunk):
                yield line - hunk[0].count(b"\n"), text(hunk[0]), text(hunk[1]), text(hunk[2])
                hunk = [b"", b"", b""]
            continue
        line += place in {0, 3}
        if place < len(hunk):
            hunk[place] += row


def _authors(scene: Scene, each: Applied, files: Sequence[str]) -> dict[str, tuple[Author, ...]]:
    """Find whose work stands in these files since the patch's base: the last ones first."""
    rivals = {key for edge in scene.edges if each.offer.key in edge[:2] for key in edge[:2]}
    found: dict[str, list[Author]] = {}
    for landed in reversed(scene.branch.landed):
        for file in landed.files:
            found.setdefault(file, []).append((landed.offer.persona, landed.commit, landed.offer.key))
    for file, authors in found.items():
        found[file] = [author for author in authors if author[2] in rivals] or authors
    if files and each.offer.base != scene.start:
        for file, author in _earlier(scene, each.offer.base, files):
            found.setdefault(file, []).append(author)
    return {file: tuple(authors) for file, authors in found.items()}


def _earlier(scene: Scene, base: str, files: Sequence[str]) -> Iterator[tuple[str, Author]]:
    """Read from the history who changed these files between the patch's base and the start of this weave."""
    mark = scene.start.encode() + b" "  # which no file's name can know beforehand
    told = f"--format=format:{scene.start} %H%x00%an%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)%x00"
    words = ("--literal-pathspecs", "log", "-z", "--name-only", "--no-renames", told, f"{base}..{scene.start}", "--")
    for commit in scene.quarantine.git(*words, *files).split(mark)[1:]:
        oid, persona, run, *names = commit.split(b"\0")
        for name in names:
            if file := text(name.removeprefix(b"\n")):
                yield file, (text(persona), oid.decode(), text(run))


def _short(side: str) -> str:
    if len(side) <= _LONGEST:
        return side
    cut = side[:_LONGEST].rpartition("\n")[0] or side[:_LONGEST]
    return f"{cut}\n(and {side.count(chr(10)) - cut.count(chr(10))} more lines)\n"
