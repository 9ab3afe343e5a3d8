"""The refs of a repository that an agent could write to, read as bytes: no git is run in it, and no link followed.

What does not look like a ref is passed over. Numbers and sizes are limited, because an agent may leave anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_ID = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_LINE = re.compile(rb"^([0-9a-f]{40}|[0-9a-f]{64}) (refs/[^\s~^:?*\[\\]+)$", re.MULTILINE)
_REFLOG = re.compile(rb"^(?:[0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ", re.MULTILINE)
_FETCHED = re.compile(rb"^([0-9a-f]{40}|[0-9a-f]{64})\t", re.MULTILINE)
_LARGEST = 16 << 20  # bytes of packed-refs or a reflog
_MOST = 10_000  # loose refs
_DEEPEST = 12  # folders


@dataclass
class Refs:
    """The commits that a repository names: those of its own work, by what people call them, and those it fetched."""

    own: dict[str, str] = field(default_factory=dict[str, str])  # name to commit: "branch fix", "stash@{0}"
    known: set[str] = field(default_factory=set[str])
    heads: dict[Path, str] = field(default_factory=dict[Path, str])  # of the git directory, and of linked worktrees


def read_refs(directory: Path) -> Refs:
    """Read what a git directory names: branches, tags, stashes, what it fetched, and each HEAD of its worktrees."""
    refs, named = Refs(), _named(directory)
    refs.known |= {oid.decode() for oid in _FETCHED.findall(read_plain(directory / "FETCH_HEAD", _LARGEST))}
    for name, oid in named.items():
        if name.startswith("refs/remotes/"):
            refs.known.add(oid)
        elif name != "refs/stash":
            refs.own[_called(name)] = oid
    refs.own |= {f"stash@{{{number}}}": oid for number, oid in enumerate(_stashes(directory, named))}
    for name, place in (("detached HEAD", directory), *_worktrees(directory)):
        if oid := head_of(place, named):
            refs.heads[place] = oid
            if oid not in refs.own.values():
                refs.own[name] = oid
    return refs


def _named(directory: Path) -> dict[str, str]:
    """Read the refs of a git directory; those in files of their own override the packed ones."""
    packed = _LINE.findall(read_plain(directory / "packed-refs", _LARGEST))
    named: dict[str, str] = {os.fsdecode(name): oid.decode() for oid, name in packed}
    for name, path in _loose(directory / "refs", "refs", _DEEPEST):
        if _ID.fullmatch(value := read_plain(path, 1_000).strip()):
            named[name] = value.decode()
    return named


def _stashes(directory: Path, named: Mapping[str, str]) -> list[str]:
    """List the stashes, the newest first; the older ones are only in the reflog."""
    reflog = read_plain(directory / "logs/refs/stash", _LARGEST)
    stashes = [match[1].decode() for match in _REFLOG.finditer(reflog)]
    newest = named.get("refs/stash")
    return [*([newest] if newest and newest not in stashes else []), *reversed(stashes)]


def head_of(directory: Path, named: Mapping[str, str]) -> str | None:
    """Return the commit of a HEAD: its own, or that of the branch that it names."""
    text = read_plain(directory / "HEAD", 1_000).strip()
    if _ID.fullmatch(text):
        return text.decode()
    return named.get(os.fsdecode(text.removeprefix(b"ref: ")))


def read_plain(path: Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes, without following a link; anything else is empty."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            return b""
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(handle)


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def entries(folder: Path, most: int = _MOST) -> list[os.DirEntry[str]]:
    """List a folder that is no link and can be read; the first `most` entries, if there are more."""
    with suppress(OSError):
        if is_folder(folder):
            with os.scandir(folder) as listed:
                return [entry for entry, _ in zip(listed, range(most), strict=False)]
    return []


def _worktrees(directory: Path) -> Iterator[tuple[str, Path]]:
    for entry in entries(directory / "worktrees"):
        if entry.is_dir(follow_symlinks=False):
            yield f"the worktree {entry.name}", Path(entry.path)


def _loose(folder: Path, name: str, depth: int) -> Iterator[tuple[str, Path]]:
    for entry in entries(folder):
        inner = f"{name}/{entry.name}"
        if entry.is_dir(follow_symlinks=False) and depth:
            yield from _loose(Path(entry.path), inner, depth - 1)
        elif entry.is_file(follow_symlinks=False):
            yield inner, Path(entry.path)


def _called(name: str) -> str:
    kind, _, short = name.removeprefix("refs/").partition("/")
    return {"heads": f"branch {short}", "tags": f"tag {short}"}.get(kind, name)
