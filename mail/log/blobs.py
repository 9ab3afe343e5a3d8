"""Bodies and attachments too large for a line, kept by their hash: the same bytes are kept once, and never change."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from ..errors import LogError
from .disk import Disk, write_file

_SHA256 = r"[0-9a-f]{64}"


class Blob(NamedTuple):
    """The name of some bytes: their SHA-256 in hex, and how many they are."""

    sha256: str
    size: int


class BlobMissing(LogError):
    """Bytes that the log names are not in `blobs/`, or are not what their name says."""


class Blobs:
    """The folder of blobs, `.team/mail/blobs`: `ab/abcd…`."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.folder = folder
        self._disk = disk or Disk()

    def put(self, data: bytes) -> Blob:
        """Keep some bytes durably; return their name. An OSError leaves nothing behind that could be read."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        path = self.path(blob.sha256)
        if not path.exists() or path.read_bytes() != data:  # what has changed on disk is mended by sending it again
            for folder in (self.folder, path.parent):
                if not folder.exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    self._disk.sync_folder(folder.parent)
            write_file(self._disk, path, data, alone=False)
        else:
            self._disk.sync_folder(path.parent)  # whoever wrote it may not have come so far
        return blob

    def read(self, sha256: str) -> bytes:
        """Return the bytes of a name. Raises BlobMissing if they are not there or have changed."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(f"blob {sha256} is missing from {self.folder}; restore it from a backup") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BlobMissing(f"blob {sha256} in {self.folder} has changed on disk; restore it from a backup")
        return data

    def path(self, sha256: str) -> Path:
        """Return where a name's bytes are. Raises BlobMissing for what is no name."""
        if not re.fullmatch(_SHA256, sha256):
            raise BlobMissing(f"{sha256!r} is not the name of a blob")
        return self.folder / sha256[:2] / sha256
