"""Files of the user's checkout that git does not track and workspaces get a copy of, such as `.env`.

The settings name them, or `.worktreeinclude` at the top of the checkout, in the syntax of `.gitignore`. Only the user's
checkout says which: no commit has a part in it. Nothing is read through a link that leads out of the checkout, and
nothing written through one that leads out of the workspace.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...mail.log.disk import read_file, reason_of
from ...mail.render import line
from ..git import ask_checkout

INCLUDE = ".worktreeinclude"
_OURS = (".git", ".team")


class Copies(NamedTuple):
    """Paths of files from the top of the checkout, and one line for each that was asked for and is not copied."""

    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_copies(top: Path, globs: Sequence[str]) -> Copies:
    """Find the files that workspaces get from the checkout at `top`, in the order of their names.

    `globs` mean what git's `:(glob)` means; a glob that names no file is told. Raises GitError.
    """
    names: set[str] = set()
    notes: list[str] = []
    if not os.path.lexists(top / ".git"):
        return Copies((), tuple(f"copy {glob!r} names no file: this host has no checkout" for glob in globs))
    for glob in globs:
        matching = _listed(top, "--others", "--", f":(top,glob){glob}")
        if not matching:
            notes.append(_absent(top, glob))
        names.update(matching)
    if (top / INCLUDE).is_file():
        names.update(_included(top))
    elif os.path.lexists(top / INCLUDE):
        notes.append(f"{INCLUDE} of your checkout names nothing: it is no regular file")
    files: list[str] = []
    for name in sorted(names):
        if name.split("/")[0].casefold() in _OURS:
            continue  # mail and settings are not for workspaces, whatever the patterns say
        if trouble := _trouble(top, name):
            notes.append(f"{line(name)} of your checkout is not copied: {trouble}")
        else:
            files.append(name)
    return Copies(tuple(files), tuple(notes))


def copy_files(top: Path, files: Sequence[str], workspace: Path) -> Copies:
    """Copy files of the checkout into a workspace in which no process runs yet; return those that were copied.

    A file that the commit has, or that cannot be read or written, is not copied, and told.
    """
    copied: list[str] = []
    notes: list[str] = []
    for name in files:
        target = workspace / name
        try:
            if not make_room(workspace, name):
                notes.append(f"{line(name)} of your checkout is not copied: the commit has it, or a link on its way")
                continue
            shutil.copy((top / name).resolve(), target)
            copied.append(name)
        except OSError as error:
            notes.append(f"{line(name)} of your checkout is not copied: {reason_of(error)}")
    return Copies(tuple(copied), tuple(notes))


def make_room(workspace: Path, name: str) -> bool:
    """Make the folders above a path of a workspace; return False if it is taken, or a link is on the way."""
    if os.path.lexists(workspace / name):
        return False
    place = workspace
    for part in Path(name).parts[:-1]:
        place /= part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            return False
        place.mkdir(exist_ok=True)
    return True


def _included(top: Path) -> Iterator[str]:
    """Yield the files that `.worktreeinclude` names and that git ignores."""
    named = ask_checkout(top, "ls-files", "--others", "--ignored", "-z", f"--exclude-from={INCLUDE}")
    ignored = ask_checkout(top, "check-ignore", "-z", "--stdin", stdin=named, allowed=(0, 1)) if named else b""
    return (os.fsdecode(name) for name in ignored.split(b"\0") if name)


def _listed(top: Path, *words: str) -> list[str]:
    return [os.fsdecode(name) for name in ask_checkout(top, "ls-files", "-z", *words).split(b"\0") if name]


def is_tracked(top: Path, glob: str) -> bool:
    """Tell whether git tracks a file that a glob names in the checkout at `top`. Raises GitError."""
    return bool(_listed(top, "--", f":(top,glob){glob}"))


def _absent(top: Path, glob: str) -> str:
    if is_tracked(top, glob):
        return f"copy {glob!r} names files that git tracks: workspaces have them as they were committed"
    if os.path.lexists(top / glob) and not (top / glob).is_dir():
        return f"copy {glob!r} names what is no regular file"
    return f"copy {glob!r} names no file of your checkout"


def _trouble(top: Path, name: str) -> str:
    """Say why a file of the checkout must not be copied, or cannot be."""
    real, real_top = (top / name).resolve(), top.resolve()
    if not real.is_relative_to(real_top) or real.relative_to(real_top).parts[:1] in [(part,) for part in _OURS]:
        return "it is a link that leads out of it"
    if name.endswith("/"):
        return "it is a repository of its own"
    return "" if real.is_file() else "it is no regular file"


def digest_of(top: Path, files: Sequence[str]) -> Iterator[bytes]:
    """Yield the names and contents of files of the checkout, for a digest of what a set-up finds."""
    for name in files:
        yield os.fsencode(name) + b"\0"
        try:
            yield read_file((top / name).resolve()) + b"\0"
        except OSError:
            yield b"-\0"
