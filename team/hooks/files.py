"""Reads and writes the files of agents, which are their users': whole or not at all, and none that leads elsewhere."""

from __future__ import annotations

import stat
from pathlib import Path

from ...mail.errors import TeamMailError, UsageError
from ...mail.log.disk import reason_of, replacing

_OWNER_WRITES = 0o200


class CannotWrite(TeamMailError):
    """A file of an agent cannot be written."""


def read(file: Path) -> str | None:
    """Return the text of a file; None if there is none. Raises UsageError for one that is not text."""
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8; convert it first") from None
    except OSError as error:
        raise UsageError(f"cannot read {file}: {reason_of(error)}") from None


def write(file: Path, text: str) -> None:
    """Write a file, and the folders that it lacks; it keeps its rights. Raises UsageError, CannotWrite."""
    _check(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else None
        with replacing(file) as temporary:
            temporary.write_bytes(text.encode())
            if mode is not None:
                temporary.chmod(mode)
    except OSError as error:
        raise CannotWrite(f"cannot write {file}: {reason_of(error)}") from None


def delete(file: Path, folders: int) -> None:
    """Delete a file, and so many of the folders above it, as far as they are empty. Raises UsageError, CannotWrite."""
    _check(file)
    try:
        file.unlink()
    except OSError as error:
        raise CannotWrite(f"cannot delete {file}: {reason_of(error)}") from None
    for folder in [*file.parents][:folders]:
        try:
            folder.rmdir()
        except OSError:
            return


def missing_folders(file: Path) -> int:
    """Return how many of the folders above a file are not there."""
    return sum(not folder.exists() for folder in file.parents)


def _check(file: Path) -> None:
    """Raise UsageError for a link, which may lead to what others share, and for a file that is read-only."""
    if file.is_symlink():
        raise UsageError(f"{file} is a link to {file.readlink()}: edit that file, or replace the link by a copy")
    if file.exists() and not file.stat().st_mode & _OWNER_WRITES:
        raise UsageError(f"{file} is read-only: chmod u+w it first")
