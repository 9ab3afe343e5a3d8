"""Moving a branch together with the work trees that have it checked out, as `git merge --ff-only` there would do it.

A branch that moves alone leaves the old files behind, and the next commit there takes back what has landed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...mail.log.disk import read_file
from ...personas.errors import GitError
from ...personas.git import Git, ask_checkout, move_checkout
from .under_way import CHANGED, UnderWay, locked, under_way

_LINKED = "worktrees"  # the folder in a git directory in which those of linked work trees are
_LOCKED = 128  # git says no more where the index is locked; the command that moves the files does


class InTheWay(NamedTuple):
    """Why a branch cannot be moved: a work tree that has it, what is going on there, and what to do about it."""

    place: str
    why: str
    then: str = CHANGED


def fast_forward(git: Git, branch: str, old: str, new: str, reason: str, *, asked: bool = False) -> InTheWay | None:
    """Move a branch from commit `old` (zeros if there is none) to `new`, with the files of all work trees that have it.

    Return None once it is moved, or else what is in the way; then nothing was changed. That is any change in a work
    tree, but if a person has `asked` for the move, only one to a file that has to change. `reason` is for the reflog.
    Raises GitError if git refuses, as it does if somebody else has moved the branch.
    """
    ref, places = f"refs/heads/{branch}", [*_places(git, branch)]
    for place, directory in _rebased(git, branch):
        return InTheWay(place, *(under_way(directory) or UnderWay("a rebase of it is under way", "end that")))
    moves = dict[str, bool]()
    for place in places:
        move = _move_in(place, old, new, asked=asked)
        if isinstance(move, InTheWay):
            return move
        moves[place] = move
    moved = list[str]()
    try:
        for place in (place for place, needed in moves.items() if needed):
            move_checkout(Path(place), old, new)
            moved.append(place)
        git("update-ref", "-m", reason, ref, new, old)
    except (GitError, OSError) as error:
        for place in moved:
            with suppress(GitError, OSError):
                move_checkout(Path(place), new, old)
        if len(moved) < sum(moves.values()):
            return _refused(next(place for place in moves if place not in moved), error)
        raise
    return None


def _places(git: Git, branch: str) -> Iterator[str]:
    """Find the work trees that have a branch checked out, those that are away and locked as well."""
    for entry in git.line("worktree", "list", "--porcelain", "-z").split("\0\0"):
        lines = entry.strip("\0").split("\0")
        path = lines[0].removeprefix("worktree ")
        locked = any(line.partition(" ")[0] == "locked" for line in lines)
        if f"branch refs/heads/{branch}" in lines and (locked or Path(path).is_dir()):
            yield path


def _rebased(git: Git, branch: str) -> Iterator[tuple[str, Path]]:
    """Find where a branch is being rebased or bisected: nobody has it checked out then, and git moves it at the end.

    Yield the work tree and its git directory.
    """
    for names, text in (("rebase-*/head-name", f"refs/heads/{branch}"), ("BISECT_START", branch)):
        for found in (*git.directory.glob(names), *git.directory.glob(f"worktrees/*/{names}")):
            with suppress(OSError):
                if os.fsdecode(read_file(found)).strip() == text:
                    parts = found.relative_to(git.directory).parts
                    own = git.directory.joinpath(*parts[:2]) if parts[0] == _LINKED else git.directory
                    yield _work_tree(git, parts), own


def _work_tree(git: Git, parts: tuple[str, ...]) -> str:
    """Return the work tree that a file of a git directory is of."""
    if parts[0] != _LINKED:
        return str(git.directory.parent)
    link = read_file(git.directory / _LINKED / parts[1] / "gitdir")
    return str(Path(os.fsdecode(link).strip()).parent)


def _move_in(place: str, old: str, new: str, *, asked: bool) -> InTheWay | bool:
    """Tell whether the files of a work tree have to be moved: not if they are there already, after a crash."""
    there, why = False, ""
    if not Path(place).is_dir():
        return InTheWay(place, "it is locked, and away", f"git worktree unlock {shlex.quote(place)} lets go of it")
    try:
        if going_on := under_way(_directory(place)):
            return InTheWay(place, *going_on)
        ask_checkout(Path(place), "update-index", "-q", "--refresh", allowed=(0, 1, _LOCKED))
        there = not _differs(place, "diff-index", "--cached", new)
        if not asked and _differs(place, "diff-files"):
            why = "files are changed there"
        elif not there and (not old.strip("0") or (not asked and _differs(place, "diff-index", "--cached", old))):
            why = "changes are staged there"
    except (GitError, OSError) as error:
        return _refused(place, error)
    return InTheWay(place, why) if why else not there


def _refused(place: str, error: GitError | OSError) -> InTheWay:
    """Return why git does nothing in a work tree: a lock of its index, or what it says."""
    with suppress(GitError, OSError):
        if lock := locked(_directory(place)):
            return InTheWay(place, *lock)
    return InTheWay(place, str(error))


def _directory(place: str) -> Path:
    """Return the git directory of a work tree. Raises GitError."""
    return Path(os.fsdecode(ask_checkout(Path(place), "rev-parse", "--absolute-git-dir")).removesuffix("\n"))


def _differs(place: str, *words: str) -> bool:
    return bool(ask_checkout(Path(place), *words, "--name-only", "--ignore-submodules=all", "--"))
