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
_FORMAT = "team-mail cursor 2"
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe is not waited for
_RACY = 2_000_000_000  # nanoseconds: a file as new as that may change again without another time
_LINES = 4  # before the checksum
_ENTRY = {  # what is asked of an entry
    **dict.fromkeys(("id", "sender", "subject", "priority"), str),
    **dict.fromkeys(("acked", "verified"), bool),
    "seq": int,
    "tags": list,
}


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
    def entries(self) -> list[dict[str, Any]] | None:
        """The unread messages, each as its listed object, with `run` and `owner`; None if the cursor has others."""
        if self._text == "[]":  # without JSON
            return []
        import json

        try:
            entries = json.loads(self._text)
        except (ValueError, RecursionError):
            return None
        return entries if isinstance(entries, list) and all(map(_is_entry, entries)) else None  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def load(folder: str, persona: str) -> Cursor | None:
    """Read a persona's cursor of the log in `folder`; None if there is none, or one that cannot be believed."""
    data = read(f"{_place(folder)}/{persona}")
    if data is None:
        return None
    text, _, sum_ = data.rstrip(b"\n").rpartition(b"\n")
    lines = text.decode(errors="replace").split("\n")
    if len(lines) != _LINES or lines[:2] != [_FORMAT, persona] or sum_.decode(errors="replace") != _checksum(text):
        return None
    try:
        inode, size, head, digest, people = lines[2].split(" ")
        return Cursor(int(inode), int(size), int(head), digest, people=people, text=lines[3])
    except ValueError:
        return None


def save(folder: str, persona: str, at: Cursor, entries: Sequence[dict[str, Any]]) -> None:
    """Write a persona's cursor. Where nothing can be written, as on a file system that is read-only, none is."""
    text = "[]"
    if entries:
        import json

        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    where = f"{at.inode} {at.size} {at.head} {at.hash} {at.people}"
    data = f"{_FORMAT}\n{persona}\n{where}\n{text}".encode()
    place = _place(folder)
    temporary = f"{place}/.{persona}.{os.urandom(6).hex()}"
    try:
        if not os.path.isdir(place):
            os.makedirs(place, exist_ok=True)
            _share(place, os.path.dirname(place))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data + f"\n{_checksum(data)}\n".encode())
        _share(temporary, place)
        os.replace(temporary, f"{place}/{persona}")
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            return


def _place(folder: str) -> str:
    """Return the folder of cursors: beside the log, or among the user's own caches if the log is another's."""
    if os.access(folder, os.W_OK) or not os.path.isdir(folder):
        return f"{folder}/{FOLDER}"
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return f"{caches}/team-mail/{_checksum(os.path.realpath(folder).encode(errors='surrogateescape'))}"


def _share(path: str, folder: str) -> None:
    """Give a new file or folder to the group as `share` in `mail/log/disk.py` does, which takes longer to load."""
    import stat

    if os.stat(folder).st_mode & (stat.S_ISGID | stat.S_IWGRP) == stat.S_ISGID | stat.S_IWGRP:
        os.chmod(path, os.stat(path).st_mode & 0o7777 | (0o2070 if os.path.isdir(path) else 0o060))


def people_of(home: str, persona: str) -> str:
    """Return the state of what says that a persona is on a team; "" if it may change unseen, being as new as that."""
    import time

    states = ["".join(str(+os.path.exists(f"{home}/personas/{persona}{end}")) for end in ("", ".md", ".md.j2"))]
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
    """Delete the cursors beside a log that was repaired, as far as they can be.

    One that is left does no harm: it names the hash of an event at an offset of a file, and is of no use for others.
    """
    place = f"{folder}/{FOLDER}"
    try:
        names = os.listdir(place)
    except OSError:
        return
    for name in names:
        try:
            os.unlink(f"{place}/{name}")
        except OSError:
            continue


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


def _is_entry(value: Any) -> bool:
    known = isinstance(value, dict) and "run" in value and "owner" in value
    return known and all(isinstance(value.get(name), kind) for name, kind in _ENTRY.items())  # pyright: ignore[reportUnknownMemberType]


def _checksum(data: bytes) -> str:
    from zlib import crc32

    return f"{crc32(data):08x}"
