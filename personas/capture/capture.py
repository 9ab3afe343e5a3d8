"""What a run changed, as a patch: the state of its work tree, or the one commit with a change if the tree has none.

Whatever else the run committed, in the clone or in its submodules, is kept as a bundle, so that nothing is lost without
a word. Files that agents leave for themselves, and linked worktrees of the clone, are left out of the patch, and told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...mail.log.disk import read_file
from ...mail.text.globs import matches
from ..errors import GitError
from ..git import Git
from .changes import ABSENT, GITLINK, Change, changes_in, complaints, counted, few, text
from .commits import Kept, borrow, bundle, read_commits
from .confined import MAX_OBJECT, Confined
from .litter import is_litter, only_ignores_litter
from .nested import adding, directory_of, snapshot, within
from .refs import Refs, is_folder, read_refs
from .survey import Survey
from .trust import Trust

_OURS = re.compile(rb"\.team/run(/|$)", re.IGNORECASE)
_PATCH = (
    "--patch", "--binary", "--full-index", "--no-abbrev", "--no-ext-diff", "--no-textconv", "--no-renames",
    "--no-color",
)  # fmt: skip
_DIFF = ("diff", "--cached", "--raw", "--numstat", *_PATCH)
Lay = Callable[[str, Trust, Sequence[Path]], Git]  # a name, settings, more stores of objects: to a fresh git


class Captured(NamedTuple):
    """What a run changed: the patch (empty for no change), the files' names, and the numbers of changed lines.

    Bytes in names that are not UTF-8 are escaped. `trouble` has git's first messages on files that could not be
    captured, such as unreadable ones. `notes` say what was left out and where the patch is from, if not from the work
    tree, and `kept` are commits that are no part of the patch; if `asks`, somebody has to look at them. If `unread`,
    there were more that could not be read.
    """

    patch: bytes
    files: tuple[str, ...]
    insertions: int
    deletions: int
    trouble: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    asks: bool = False
    unread: bool = False


class Difference(NamedTuple):
    """What an index changes in the base: file by file, as git's numbers of lines, and as a patch."""

    changes: list[Change]
    numbers: bytes
    patch: bytes


def patch_between(git: Git, base: str, tree: str) -> bytes:
    """Return the patch that a capture has if the files are those of `tree` and began as those of `base`."""
    return git("diff", *_PATCH, base, tree, "--")


@dataclass
class Capture:
    """Captures one workspace. `lay` makes fresh git directories, and `folder` has the index from before the run.

    `submodules` are those of the base, by path; `litter` are globs of files that the run's agent leaves behind;
    `known` names the commits of the user's branches. `apart` are globs of files that are never part of a patch, and
    `made` are the changes that were there before the agent: they are part of it only if it changed them further.
    `untouched` is an index that has the base and nothing else, None if there is none.
    """

    place: Path
    base: str
    folder: Path
    lay: Lay
    trust: Trust
    submodules: Mapping[bytes, str]
    known: Callable[[], Sequence[str]]
    litter: Sequence[str] = ()
    apart: Sequence[str] = ()
    made: frozenset[Change] = frozenset()
    untouched: Path | None = None
    notes: list[str] = field(default_factory=list[str])
    kept: list[Kept] = field(default_factory=list[Kept])
    trouble: list[str] = field(default_factory=list[str])

    def run(self) -> Captured:
        """Capture everything. Raises GitError."""
        tree = self._confined("git", self.trust, []).index("index")
        _, stderr = tree(*adding(self.place), most=MAX_OBJECT, allowed=(0, 1))
        self.trouble += complaints(stderr)
        difference, links = self._stripped(tree)
        asks = unread = False
        try:
            asks = self._keep_submodules()
            borrowed = self.folder / "borrowed"
            if self._has_objects() and borrow(self.place / ".git/objects", borrowed):
                taken, kept, asks_too = self._survey(borrowed).look(difference.changes, links)
                difference = self._stripped(taken)[0] if taken else difference
                self.kept += [kept] if kept else []
                asks |= asks_too
        except GitError as error:  # the work tree is captured all the same
            unread = True
            self.trouble.append(f"commits that could not be read ({error})")
        trouble, notes = (tuple(dict.fromkeys(words)) for words in (self.trouble, self.notes))
        return Captured(difference.patch, *counted(difference.numbers), trouble, notes, tuple(self.kept), asks, unread)

    def changes(self) -> frozenset[Change]:
        """Return how the work tree differs from the base now. Raises GitError."""
        tree = self._confined("git", self.trust, []).index("index")
        tree(*adding(self.place), most=MAX_OBJECT, allowed=(0, 1))
        return frozenset(_changed(tree, self.base))

    def _confined(self, name: str, trust: Trust, stores: Sequence[Path], place: Path | None = None) -> Confined:
        return Confined(self.lay(name, trust, stores).using(work_tree=place or self.place), self.folder)

    def _survey(self, borrowed: Path) -> Survey:
        git = self._confined("history", self.trust, [borrowed])
        return Survey(
            git, self.place, self.base, borrowed, self.known(), self.trust.filters, self._is_left_out,
            self.notes, self.trouble,
        )  # fmt: skip

    def _has_objects(self) -> bool:
        """Tell whether the clone's git directory is where it was; say so if something else is there."""
        directory = self.place / ".git"
        if os.path.lexists(directory) and not is_folder(directory):
            self.trouble.append(".git is no folder any more, so no commits were looked for")
        return is_folder(directory)

    def _difference(self, git: Confined) -> Difference:
        if self._is_untouched(git):
            return Difference([], b"", b"")
        head, _, patch = git(*_DIFF, self.base, "--")[0].partition(b"\n\n")
        return Difference(changes_in(head), head, patch)

    def _is_untouched(self, git: Confined) -> bool:
        """Tell whether all entries of an index are those of the base, as far as its bytes show it.

        They stand before the extension TREE, in which git only remembers the trees that it has written.
        """
        if self.untouched is None:
            return False
        before, now = read_file(self.untouched), read_file(Path(git.git.settings["GIT_INDEX_FILE"]))
        end = before.rfind(b"TREE")  # at its beginning or, if a folder has that name, behind it
        return end > 0 and now[:end] == before[:end]

    def _stripped(self, git: Confined) -> tuple[Difference, set[bytes]]:
        """Take out of an index what is no part of a patch, and put submodules where they are now.

        Return what is left, and the linked worktrees that were in it.
        """
        self._put_back(git)
        difference = self._difference(git)
        links = {change.path for change in difference.changes if self._is_linked(change)}
        left_out = [change for change in difference.changes if self._is_left_out(change)]
        rows = [b"0 %s\t%s\0" % (b"0" * len(self.base), change.path) for change in left_out]
        rows += [row for change in difference.changes if (row := self._ignore_row(git, change))]
        rows += [b"%s %s\t%s\0" % (GITLINK, oid.encode(), path) for path, oid in self._moved_submodules()]
        litter = [text(change.path) for change in left_out if change.path not in links and not self._is_apart(change)]
        if litter:
            self.notes.append(f"left out of the patch: {few(litter)}")
        if links:
            self.notes.append(f"left out of the patch: the worktree {few(map(text, sorted(links)))}")
        if rows:
            git("update-index", "-z", "--index-info", stdin=b"".join(rows))
            difference = self._difference(git)
        return difference, links

    def _put_back(self, git: Confined) -> None:
        """Put those files of an index back to the base that are as they were before the agent."""
        same = [change for change in _changed(git, self.base) if change in self.made] if self.made else []
        if same:
            rows = (b"%s %s\t%s\0" % (*self._entry(git, change), change.path) for change in same)
            git("update-index", "-z", "--index-info", stdin=b"".join(rows))

    def _entry(self, git: Confined, change: Change) -> tuple[bytes, bytes]:
        """Return mode and object id of a file in the base, as a row of an index has them; zeros if it is not there."""
        if not change.tracked:
            return b"0", b"0" * len(self.base)
        entry = git("ls-tree", "-z", self.base, "--", os.fsdecode(change.path))[0].partition(b"\t")[0]
        mode, _, oid = entry.split(b" ")
        return mode, oid

    def _is_linked(self, change: Change) -> bool:
        """Tell whether a file is a linked worktree of the clone itself."""
        return change.mode == GITLINK and directory_of(self.place, change.path, "worktrees") is not None

    def _is_left_out(self, change: Change) -> bool:
        if change in self.made:
            return True
        if change.tracked or change.mode == ABSENT:
            return False
        if change.mode == GITLINK:
            return self._is_linked(change)
        return self._is_apart(change) or is_litter(change.path, self.litter)

    def _is_apart(self, change: Change) -> bool:
        return bool(_OURS.match(change.path)) or matches(change.path, self.apart)

    def _ignore_row(self, git: Confined, change: Change) -> bytes:
        """Return the row that puts a `.gitignore` back to which an agent added nothing but its own litter."""
        if change.path.rpartition(b"/")[2] != b".gitignore" or not change.mode.startswith(b"100"):
            return b""
        mode, oid = self._entry(git, change)
        before = b""
        if change.tracked:
            before = git("cat-file", "blob", oid.decode())[0] if mode != GITLINK else b"?"
        if not only_ignores_litter(before, git("cat-file", "blob", change.oid.decode())[0], self.litter):
            return b""
        self.notes.append(f"left out of the patch: lines of {text(change.path)} that ignore an agent's own files")
        return b"%s %s\t%s\0" % (mode, oid, change.path)

    def _submodule(self, path: bytes) -> tuple[Path, Path] | None:
        """Return the folder of a submodule that the run has filled, and its git directory."""
        place, directory = within(self.place, path), directory_of(self.place, path, "modules")
        if place and directory is None and is_folder(place / ".git"):
            directory = place / ".git"
        if place and directory is None and os.path.lexists(place / ".git"):
            self.trouble.append(f"submodule {text(path)}: its repository is outside of the clone")
        return (place, directory) if place and directory else None

    def _moved_submodules(self) -> list[tuple[bytes, str]]:
        """Return the submodules whose HEAD is not what the base says, with that HEAD."""
        moved: list[tuple[bytes, str]] = []
        for path, old in self.submodules.items():
            if module := self._submodule(path):
                head = read_refs(module[1]).heads.get(module[1])
                moved += [(path, head)] if head and head != old else []
        return moved

    def _keep_submodules(self) -> bool:
        """Keep the commits that the run made in submodules, and what it did not commit; tell whether there are any."""
        for number, (path, old) in enumerate(sorted(self.submodules.items())):
            borrowed = self.folder / f"borrowed-{number}"
            if (module := self._submodule(path)) and borrow(module[1] / "objects", borrowed):
                git = self._confined(f"module-{number}", Trust(), [borrowed], module[0])
                self._keep_submodule(git, f"submodule {text(path)}", read_refs(module[1]), module[1], old, borrowed)
        return bool(self.kept)

    def _keep_submodule(  # noqa: PLR0917 - a repository, and what is known of it
        self, git: Confined, where: str, refs: Refs, directory: Path, old: str, borrowed: Path
    ) -> None:
        if (head := refs.heads.get(directory)) and (made := snapshot(git, head, borrowed, self.trouble)):
            refs.own["files that were not committed"] = made
        refs.own = {name: oid for name, oid in refs.own.items() if not name.startswith("tag ")}
        commits = read_commits(git, borrowed, [old, *refs.known])
        if heads := commits.heads(refs):
            self.kept.append(bundle(git, commits, heads, where))
            self.notes.append(f"kept as a bundle: commits in {where}")


def _changed(git: Confined, base: str) -> list[Change]:
    """Return how an index differs from a commit."""
    return changes_in(git("diff", "--cached", "--raw", "--no-abbrev", "--no-renames", base, "--")[0])
