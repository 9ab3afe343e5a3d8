"""Folders that are laid from what is known of every file in them, and known again by that."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ...mail.log.disk import write_new

_THERE = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def lay_tree(place: Path, folders: Iterable[str], files: Mapping[str, bytes]) -> None:
    """Make a folder at `place`, with folders in it, each one after those above it, and files.

    It costs half of what pathlib takes, and is done for each run. Raises OSError, also if anything is there already.
    """
    top = os.fspath(place)
    os.makedirs(top)  # noqa: PTH103 - see above
    for folder in folders:
        os.mkdir(f"{top}/{folder}")  # noqa: PTH102
    for name, data in files.items():
        write_new(f"{top}/{name}", data)


def lay_once(place: Path, folders: Iterable[str], files: Mapping[str, bytes]) -> bool:
    """Have the same at `place` as `lay_tree` makes; return False, with nothing done, if something else is there.

    It appears there whole, and what cannot be finished is removed, so that processes may lay it at once and die over
    it. Raises OSError.
    """
    folders = [*folders]
    if os.path.lexists(place):
        return is_laid(place, folders, files)
    made = place.with_name(f".{place.name}.{os.urandom(6).hex()}")
    try:
        lay_tree(made, folders, files)
        os.rename(made, place)  # noqa: PTH104 - see `lay_tree`
    except BaseException as error:
        shutil.rmtree(made, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in _THERE:
            return is_laid(place, folders, files)
        raise
    return True


def put_whole(fresh: Path, place: Path) -> None:
    """Move a new git directory to where another process makes one, too, or where the remains of one are.

    A folder that is there and has files stays: it may be in use.
    """
    try:
        fresh.replace(place)
    except OSError:
        for entry in sorted(fresh.iterdir(), key=lambda entry: entry.name == "HEAD"):
            with suppress(OSError):
                entry.replace(place / entry.name)
        shutil.rmtree(fresh, ignore_errors=True)


def is_laid(place: Path, folders: Iterable[str], files: Mapping[str, bytes]) -> bool:
    """Tell whether what `lay_tree` made is there as it was made: every byte of it, and nothing else."""
    top = os.fspath(place)
    wanted: dict[str, set[tuple[str, bool]]] = {"": set()}
    for folder in folders:
        wanted[folder] = set()
        wanted[_above(folder)].add((folder.rpartition("/")[2], True))
    for name in files:
        wanted[_above(name)].add((name.rpartition("/")[2], False))
    try:
        return (
            not os.path.islink(top)  # noqa: PTH114
            and all(_entries(f"{top}/{folder}") == names for folder, names in wanted.items())
            and all(_holds(f"{top}/{name}", data) for name, data in files.items())
        )
    except OSError:
        return False


def _above(name: str) -> str:
    return name.rpartition("/")[0]


def _entries(folder: str) -> set[tuple[str, bool]]:
    """Return the names in a folder, each with whether it is a folder itself; a link is none."""
    with os.scandir(folder) as entries:
        return {(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries}


def _holds(path: str, data: bytes) -> bool:
    """Tell whether a path is that of a regular file with these bytes."""
    file = os.open(path, _READ)
    try:
        return stat.S_ISREG(os.fstat(file).st_mode) and os.read(file, len(data) + 1) == data
    finally:
        os.close(file)
