"""Repositories within a work tree: submodules, and worktrees of the clone itself, found without following links."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .changes import complaints
from .commits import borrow
from .confined import MAX_OBJECT, Confined
from .refs import is_folder, read_plain

# Everything, in a sparse work tree too, but the folder through which a run talks to its keeper, whatever is ignored.
_ADD = ("add", "--all", "--sparse", "--ignore-errors")
_APART = ("--", ".", ":(top,exclude,icase).team/run")
_NOBODY = tuple(f"user.{key}=agent@team-mail.invalid" for key in ("name", "email"))


def adding(place: Path) -> tuple[str, ...]:
    """Return the words that add a work tree to an index."""
    return (*_ADD, *apart(place))


def apart(place: Path) -> tuple[str, ...]:
    """Return the words that leave the run folder out of what git does with a work tree.

    Behind a link there is nothing of the work tree to leave out, and git refuses a path that leads there.
    """
    linked = any(path.is_symlink() for path in place.iterdir() if path.name.lower() == ".team")
    return () if linked else _APART


def within(place: Path, path: bytes) -> Path | None:
    """Return a folder of the work tree at `place`, None if a link is on the way or it is not there."""
    return _below(place, Path(os.fsdecode(path)).parts)


def directory_of(place: Path, path: bytes, kind: str) -> Path | None:
    """Return the git directory of a nested repository if it is part of the clone's own: `modules`, `worktrees`."""
    inner = within(place, path)
    link = read_plain(inner / ".git", 4_096) if inner else b""
    if inner is None or not link.startswith(b"gitdir: "):
        return None
    target = Path(os.path.normpath(inner / os.fsdecode(link[8:].rstrip(b"\n"))))
    above = place / ".git" / kind
    for real in (above, Path(os.path.realpath(above))):
        if target.is_relative_to(real) and target != real:
            return _below(place, (".git", kind, *target.relative_to(real).parts))
    return None


def snapshot(git: Confined, head: str, borrowed: Path, trouble: list[str]) -> str | None:
    """Commit what a nested work tree has beyond its HEAD; return the commit, None if there is nothing.

    The new objects count as borrowed. What could not be read is added to `trouble`.
    """
    index = git.index("nested")
    index("read-tree", head)
    _, stderr = index(*adding(Path(index.git.settings["GIT_WORK_TREE"])), most=MAX_OBJECT, allowed=(0, 1))
    trouble += complaints(stderr)
    tree, before = (index(*words)[0].strip().decode() for words in (("write-tree",), ("rev-parse", f"{head}^{{tree}}")))
    if tree == before:
        return None
    signing = replace(index, git=replace(index.git, options=(*index.git.options, *_NOBODY)))
    made = signing("commit-tree", tree, "-p", head, "-m", "Not committed by the run")[0].strip().decode()
    borrow(git.git.directory / "objects", borrowed)
    return made


def _below(folder: Path, parts: Sequence[str]) -> Path | None:
    for part in parts:
        folder /= part
        if not is_folder(folder):
            return None
    return folder
