"""Content-addressed storage for bodies and attachments too large for a line of the log.

A blob is named by the SHA-256 of its bytes, so that the same bytes are stored once and never change.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import LogError
from .disk import Disk, NotAFile, make_folder, read_file, write_file

_SHA256 = r"[0-9a-f]{64}"


class Blob(NamedTuple):
    """The name of some bytes: their SHA-256 in hex, and their number."""

    sha256: str
    size: int


class BlobMissing(LogError):
    """A blob that the log names is missing, or its bytes do not have that hash."""


class Blobs(Protocol):
    """Bytes by their hash."""

    def put(self, data: bytes) -> Blob:
        """Store bytes durably and return their name. Raises OSError; then nothing is stored under that name."""
        ...

    def read(self, sha256: str) -> bytes:
        """Return the bytes of that name. Raises BlobMissing if they are not there or have changed."""
        ...


class FileBlobs:
    """Blobs in a folder, `.team/mail/blobs`: the file of blob `abcd…` is `ab/abcd…`."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.folder = folder
        self._disk = disk or Disk()

    def put(self, data: bytes) -> Blob:
        """Store bytes durably and return their name. Raises OSError; then nothing is stored under that name."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        path = self.path(blob.sha256)
        if _held(path) != data:  # a blob that changed on disk is repaired by a new put
            for folder in (self.folder, path.parent):
                if not folder.exists():
                    make_folder(folder)
                    self._disk.sync_folder(folder.parent)
            write_file(self._disk, path, data, alone=False)
        else:
            self._disk.sync_folder(path.parent)  # its writer may have died before this step
        return blob

    def read(self, sha256: str) -> bytes:
        """Return the bytes of that name. Raises BlobMissing if they are not there or have changed."""
        try:
            data = read_file(self.path(sha256))
        except FileNotFoundError:
            raise BlobMissing(f"blob {sha256} is missing; restore it from a backup") from None
        except NotAFile as error:
            raise BlobMissing(
                f"blob {sha256}: {error.strerror}; move it away and restore the blob from a backup"
            ) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BlobMissing(f"blob {sha256} has changed on disk; restore it from a backup")
        return data

    def names(self) -> list[str]:
        """Return the names of all blobs that are stored, in order."""
        names = (path.name for path in self.folder.glob("??/*") if path.name.startswith(path.parent.name))
        return sorted(name for name in names if re.fullmatch(_SHA256, name))

    def path(self, sha256: str) -> Path:
        """Return the file that holds a blob, if it exists. Raises BlobMissing if `sha256` is not a blob's name."""
        return self.folder / _checked(sha256)[:2] / sha256


def _held(path: Path) -> bytes | None:
    """Return what a blob's file holds; None if there is no file."""
    try:
        return read_file(path)
    except (FileNotFoundError, NotAFile):
        return None


class MemoryBlobs:
    """The shipped fake: blobs in a dictionary, for tests. They live as long as the object."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}

    def put(self, data: bytes) -> Blob:
        """Store bytes and return their name."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        self._data[blob.sha256] = bytes(data)
        return blob

    def read(self, sha256: str) -> bytes:
        """Return the bytes of that name. Raises BlobMissing if they are not there."""
        try:
            return self._data[_checked(sha256)]
        except KeyError:
            raise BlobMissing(f"blob {sha256} is missing") from None


def _checked(sha256: str) -> str:
    if not re.fullmatch(_SHA256, sha256):
        raise BlobMissing(f"{sha256!r} is not the name of a blob")
    return sha256
