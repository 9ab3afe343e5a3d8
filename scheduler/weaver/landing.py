"""Lands patches one after the other on a branch that exists only in memory, a scratch index and the object store.

A patch whose files are all unchanged since its base is applied as a change of the tree, as `git apply` would do, but
without a process. If others have changed its files, `git apply --3way` merges it, with the user's merge drivers, then
`git merge-tree`, which follows renames. A plain `git apply` would accept such a patch, too, wherever its context
happens to match, even at the wrong one of two similar places: a merge knows where it belongs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...mail.log.disk import read_file
from .applying import limited
from .commit import write_commit
from .index import read_index, write_index
from .marks import MARK
from .patch import GITLINK, Change, Entry, WeaveLimits, changed, changes_in, text
from .refusal import refused, sensitive
from .result import Landed, Present
from .scratch import Quarantine
from .tree import Applied, Tree

WAYS = ("3way", "merge-tree")
_MERGING = ("apply", "--cached", "--3way", "-")
_RAW = ("-r", "--raw", "-z", "--no-renames")
Merges = dict[tuple[str, frozenset[tuple[bytes, Entry]]], Sequence[Change] | None]


@dataclass
class Branch:
    """A line of new commits that starts from an existing commit."""

    quarantine: Quarantine
    limits: WeaveLimits
    tree: Tree
    tip: str
    landed: list[Landed] = field(default_factory=list[Landed])
    present: list[Present] = field(default_factory=list[Present])
    _known: Merges = field(default_factory=dict)

    def fork(self) -> Branch:
        """Return another branch that continues from here."""
        return Branch(self.quarantine, self.limits, self.tree, self.tip, [*self.landed], [*self.present], self._known)

    @property
    def settled(self) -> tuple[Landed | Present, ...]:
        """The patches that are on the branch, by whichever commit."""
        return (*self.landed, *self.present)

    def land(self, each: Applied, ways: Sequence[str] = WAYS) -> bool:
        """Land a patch by the first way that accepts it; return False, with the branch unchanged, if none does."""
        if self.tree.fits(each.changes):
            self._commit(each, self.tree.changed(each.changes), each.changes, "apply")
            return True
        for way in ways:
            changes = self._three_way(each) if way == "3way" else self._merge_tree(each)
            if changes is not None and self._sound(each, changes):
                self._commit(each, self.tree.changed(changes), changes, way)
                return True
        return False

    def _commit(self, each: Applied, tree: Tree, changes: Iterable[Change], how: str) -> None:
        if tree.oid == self.tree.oid:
            self.present.append(Present(each.submission, each.files))
            return
        self.tip = write_commit(self.quarantine.write, each.submission, tree.oid, [self.tip])
        self.tree = tree
        self.landed.append(Landed(each.submission, self.tip, how, tuple(text(change.path) for change in changes)))

    def _three_way(self, each: Applied) -> Sequence[Change] | None:
        """Merge file by file; None if that leaves a conflict. Cached, because other orders ask for the same merges."""
        files = self.tree.around(change.path for change in each.changes)
        asked = each.submission.key, frozenset(files.items())
        if asked not in self._known:
            self._known[asked] = self._merge(each, files)
        return self._known[asked]

    def _merge(self, each: Applied, files: Mapping[bytes, Entry]) -> Sequence[Change] | None:
        patch = self._canonical(each)
        path = self.quarantine.folder / "attempt"
        write_index(path, files, len(self.tip))
        index = self.quarantine.index(path.name)
        within = self.limits.seconds  # a merge driver could wait for ever
        if index.run(*_MERGING, stdin=patch, wrapper=limited(self.limits), timeout=within).returncode:
            return None
        merged = read_index(path, len(self.tip))
        return None if merged is None else changed(files, merged)

    def _canonical(self, each: Applied) -> bytes:
        """Have git rewrite the patch with full blob ids, which a merge needs."""
        path = self.quarantine.folder / f"patch-{each.base.oid}-{each.tree}"
        if not path.exists():
            options = ("-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "-U3")
            prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
            path.write_bytes(self.quarantine.git("diff-tree", *options, *prefixes, each.base.oid, each.tree))
        return read_file(path)

    def _merge_tree(self, each: Applied) -> Sequence[Change] | None:
        """Merge whole trees, which follows renames; None if that leaves a conflict."""
        git = self.quarantine.git
        words = ("merge-tree", "--write-tree", "--no-messages", "--name-only")
        merge = git.run(*words, *sides(self.tree, each), timeout=self.limits.seconds)
        if merge.returncode:
            return None
        return changes_in(git("diff-tree", *_RAW, self.tree.oid, merge.stdout.decode().strip()))

    def _sound(self, each: Applied, changes: Sequence[Change]) -> bool:
        """Tell whether a merge does only what the patch may: no other deletions, no forbidden changes, no markers."""
        deleted = {change.path for change in each.changes if change.new is None}
        if any(change.new is None and change.path not in deleted for change in changes):
            return False
        if changes and refused(each.submission, changes):
            return False
        if not each.submission.approved and sensitive(changes):
            return False
        return not (self.quarantine.has_drivers and self._marked(each, changes))

    def _marked(self, each: Applied, changes: Sequence[Change]) -> bool:
        """Tell whether a merge left conflict markers that neither the branch nor the patch had."""
        entries = {entry for change in (*changes, *each.changes) for entry in change[1:] if entry}
        blobs = self.quarantine.blobs({entry.oid for entry in entries if entry.mode != GITLINK})
        marks = {oid: Counter(MARK.findall(blob)) for oid, blob in blobs.items()}
        patch = sum((_added(change, marks) for change in each.changes), Counter[bytes]())
        return any(_added(change, marks) - patch for change in changes)


def sides(tree: Tree, each: Applied) -> tuple[str, str]:
    """Write the two commits whose merge is the patch on that tree; the parent of both is the patch's base."""
    ours, theirs = (
        write_commit(tree.write, each.submission, oid, [each.submission.base]) for oid in (tree.oid, each.tree)
    )
    return ours, theirs


def _added(change: Change, marks: dict[str, Counter[bytes]]) -> Counter[bytes]:
    old, new = (marks.get(entry.oid, Counter[bytes]()) if entry else Counter[bytes]() for entry in change[1:])
    return new - old
