"""Lands patches one after the other on a branch that exists only in memory, a scratch index and the object store.

A patch whose files are all unchanged since its base is applied as a change of the tree, as `git apply` would do, but
without a process. If others have changed its files, `git apply --3way` merges it, with the user's merge drivers, then
`git merge-tree`, which follows renames. A plain `git apply` would accept such a patch, too, wherever its context
happens to match, even at the wrong one of two similar places: a merge knows where it belongs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .commit import write_commit
from .marks import MARK
from .merging import MERGE_TREE, THREE_WAY, Merging
from .patch import GITLINK, Change, text
from .refusal import refused, sensitive
from .result import Landed, Present
from .scratch import Quarantine
from .tree import Applied, Tree

WAYS = (THREE_WAY, MERGE_TREE)
_AHEAD = 4  # patches that are merged at once, as long as they land


@dataclass
class Branch:
    """A line of new commits that starts from an existing commit."""

    merging: Merging
    tree: Tree
    tip: str
    landed: list[Landed] = field(default_factory=list[Landed])
    present: list[Present] = field(default_factory=list[Present])

    def fork(self) -> Branch:
        """Return another branch that continues from here."""
        return Branch(self.merging, self.tree, self.tip, [*self.landed], [*self.present])

    @property
    def quarantine(self) -> Quarantine:
        """Where its objects are."""
        return self.merging.quarantine

    @property
    def settled(self) -> tuple[Landed | Present, ...]:
        """The patches that are on the branch, by whichever commit."""
        return (*self.landed, *self.present)

    def land(self, each: Applied, ways: Sequence[str] = WAYS) -> bool:
        """Land a patch by the first way that accepts it; return False, with the branch unchanged, if none does.

        Where a folder may have moved to which somebody adds files, only git's merge says where these belong.
        """
        met = each.meets_moved_folder(self.tree)
        if met:
            ways = [way for way in ways if way == MERGE_TREE]
        elif self.tree.fits(each.changes):
            self._commit(each, self.tree.changed(each.changes), each.changes, "apply")
            return True
        for way in ways:
            changes = self.merging.changes(way, self.tree, each)
            if changes is not None and met:
                changes = each.moved_along(self.tree, changes)
            if changes is not None and self._sound(each, changes):
                self._commit(each, self.tree.changed(changes), changes, way)
                return True
        return False

    def land_each(self, queue: Sequence[Applied], ways: Sequence[str] = WAYS) -> Iterator[tuple[Applied, bool]]:
        """Land patches one after the other; yield for each whether it landed.

        Merges are made ahead, for twice as many of the next patches after each that does not land: it leaves the branch
        as it was, and so what is known of the next. One that lands leaves most files as they were.
        """
        ahead = _AHEAD
        for number, each in enumerate(queue):
            if not self.tree.fits(each.changes):
                following = [each for each in queue[number : number + ahead] if not self.tree.fits(each.changes)]
                self.merging.foresee(self.tree, following, ways)
            landed = self.land(each, ways)
            ahead = _AHEAD if landed else 2 * ahead
            yield each, landed

    def _commit(self, each: Applied, tree: Tree, changes: Iterable[Change], how: str) -> None:
        if tree.oid == self.tree.oid:
            self.present.append(Present(each.submission, each.files))
            return
        self.tip = write_commit(self.quarantine.write, each.submission, tree.oid, [self.tip])
        self.tree = tree
        self.landed.append(Landed(each.submission, self.tip, how, tuple(text(change.path) for change in changes)))

    def _sound(self, each: Applied, changes: Sequence[Change]) -> bool:
        """Tell whether a merge does only what the patch may: no other deletions, no forbidden changes, no markers.

        A file that moves with its folder is not deleted.
        """
        deleted = {change.path for change in each.changes if change.new is None}
        added = {change.new for change in changes if change.old is None}
        if any(new is None and path not in deleted and old not in added for path, old, new in changes):
            return False
        if changes and refused(each.submission, changes, each.links):
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


def _added(change: Change, marks: dict[str, Counter[bytes]]) -> Counter[bytes]:
    old, new = (marks.get(entry.oid, Counter[bytes]()) if entry else Counter[bytes]() for entry in change[1:])
    return new - old
