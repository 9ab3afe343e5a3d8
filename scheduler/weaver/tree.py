"""The files of a commit as a value: applying changes gives another tree, without an index or a process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from ...personas.git import Git
from .patch import Change, Entry, PatchSubmission, text

_FOLDER = "40000"
Write = Callable[[str, bytes], str]  # an object's kind and body to its id
Folders = dict[bytes, dict[bytes, Entry]]  # by path, "" the top; each with its entries by name


class Tree:
    """All files of one commit."""

    def __init__(self, oid: str, folders: Folders, write: Write, commit: str = "") -> None:
        self.oid = oid
        self.commit = commit  # that it was read from
        self._folders = folders
        self.write = write

    def __getitem__(self, path: bytes) -> Entry | None:
        entry = self._entry(path)
        return None if entry and entry.mode == _FOLDER else entry

    def fits(self, changes: Iterable[Change]) -> bool:
        """Tell whether the changes apply: old files are unchanged, and no file is where a new one needs a folder."""
        return all(
            self._entry(path) == old and (old is not None or not any(self[above] for above in _above(path)))
            for path, old, _ in changes
        )

    def around(self, paths: Iterable[bytes]) -> dict[bytes, Entry]:
        """Return the files that `git apply` would read: these, files at the paths of their folders, and attributes."""
        files: dict[bytes, Entry | None] = {}
        for path in paths:
            files[path] = self[path]
            for above in _above(path):
                attributes = above + b"/.gitattributes" if above else b".gitattributes"
                files |= {above: self[above], attributes: self[attributes]}
            if path in self._folders:
                files |= self._within(path)
        return {path: entry for path, entry in files.items() if entry}

    def _within(self, folder: bytes) -> dict[bytes, Entry]:
        inner = [place for place in self._folders if place == folder or place.startswith(folder + b"/")]
        paths = [place + b"/" + name for place in inner for name in self._folders[place]]
        return {path: entry for path in paths if (entry := self[path])}

    def changed(self, changes: Iterable[Change]) -> Tree:
        """Return the tree with these changes; its objects are written."""
        folders, fresh = dict(self._folders), set[bytes]()
        for path, _, new in sorted(changes, key=lambda change: change.new is not None):  # room first
            for above in _above(path):
                if above not in fresh:
                    folders[above] = dict(folders.get(above, {}))
                    fresh.add(above)
            parent, name = _split(path)
            if new is None:
                folders[parent].pop(name, None)
            else:
                folders[parent][name] = new
        return Tree(self._close(folders, fresh), folders, self.write)

    def _close(self, folders: Folders, fresh: set[bytes]) -> str:
        """Write the fresh folders, the deepest first, because each contains the ids of those within it."""
        for path in sorted(fresh - {b""}, key=lambda path: -path.count(b"/")):
            parent, name = _split(path)
            if folders[path]:
                folders[parent][name] = Entry(_FOLDER, self.write("tree", _body(folders[path])))
            else:
                del folders[path]
                if (entry := folders[parent].get(name)) and entry.mode == _FOLDER:
                    del folders[parent][name]
        return self.write("tree", _body(folders[b""])) if fresh else self.oid

    def _entry(self, path: bytes) -> Entry | None:
        parent, name = _split(path)
        return self._folders.get(parent, {}).get(name)


@dataclass(frozen=True)
class Applied:
    """A patch, and what it changes in its base."""

    submission: PatchSubmission
    base: Tree
    changes: tuple[Change, ...]

    @cached_property
    def tree(self) -> str:
        """The tree of the patch applied to its own base."""
        return self.base.changed(self.changes).oid

    @property
    def files(self) -> tuple[str, ...]:
        """The paths it changes, as text."""
        return tuple(text(change.path) for change in self.changes)


def read_tree(git: Git, commit: str, write: Write) -> Tree:
    """Read all files of a commit. Raises GitError where there is no such commit."""
    lines = git("ls-tree", "-r", "-t", "-z", "--full-tree", commit).split(b"\0")[:-1]
    folders: Folders = {b"": {}}
    for parent, group in groupby(map(_line, lines), key=lambda line: line[0]):
        folders.setdefault(parent, {}).update({name: entry for _, name, entry in group})
    return Tree(write("tree", _body(folders[b""])), folders, write, commit)


def _line(line: bytes) -> tuple[bytes, bytes, Entry]:
    entry, _, path = line.partition(b"\t")
    mode, _, oid = entry.decode().split(" ")
    return *_split(path), Entry(mode.lstrip("0"), oid)


def _split(path: bytes) -> tuple[bytes, bytes]:
    parent, _, name = path.rpartition(b"/")
    return parent, name


def _above(path: bytes) -> Iterator[bytes]:
    """Yield the folders that contain a path, from the top."""
    yield b""
    place = path.find(b"/")
    while place >= 0:
        yield path[:place]
        place = path.find(b"/", place + 1)


def _body(folder: dict[bytes, Entry]) -> bytes:
    """Write a folder as git does: sorted as if the names of folders ended in a slash."""
    lines = sorted((name + b"/" * (entry.mode == _FOLDER), name, entry) for name, entry in folder.items())
    return b"".join(b"%s %s\0%s" % (e.mode.encode(), name, bytes.fromhex(e.oid)) for _, name, e in lines)
