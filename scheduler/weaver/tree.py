"""The files of a commit as a value: applying changes gives another tree, without an index or a process.

Folders are read as they are asked for, and each only once: a tree costs what is looked at, not what is there.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from .patch import GITLINK, SYMLINK, Change, Entry, PatchSubmission, text

FOLDER = "40000"
Folder = Mapping[bytes, Entry]
_NONE: Folder = {}


class Objects(Protocol):
    """Where git's objects are."""

    def entries(self, oid: str) -> Folder:
        """Return the entries of a folder by their names."""
        ...

    def write_folder(self, entries: Folder) -> str:
        """Write a folder; return its id."""
        ...

    def top(self, commit: str) -> str:
        """Return the id of the top folder of a commit. Raises GitError where there is no such commit."""
        ...


class Tree:
    """All files of one commit."""

    def __init__(self, oid: str, objects: Objects, commit: str = "") -> None:
        self.oid = oid
        self.commit = commit  # that it was read from
        self.objects = objects
        self._known = dict[bytes, Folder]()  # by path, those that were asked for

    def __getitem__(self, path: bytes) -> Entry | None:
        entry = self._entry(path)
        return None if entry and entry.mode == FOLDER else entry

    def folder(self, path: bytes) -> str | None:
        """Return the id of a folder, None if there is none."""
        entry = self._entry(path)
        return entry.oid if entry and entry.mode == FOLDER else None

    def files_in(self, path: bytes) -> dict[bytes, Entry]:
        """Return the files of a folder and those below it, by their paths from the top."""
        folder = self.folder(path)
        return self._within(path, folder) if folder else {}

    def fits(self, changes: Iterable[Change]) -> bool:
        """Tell whether the changes apply: old files are unchanged, and no file is where a new one needs a folder."""
        return all(
            self._entry(path) == old and (old is not None or not any(self[above] for above in _above(path)))
            for path, old, _ in changes
        )

    def around(self, paths: Iterable[bytes]) -> dict[bytes, Entry]:
        """Return the files that `git apply` would read: these, files at the paths of their folders, and attributes."""
        files: dict[bytes, Entry] = {}
        folders = set[bytes]()
        for path in paths:
            entry = self._entry(path)
            if entry and entry.mode == FOLDER:
                files |= self._within(path, entry.oid)
            elif entry:
                files[path] = entry
            folders.update(_above(path))
        near = [*folders, *(folder + b"/.gitattributes" if folder else b".gitattributes" for folder in folders)]
        return files | {path: entry for path in near if (entry := self[path])}

    def changed(self, changes: Iterable[Change]) -> Tree:
        """Return the tree with these changes; its objects are written."""
        fresh: dict[bytes, dict[bytes, Entry]] = {}
        for path, _, new in sorted(changes, key=lambda change: change.new is not None):  # room first
            for above in _above(path):
                if above not in fresh:
                    fresh[above] = self._copied(above, fresh)
            parent, name = _split(path)
            if new is None:
                fresh[parent].pop(name, None)
            else:
                fresh[parent][name] = new
        return Tree(self._close(fresh), self.objects) if fresh else self

    def changes_to(self, other: Tree) -> list[Change]:
        """Return how the other tree differs from this one, by path; both have their objects in the same place."""
        return sorted(self._differences(other))

    def lacks_files_of(self, other: Tree) -> bool:
        """Tell whether the other tree has a file where this one has none."""
        return any(change.old is None for change in self._differences(other))

    def _differences(self, other: Tree) -> Iterator[Change]:
        tops = Entry(FOLDER, self.oid), Entry(FOLDER, other.oid)
        places: list[tuple[bytes, Entry | None, Entry | None]] = [(b"", *tops)]
        while places:
            path, *sides = places.pop()
            folders = [self._folder(side.oid) if side and side.mode == FOLDER else _NONE for side in sides]
            old, new = (None if side and side.mode == FOLDER else side for side in sides)
            if old != new:
                yield Change(path, old, new)
            for name in folders[0].keys() | folders[1].keys():
                was, now = (folder.get(name) for folder in folders)
                if was != now:
                    places.append((path + b"/" * bool(path) + name, was, now))

    def _copied(self, path: bytes, fresh: Mapping[bytes, Folder]) -> dict[bytes, Entry]:
        """Return the entries of a folder that is about to change, as those above it have it."""
        if not path:
            return dict(self._folder(self.oid))
        parent, name = _split(path)
        entry = fresh[parent].get(name)
        return dict(self._folder(entry.oid)) if entry and entry.mode == FOLDER else {}

    def _close(self, fresh: dict[bytes, dict[bytes, Entry]]) -> str:
        """Write the fresh folders, the deepest first, because each contains the ids of those within it."""
        for path in sorted(fresh.keys() - {b""}, key=lambda path: -path.count(b"/")):
            parent, name = _split(path)
            if fresh[path]:
                fresh[parent][name] = Entry(FOLDER, self.objects.write_folder(fresh[path]))
            elif (entry := fresh[parent].get(name)) and entry.mode == FOLDER:
                del fresh[parent][name]
        return self.objects.write_folder(fresh[b""])

    def _within(self, path: bytes, oid: str) -> dict[bytes, Entry]:
        files, folders = dict[bytes, Entry](), [(path, oid)]
        while folders:
            above, inner = folders.pop()
            for name, entry in self._folder(inner).items():
                if entry.mode == FOLDER:
                    folders.append((above + b"/" + name, entry.oid))
                else:
                    files[above + b"/" + name] = entry
        return files

    def _folder(self, oid: str) -> Folder:
        return self.objects.entries(oid)

    def _entry(self, path: bytes) -> Entry | None:
        parent, name = _split(path)
        entries = self._known.get(parent)
        if entries is None:
            entries = self._folder(self.oid)
            for part in parent.split(b"/") if parent else ():
                entry = entries.get(part)
                entries = self._folder(entry.oid) if entry and entry.mode == FOLDER else _NONE
            self._known[parent] = entries
        return entries.get(name)


@dataclass(frozen=True)
class Applied:
    """A patch, and what it changes in its base; `links` are the links that it makes and that a person may approve.

    `unnamed` are the new submodules for which its .gitmodules has no entry.
    """

    submission: PatchSubmission
    base: Tree
    changes: tuple[Change, ...]
    links: frozenset[tuple[bytes, Entry]] = frozenset()
    unnamed: tuple[str, ...] = ()

    @cached_property
    def tree(self) -> str:
        """The tree of the patch applied to its own base."""
        return self.base.changed(self.changes).oid

    @cached_property
    def _extended(self) -> tuple[bytes, ...]:
        """The folders of its base to which it adds files."""
        added = {above for change in self.changes if change.old is None for above in _above(change.path) if above}
        return tuple(place for place in sorted(added) if self.base.folder(place))

    @cached_property
    def _emptied(self) -> tuple[bytes, ...]:
        """The folders of its base of which it leaves nothing, if it adds files, so that they may have moved."""
        gone = {above for change in self.changes if change.new is None for above in _above(change.path) if above}
        if not gone or not any(change.old is None for change in self.changes):
            return ()
        after = Tree(self.tree, self.base.objects)
        return tuple(place for place in sorted(gone) if after.folder(place) is None)

    def meets_moved_folder(self, tree: Tree) -> bool:
        """Tell whether a folder to which one side adds files may have another name on the other side.

        It may if that side left nothing of it. Git finds out which name, by the files that moved.
        """
        if any(tree.folder(place) is None for place in self._extended):
            return True
        both = [(self.base.folder(place), tree.folder(place)) for place in self._emptied]
        return any(
            was and now and Tree(was, self.base.objects).lacks_files_of(Tree(now, tree.objects)) for was, now in both
        )

    def moved_along(self, tree: Tree, changes: Sequence[Change]) -> Sequence[Change]:
        """Return the changes of a merge with the tree, with no file left where a folder was that moved.

        Git moves what is added to the folder itself, but not what is added only to folders below it. The new place is
        where most of the folder's unchanged files are; without such a place, or with another file there, a file stays.
        """
        moved = {change.path: change for change in changes}
        result = tree.changed(changes)
        for place, side in self._gone_from(tree):
            if result.folder(place) is None or (to := _destination(self.base, side, place)) is None:
                continue
            for path, entry in result.files_in(place).items():
                new = to + path[len(place) :].removeprefix(b"" if to else b"/")
                if self.base[path] is None and result.fits([Change(new, None, entry)]):
                    moved[new] = Change(new, tree[new], entry)
                    moved.pop(path, None)
                    if old := tree[path]:
                        moved[path] = Change(path, old, None)
            result = tree.changed(moved.values())
        return sorted(moved.values())

    def _gone_from(self, tree: Tree) -> Iterator[tuple[bytes, Tree]]:
        """Yield the folders of which one side left nothing while the other may have added files, the deepest first."""
        theirs = Tree(self.tree, self.base.objects)
        gone = [(place, tree) for place in self._extended if tree.folder(place) is None]
        gone += [(place, theirs) for place in self._emptied if tree.folder(place)]
        yield from sorted(gone, key=lambda pair: -pair[0].count(b"/"))

    @property
    def files(self) -> tuple[str, ...]:
        """The paths it changes, as text."""
        return tuple(text(change.path) for change in self.changes)


def _destination(base: Tree, side: Tree, place: bytes) -> bytes | None:
    """Return where most of a folder's files are on a side, by their names and contents; None if that is not certain."""
    fresh: dict[Entry, list[bytes]] = {}
    for change in base.changes_to(side):
        if change.old is None and change.new:
            fresh.setdefault(change.new, []).append(change.path)
    votes = Counter[bytes]()
    for path, entry in base.files_in(place).items():
        name = path[len(place) :]
        votes.update({new[: -len(name)] for new in fresh.get(entry, ()) if (b"/" + new).endswith(name)})
    first, *rest = votes.most_common(2) or [(b"", 0)]
    return first[0] if first[1] and not (rest and rest[0][1] == first[1]) else None


def read_tree(objects: Objects, commit: str) -> Tree:
    """Return the files of a commit. Raises GitError where there is no such commit."""
    return Tree(objects.top(commit), objects, commit)


def tree_of(objects: Objects, files: Mapping[bytes, Entry]) -> Tree:
    """Write a tree of these files alone."""
    empty = Tree(objects.write_folder({}), objects)
    return empty.changed(Change(path, None, entry) for path, entry in files.items())


def parsed_folder(body: bytes, digits: int) -> dict[bytes, Entry]:
    """Parse a folder as git writes it; object ids have this number of digits."""
    folder, place, width = dict[bytes, Entry](), 0, digits // 2
    while place < len(body):
        space, end = body.index(b" ", place), body.index(b"\0", place)
        oid = body[end + 1 : end + 1 + width].hex()
        folder[body[space + 1 : end]] = Entry(_mode(int(body[place:space], 8)), oid)
        place = end + 1 + width
    return folder


def folder_body(folder: Folder) -> bytes:
    """Write a folder as git does: sorted as if the names of folders ended in a slash."""
    lines = sorted((name + b"/" * (entry.mode == FOLDER), name, entry) for name, entry in folder.items())
    return b"".join(b"%s %s\0%s" % (e.mode.encode(), name, bytes.fromhex(e.oid)) for _, name, e in lines)


def _mode(mode: int) -> str:
    """Return a mode as git takes it; early versions of git wrote others."""
    if stat.S_ISREG(mode):
        return "100755" if mode & stat.S_IXUSR else "100644"
    if stat.S_ISDIR(mode):
        return FOLDER
    return SYMLINK if stat.S_ISLNK(mode) else GITLINK


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
