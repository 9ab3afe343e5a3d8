"""Who changed a file between two commits, read from the history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...personas.git import Git
from .patch import text

RUN_TRAILER = "Team-Mail-Run"
Author = tuple[str, str, str]  # persona or person, commit, run or ""


def changed_by(git: Git, base: str, tip: str, files: Sequence[str]) -> Iterator[tuple[str, Author]]:
    """Yield each of these files with who changed it from `base` to `tip`, the last first; no files, no answer.

    Raises GitError where a commit does not exist.
    """
    if not files or base == tip:
        return
    mark = tip.encode() + b" "  # which no file's name can know beforehand
    layout = f"--format=format:{tip} %H%x00%an%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)%x00"
    words = ("--literal-pathspecs", "log", "-z", "--name-only", "--no-renames", layout, f"{base}..{tip}", "--")
    for commit in git(*words, *files).split(mark)[1:]:
        oid, persona, run, *names = commit.split(b"\0")
        for name in names:
            if file := text(name.removeprefix(b"\n")):
                yield file, (text(persona), oid.decode(), text(run))
