"""What a run that goes on has changed so far, read by a git that the agent cannot have changed.

The agent is alive, and may put a link or a pipe in the place of a file at any moment. So git only names the files that
differ from the base; each is read by a descriptor that was reached without following a link, and stored, by way of a
copy where git has to convert it. What it would take long to read is passed over: this is for looking ahead, not for a
patch.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...mail.text.globs import matches
from ..errors import GitError, WorkspaceLost
from ..keeping.waiting import open_below
from .changes import Change
from .confined import Confined
from .litter import is_litter
from .nested import apart

_LISTED = 1 << 19  # bytes of names; some thousand of them
_INDEX = 1 << 28  # bytes
_MOST_FILES = 500
_LARGEST = 1 << 20  # bytes of one file
_MOST_BYTES = 16 << 20  # of all files that are read in one look
_LINK = b"120000"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = b"?"
Version = tuple[bytes, bytes]  # mode and object id
Signature = tuple[int, ...]


class Seen(NamedTuple):
    """The files that differ from the base, by path, None for one that is gone; `whole` if none was passed over."""

    files: Mapping[bytes, Version | None]
    whole: bool


class _File(NamedTuple):
    """A file of the work tree: what tells one state of it from the next, its mode, and its content if it is new."""

    signature: Signature
    mode: bytes
    data: bytes


@dataclass
class Glance:
    """Looks at the work tree at `place` again and again; `git` has the index from before the run and a `folder`.

    `write` stores an object of a kind and with a body, and returns its id; files that git may convert it stores itself.
    `litter` and `left_out` are globs of files that are no part of a patch, `made` the changes from before the agent,
    and `submodules` the paths of the base's, which are passed over.
    """

    place: Path
    git: Confined
    write: Callable[[str, bytes], str]
    litter: Sequence[str] = ()
    left_out: Sequence[str] = ()
    made: frozenset[Change] = frozenset()
    converting: bool = True
    submodules: Collection[bytes] = ()
    _refreshed: bool = False
    _known: dict[bytes, tuple[Signature, Version]] = field(default_factory=dict[bytes, tuple[Signature, Version]])

    def look(self) -> Seen:
        """Look once. Raises WorkspaceLost if the agent removed the folder, GitError, and OSError."""
        if self.place.is_symlink() or not self.place.is_dir():
            raise WorkspaceLost(f"the workspace {self.place} is gone or replaced")
        if not self._refreshed:  # files as young as the index would be read each time
            self.git("update-index", "-q", "--refresh", allowed=(0, 1), most=_INDEX)
            self._refreshed = True
        names, whole = self._names()
        files: dict[bytes, Version | None] = {}
        fresh: dict[bytes, _File] = {}
        left = _MOST_BYTES
        for name in names[:_MOST_FILES]:
            known = self._known.get(name)
            file = _read(self.place, name, known and known[0], left)
            if file is None:
                files[name] = None
            elif isinstance(file, str):
                whole = False
            elif known and known[0] == file.signature:
                files[name] = known[1]
            else:
                fresh[name] = file
                left -= len(file.data)
        stored = self._stored(fresh)
        files |= stored
        self._known = {name: self._known[name] for name in files if name in self._known and name not in stored}
        self._known |= {name: (fresh[name].signature, version) for name, version in stored.items()}
        before = {change.path: (change.mode, change.oid) for change in self.made}
        kept = {name: version for name, version in files.items() if version is None or before.get(name) != version}
        return Seen(kept, whole and len(names) <= _MOST_FILES)

    def _names(self) -> tuple[list[bytes], bool]:
        """Return the files that may differ from the base, and whether those are all; without new ones if too many."""
        words = ("ls-files", "-z", "-t", "--modified", "--deleted")
        paths = apart(self.place)
        try:
            printed, whole = self.git(*words, "--others", "--exclude-standard", *paths, most=_LISTED)[0], True
        except GitError:
            printed, whole = self.git(*words, *paths, most=_LISTED)[0], False
        names = dict.fromkeys(row[2:] for row in printed.split(b"\0") if row and not self._is_left_out(row))
        return [*names], whole

    def _is_left_out(self, row: bytes) -> bool:
        name = row[2:]
        if name.endswith(b"/") or name in self.submodules:  # a repository within this one
            return True
        return row[:1] == _NEW and (matches(name, self.left_out) or is_litter(name, self.litter))

    def _stored(self, files: Mapping[bytes, _File]) -> dict[bytes, Version]:
        """Store files as git would store them from the work tree, filters and line endings included."""
        by_git = {name: file.data for name, file in files.items() if self.converting and file.mode != _LINK}
        ids = self._hashed(by_git)
        ids |= {name: self.write("blob", file.data).encode() for name, file in files.items() if name not in by_git}
        return {name: (file.mode, ids[name]) for name, file in files.items()}

    def _hashed(self, contents: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Have git store contents by the names of their files; return their ids."""
        if not contents:
            return {}
        copies = self.git.folder / "copies"
        shutil.rmtree(copies, ignore_errors=True)
        for name, data in contents.items():
            target = copies / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        git = Confined(self.git.git.using(work_tree=copies), self.git.folder, self.git.timeout)
        rows = b"".join(_quoted(name) + b"\n" for name in contents)
        words = ("hash-object", "-w", "--stdin-paths")
        return dict(zip(contents, git(*words, stdin=rows, most=_MOST_BYTES, cwd=copies)[0].split(), strict=True))


def _read(place: Path, name: bytes, known: Signature | None, left: int) -> _File | str | None:
    """Read a file, following no link, unless it is `known`; None if it is not there, or why it is passed over."""
    *steps, last = os.fsdecode(name).split("/")
    try:
        folder = open_below(str(place), steps)
    except OSError:  # gone, or no folder any more
        return None
    try:
        return _file(folder, last, known, left)
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error)
    finally:
        os.close(folder)


def _file(folder: int, name: str, known: Signature | None, left: int) -> _File | str | None:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    signature = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return _File(signature, _LINK, os.fsencode(os.readlink(name, dir_fd=folder)))
    if stat.S_ISDIR(status.st_mode):
        return None
    mode = b"100755" if status.st_mode & stat.S_IXUSR else b"100644"
    if signature == known:
        return _File(signature, mode, b"")
    if not stat.S_ISREG(status.st_mode) or status.st_size > min(_LARGEST, left):
        return "no file, or too large"
    with os.fdopen(os.open(name, _OPEN, dir_fd=folder), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return "no file any more"
        data = file.read(_LARGEST + 1)
    return _File(signature, mode, data) if len(data) <= _LARGEST else "too large"


def _quoted(name: bytes) -> bytes:
    """Write a name as git reads it from a line, whatever is in it."""
    return b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'
