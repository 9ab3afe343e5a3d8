"""The commit object of a patch: its author is the persona, its trailers name the run and the event in the log.

And what such commits tell: who changed a file between two of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime

from ...personas.git import Git
from .patch import PatchSubmission, text

WEAVER = "weaver"
_ODD = 100  # files whose names have several lines
RUN_TRAILER = "Team-Mail-Run"
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
    starts = sorted({*bases} - {tip})
    changes: dict[str, list[tuple[str, Author]]] = {base: [] for base in bases}
    if not files or not starts:
        return changes
    bounds = [f"^{commit}" for commit in _common(git, starts)]
    known = _ancestry(git, tip, starts, bounds)
    for commit, rows in _log(git, tip, bounds, files):
        for place, base in enumerate(starts):
            if not known.get(commit, 0) >> place & 1:
                changes[base] += rows
    return changes


def _common(git: Git, commits: Sequence[str]) -> list[str]:
    """Return commits that all of these have among their ancestors, the newest; none where they have none."""
    ended = git.run("merge-base", "--octopus", "--all", *commits)
    return git.output(("merge-base",), ended, allowed=(0, 1)).decode().split()


def _ancestry(git: Git, tip: str, starts: Sequence[str], bounds: Sequence[str]) -> dict[str, int]:
    """Return for each commit since `bounds` which of `starts` have it, as bits by their places."""
    asked = "\n".join([tip, *starts, *bounds]).encode()
    rows = git("rev-list", "--topo-order", "--parents", "--stdin", stdin=asked).decode().splitlines()
    known = {start: 1 << place for place, start in enumerate(starts)}
    for row in rows:
        commit, *parents = row.split(" ")
        for parent in parents:
            known[parent] = known.get(parent, 0) | known.get(commit, 0)
    return known


def _log(
    git: Git, tip: str, bounds: Sequence[str], files: Sequence[str]
) -> Iterator[tuple[str, list[tuple[str, Author]]]]:
    """Yield each commit since `bounds` that changed one of the files, the last first, with these and their author."""
    mark = tip.encode() + b" "  # which no file's name can know beforehand
    layout = f"--format=format:{tip} %H%x00%an%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)%x00"
    words = ("--literal-pathspecs", "log", "-z", "--name-only", "--no-renames", layout, "--stdin", "--")
    odd = [file for file in files if "\n" in file][:_ODD]  # what is asked by lines cannot name them
    asked = "\n".join([tip, *bounds, "--", *(file for file in files if "\n" not in file), ""])
    for part in git(*words, *odd, stdin=os.fsencode(asked)).split(mark)[1:]:
        oid, persona, run, *names = part.split(b"\0")
        author = (text(persona), oid.decode(), text(run))
        yield oid.decode(), [(file, author) for name in names if (file := text(name.removeprefix(b"\n")))]


def _signed(name: str) -> str:
    name = _CRUD.sub("", name).strip() or "nobody"
    return f"{name} <{name.replace(' ', '.')}@team-mail>"


def _one_line(words: str) -> str:
    return " ".join(words.replace("\0", "").split())
