"""Answers kept with their ETag, so that a server is asked whether they have changed, which costs it and us little.

Nothing depends on what is kept: whatever cannot be read is asked for anew.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from ...mail.log.disk import read_file, replacing

_MOST = 1_000  # answers; beyond them all are forgotten


class Kept(NamedTuple):
    """An answer as it was: its ETag, its body, the address of the next page."""

    etag: str
    body: bytes
    following: str = ""


class Cache(Protocol):
    """Where answers are kept."""

    def get(self, address: str) -> Kept | None:
        """Return the last answer of an address, None if there is none."""
        ...

    def put(self, address: str, etag: str, body: bytes, following: str) -> None:
        """Keep an answer."""
        ...


class NoCache:
    """Keeps nothing."""

    def get(self, address: str) -> Kept | None:
        """Return None."""

    def put(self, address: str, etag: str, body: bytes, following: str) -> None:
        """Do nothing."""


class FolderCache:
    """Keeps each answer in a file of a folder, for the user alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, address: str) -> Kept | None:
        """Return the last answer of an address, None if there is none that can be read."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            table = json.loads(read_file(self._file(address)))
            return Kept(str(table["etag"]), str(table["body"]).encode(), str(table["following"]))
        return None

    def put(self, address: str, etag: str, body: bytes, following: str) -> None:
        """Keep an answer, unless the disk refuses."""
        with suppress(OSError, UnicodeDecodeError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = [*self._folder.iterdir()]
            for file in files if len(files) >= _MOST else []:
                file.unlink(missing_ok=True)
            text = json.dumps({"etag": etag, "body": body.decode(), "following": following})
            with replacing(self._file(address), durable=False) as new:
                new.write_text(text)

    def _file(self, address: str) -> Path:
        return self._folder / f"{sha256(address.encode()).hexdigest()}.json"


NO_CACHE = NoCache()
