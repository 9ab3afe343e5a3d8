"""The commit object of a patch: its author is the persona, its trailers name the run and the event in the log.

And what such commits tell: who changed a file between two of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...personas.git import Git
from .patch import PatchSubmission, text

WEAVER = "weaver"
_ODD = 100  # files whose names have several lines
RUN_TRAILER = "Team-Mail-Run"
AUTHOR_FORMAT = f"%H%x00%an%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)%x00"  # of git log
Author = tuple[str, str, str]  # persona or person, commit, run or ""
Write = Callable[[str, bytes], str]  # an object's kind and body to its id
_CRUD = re.compile(r"[<>\x00-\x1f\x7f]")


def write_commit(write: Write, submission: PatchSubmission, tree: str, parents: Iterable[str]) -> str:
    """Write the commit of a patch; return its id. The same patch, tree and parents give the same id."""
    seconds = int(datetime.fromisoformat(submission.when).timestamp())
    lines = [
        f"tree {tree}",
        *(f"parent {parent}" for parent in parents),
        f"author {_signed(submission.persona)} {seconds} +0000",
        f"committer {_signed(WEAVER)} {seconds} +0000",
        "",
        _one_line(submission.subject) or submission.key,
    ]
    trailers = [f"{name}: {_one_line(value)}" for name, value in submission.trailers]
    return write("commit", "\n".join([*lines, *([""] if trailers else []), *trailers, ""]).encode(errors="replace"))


def changed_by(git: Git, bases: Collection[str], tip: str, files: Sequence[str]) -> dict[str, list[tuple[str, Author]]]:
    """Return for each base which of these files were changed from there to `tip`, and by whom, the last first.

    Files are names as the file system has them, and come back as text. Raises GitError where a commit does not exist.
    """
    changes: dict[str, list[tuple[str, Author]]] = {base: [] for base in bases}
    if not files or {*bases} <= {tip}:
        return changes
    known = ancestry(git, tip, bases)
    for commit, rows in _log(git, tip, known.bounds, files):
        for base in bases:
            if not known.had(base, commit):
                changes[base] += rows
    return changes


@dataclass(frozen=True)
class Ancestry:
    """Which of some bases have which commits in their history, of those since `bounds`, as words for `git log`."""

    bounds: tuple[str, ...]
    _places: Mapping[str, int]
    _bits: Mapping[str, int]

    def had(self, base: str, commit: str) -> bool:
        """Tell whether a commit is in the history of a base, or that base."""
        return bool(self._bits.get(commit, 0) >> self._places[base] & 1)


def ancestry(git: Git, tip: str, bases: Iterable[str]) -> Ancestry:
    """Read the history of `tip` since what all of the bases have. Raises GitError where a commit does not exist."""
    places = {base: place for place, base in enumerate(sorted({*bases}))}
    ended = git.run("merge-base", "--octopus", "--all", *places)
    common = git.output(("merge-base",), ended, allowed=(0, 1)).decode().split()
    bounds = tuple(f"^{commit}" for commit in common)
    asked = "\n".join([tip, *places, *bounds]).encode()
    bits = {base: 1 << place for base, place in places.items()}
    for row in git("rev-list", "--topo-order", "--parents", "--stdin", stdin=asked).decode().splitlines():
        commit, *parents = row.split(" ")
        for parent in parents:
            bits[parent] = bits.get(parent, 0) | bits.get(commit, 0)
    return Ancestry(bounds, places, bits)


def _log(
    git: Git, tip: str, bounds: Sequence[str], files: Sequence[str]
) -> Iterator[tuple[str, list[tuple[str, Author]]]]:
    """Yield each commit since `bounds` that changed one of the files, the last first, with these and their author."""
    mark = tip.encode() + b" "  # which no file's name can know beforehand
    layout = f"--format=format:{tip} {AUTHOR_FORMAT}"
    words = ("--literal-pathspecs", "log", "-z", "--name-only", "--no-renames", layout, "--stdin", "--")
    odd = [file for file in files if "\n" in file][:_ODD]  # what is asked by lines cannot name them
    asked = "\n".join([tip, *bounds, "--", *(file for file in files if "\n" not in file), ""])
    for part in git(*words, *odd, stdin=os.fsencode(asked)).split(mark)[1:]:
        oid, persona, run, *names = part.split(b"\0")
        author = (text(persona), oid.decode(), text(run))
        yield author[1], [(file, author) for name in names if (file := text(name.removeprefix(b"\n")))]


def _signed(name: str) -> str:
    name = _CRUD.sub("", name).strip() or "nobody"
    return f"{name} <{name.replace(' ', '.')}@team-mail>"


def _one_line(words: str) -> str:
    return " ".join(words.replace("\0", "").split())
