"""How far the log was read for one persona, and the unread mail up to there: a cache that may be deleted at any time.

Only `os` is imported, for the reason given in `mail/home.py`; JSON and checksums are loaded where they are needed.
"""

from __future__ import annotations

import os

from ..home import HUMAN_VARIABLE

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FOLDER = "cursors"  # beside the log
_FORMAT = "team-mail cursor 1"
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe is not waited for
_RACY = 2_000_000_000  # nanoseconds: a file as new as that may change again without another time
_LINES = 4  # before the checksum


class Cursor:
    """A position of the log: the file and offset after event `head`, and that event's hash.

    `people` is the state of the roster for which the persona was found to be on the team, "" if it was not looked at.
    """

    def __init__(self, inode: int, size: int, head: int, hash: str, *, people: str = "", text: str = "[]") -> None:
        self.inode = inode
        self.size = size
        self.head = head
        self.hash = hash
        self.people = people
        self._text = text

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The unread messages, each as its listed object, with `run` and `owner`."""
        if self._text == "[]":  # without JSON
            return []
        import json

        return json.loads(self._text)


def load(folder: str, persona: str) -> Cursor | None:
    """Read a persona's cursor of the log in `folder`; None if there is none, or one that cannot be believed."""
    data = read(f"{folder}/{FOLDER}/{persona}")
    if data is None:
        return None
    text, _, sum_ = data.rstrip(b"\n").rpartition(b"\n")
    lines = text.decode(errors="replace").split("\n")
    if len(lines) != _LINES or lines[:2] != [_FORMAT, persona] or sum_.decode(errors="replace") != _checksum(text):
        return None
    inode, size, head, digest, people = lines[2].split(" ")
    return Cursor(int(inode), int(size), int(head), digest, people=people, text=lines[3])


def save(folder: str, persona: str, at: Cursor, entries: Sequence[dict[str, Any]]) -> None:
    """Write a persona's cursor. Where nothing can be written, as on a file system that is read-only, none is."""
    text = "[]"
    if entries:
        import json

        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    where = f"{at.inode} {at.size} {at.head} {at.hash} {at.people}"
    data = f"{_FORMAT}\n{persona}\n{where}\n{text}".encode()
    place = f"{folder}/{FOLDER}"
    temporary = f"{place}/.{persona}.{os.getpid()}"
    try:
        os.makedirs(place, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data + f"\n{_checksum(data)}\n".encode())
        os.replace(temporary, f"{place}/{persona}")
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            return


def people_of(home: str) -> str:
    """Return the state of what says who is on a team; "" if it may change unseen, being as new as that."""
    import time

    states: list[str] = []
    for path in (f"{home}/personas", f"{home}/team.toml"):
        try:
            status = os.stat(path)
        except OSError:
            states.append("-")
            continue
        if time.time_ns() - status.st_mtime_ns < _RACY:
            return ""
        states.append(f"{status.st_ino}.{status.st_mtime_ns}.{status.st_ctime_ns}.{status.st_size}")
    return f"{','.join(states)},{os.environ.get(HUMAN_VARIABLE, '').encode().hex()}"


def drop(folder: str) -> None:
    """Delete all cursors: the log is not what it was. Raises OSError."""
    place = f"{folder}/{FOLDER}"
    for name in os.listdir(place) if os.path.isdir(place) else ():
        if not os.path.isdir(f"{place}/{name}"):
            os.unlink(f"{place}/{name}")


def read(path: str) -> bytes | None:
    """Return what a regular file holds; None for anything else, and where there is nothing."""
    import stat

    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _checksum(data: bytes) -> str:
    from zlib import crc32

    return f"{crc32(data):08x}"
