"""Where open runs meet: the conflicts of the weaver's graph, in the lines of the one that is to be told of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..weaver.commit import changed_by
from ..weaver.conflict_graph import ConflictGraph
from ..weaver.conflicts import Texts
from ..weaver.merging import Merge, PatchMerge
from ..weaver.patch import Entry, text
from ..weaver.result import ConflictHunk
from ..weaver.scratch import Quarantine
from ..weaver.three_way import ConflictFile
from ..weaver.tree import Applied, Tree
from .places import Hunk, Span, in_base

_BESIDE = re.compile(rb"~[0-9a-f]{40,64}(_\d+)?$")  # git put a file beside one in its way
_MOST_FILES = 5  # of two runs that are looked at more closely
_FIRST, _SECOND = 2, 3  # stages
Hunks = Mapping[str, Mapping[bytes, Sequence[Hunk]]]  # of runs, by file


class _Rival(NamedTuple):
    """Whom a run meets: a run and its persona, or who changed what has landed, at the commit `tip`."""

    run: str
    who: str
    tip: str = ""


class Versions(NamedTuple):
    """The ids of three contents of a file: the run's own, that of its base, and the one that it meets."""

    own: str
    base: str
    theirs: str


@dataclass(frozen=True)
class Meeting:
    """A file in which a run meets a `rival`, another run, or something that has `landed`; `who` did that.

    `spans` are the lines in conflict as the file is in the run's workspace, `lines` the same as it is in the run's
    base; none for the file as a whole. `theirs` is what stands there on the other side, and `tip` the commit that
    landed. `versions` are there if the file can be merged by lines.
    """

    run: str
    rival: str
    who: str
    landed: bool
    file: str
    spans: tuple[Span, ...]
    lines: tuple[Span, ...]
    theirs: tuple[str, ...]
    tip: str = ""
    versions: Versions | None = field(default=None, compare=False, repr=False)


class _Met(NamedTuple):
    """A file in which a run meets a rival: its versions in the base, in the run, and with the rival."""

    each: Applied
    file: ConflictFile
    rival: _Rival


class Meetings:
    """Finds meetings in a graph of conflicts; what it finds out about those in one graph it knows for the next one."""

    def __init__(self, scratch: Quarantine) -> None:
        self._scratch = scratch
        self._authors: dict[tuple[str, str, bytes], _Rival] = {}  # by base, tip, and file
        self._known: dict[ConflictFile, tuple[ConflictHunk, ...]] = {}

    def of(
        self, graph: ConflictGraph, applied: Sequence[Applied], tree: Tree, tip: str, hunks: Hunks
    ) -> Iterator[Meeting]:
        """Yield the meetings of each run; `tree` is what has landed, at the commit `tip`. Raises GitError."""
        met = [*_between(graph, applied), *self._late(graph, applied, tree, tip)]
        files = dict.fromkeys(each.file for each in met)
        fresh = [file for file in files if file not in self._known]
        texts = Texts(self._scratch, fresh)
        known = self._known | {file: tuple(texts.places(file)) for file in fresh}
        self._known = {file: known[file] for file in files}
        for each in met:
            yield _meeting(each, known[each.file], hunks)

    def _late(self, graph: ConflictGraph, applied: Sequence[Applied], tree: Tree, tip: str) -> Iterator[_Met]:
        """Yield the files in which runs meet what has landed."""
        late = [(applied[number], path) for number, merge in sorted(graph.late.items()) for path in _staged(merge)]
        self._ask(tip, [(each.submission.base, path) for each, path in late])
        for each, path in late:
            yield _met(each, path, tree[path], self._authors[each.submission.base, tip, path])

    def _ask(self, tip: str, asked: Sequence[tuple[str, bytes]]) -> None:
        """Ask of git who changed files last, each between a base and the tip, and forget what was asked before."""
        known = {(base, path): self._authors.get((base, tip, path)) for base, path in asked}
        fresh = [key for key, rival in known.items() if rival is None]
        names = sorted({os.fsdecode(path) for _, path in fresh})
        rows = changed_by(self._scratch.git, {base for base, _ in fresh}, tip, names) if fresh else {}
        authors = {base: dict(reversed(row)) for base, row in rows.items()}  # the first of a row was the last to do it
        for base, path in fresh:
            who, _, run = authors[base].get(text(path), ("somebody", "", ""))
            known[base, path] = _Rival(run, who, tip)
        self._authors = {(base, tip, path): rival for (base, path), rival in known.items() if rival}


def _between(graph: ConflictGraph, applied: Sequence[Applied]) -> Iterator[_Met]:
    """Yield the files in which runs meet each other, for both of them."""
    for (first, second), merge in sorted(graph.pairs.items()):
        ours, theirs = applied[first], applied[second]
        for path, stages in _staged(merge).items():
            yield _met(ours, path, stages.get(_SECOND), _rival(theirs))
            yield _met(theirs, path, stages.get(_FIRST), _rival(ours))


def _met(each: Applied, path: bytes, theirs: Entry | None, rival: _Rival) -> _Met:
    base = each.base[path]
    own = next((change.new for change in each.changes if change.path == path), base)
    return _Met(each, ConflictFile(path, base, own, theirs), rival)


def _meeting(met: _Met, places: Sequence[ConflictHunk], hunks: Hunks) -> Meeting:
    (each, file, rival), versions = met, None
    spans = tuple(_span(place) for place in places if place.line)
    if spans and file.ours and file.base and file.theirs:
        versions = Versions(file.ours.oid, file.base.oid, file.theirs.oid)
    own_hunks = hunks.get(each.submission.key, {}).get(file.path, ())
    lines = tuple(in_base(span, own_hunks) for span in spans)
    texts = tuple(place.yours for place in places)
    return Meeting(
        each.submission.key,
        rival.run,
        rival.who,
        bool(rival.tip),
        text(file.path),
        spans,
        lines,
        texts,
        rival.tip,
        versions,
    )


def _staged(merge: Merge | PatchMerge) -> dict[bytes, dict[int, Entry]]:
    """Return the first files in conflict with the entries that git has for them, by the number of their stage."""
    staged: dict[bytes, dict[int, Entry]] = {}
    for stage in merge.stages or ():
        staged.setdefault(_BESIDE.sub(b"", stage.path), {})[stage.number] = stage.entry
    return dict([*staged.items()][:_MOST_FILES])


def _rival(each: Applied) -> _Rival:
    return _Rival(each.submission.key, each.submission.persona)


def _span(place: ConflictHunk) -> Span:
    """Return the lines of a conflict on the side whose lines it counts."""
    return place.line, place.line + max(0, place.theirs.count("\n") - 1)
