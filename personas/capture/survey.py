"""The commits of a run that its work tree does not have: the only one is taken for its change, others are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .changes import ABSENT, Change, changes_in, few, text
from .commits import Commits, Head, Kept, bundle, read_commits
from .confined import Confined
from .nested import directory_of, snapshot, within
from .refs import Refs, is_folder, read_plain, read_refs

_MOST = 50  # heads that are compared with the work tree
_TREES = ("diff-tree", "-r", "--raw", "--no-abbrev", "--no-renames")


@dataclass
class Survey:
    """Looks through the commits of the clone at `place`.

    `git` reads its objects, which `borrowed` links to. `known` are commits of the user's, `filters` the names of those
    that change files. `is_left_out` tells what is no part of a patch. `notes` and `trouble` are added to.
    """

    git: Confined
    place: Path
    base: str
    borrowed: Path
    known: Sequence[str]
    filters: Mapping[str, object]
    is_left_out: Callable[[Change], bool]
    notes: list[str]
    trouble: list[str]

    def look(self, changes: Sequence[Change], links: set[bytes]) -> tuple[Confined | None, Kept | None, bool]:
        """Compare with the `changes` of the work tree, in which are `links`, the linked worktrees.

        Return the index of the commit that is taken, what is kept, and whether somebody has to look at that.
        """
        refs = read_refs(self.place / ".git")
        self._add_snapshots(refs, links | self._worktrees(refs))
        commits = read_commits(self.git, self.borrowed, [self.base, *self.known, *refs.known])
        done = {change.path: change for change in changes}
        heads = commits.heads(refs)
        left = [head for head in heads[:_MOST] if not self._is_done(commits, head, done)] + heads[_MOST:]
        named = [head for head in left if head.named]
        taken = None if changes or not named else self._taken(commits, named)
        if taken is not None:
            self.notes.append(f"the work tree had no change, so that of {named[0].name} was taken")
            left = [head for head in left if not head.named]
        if not left:
            return taken, None, False
        self.notes.append(f"kept as a bundle: {few(head.name for head in left)}")
        asks = any(head.named for head in left) or not (changes or taken)
        return taken, bundle(self.git, commits, left, ""), asks

    def _add_snapshots(self, refs: Refs, links: set[bytes]) -> None:
        """Count what linked worktrees within the clone have not committed as commits, too."""
        for link in sorted(links):
            inner, directory = within(self.place, link), directory_of(self.place, link, "worktrees")
            if inner and directory and (head := refs.heads.get(directory)):
                git = replace(self.git, git=self.git.git.using(work_tree=inner))
                if made := snapshot(git, head, self.borrowed, self.trouble):
                    refs.own[f"files in {text(link)} that were not committed"] = made

    def _worktrees(self, refs: Refs) -> set[bytes]:
        """Return the linked worktrees within the clone, which may be ignored, and say which ones are outside of it."""
        inside: set[bytes] = set()
        for directory in refs.heads:
            link = read_plain(directory / "gitdir", 4_096).strip()
            place = Path(os.fsdecode(link)).parent
            if link and place.is_relative_to(self.place):
                inside.add(os.fsencode(place.relative_to(self.place)))
            elif link and is_folder(place):
                self.notes.append(f"not looked at: what is not committed in the worktree {text(os.fsencode(place))}")
        return inside

    def _is_done(self, commits: Commits, head: Head, done: Mapping[bytes, Change]) -> bool:
        """Tell whether the work tree has all that a commit changes in the base."""
        return all(
            (now := done.get(change.path)) is not None and (now.mode, now.oid) == (change.mode, change.oid)
            for change in self._changes(commits, head)
        )

    def _changes(self, commits: Commits, head: Head) -> list[Change]:
        changes = changes_in(self.git(*_TREES, self.base, commits.by_id[head.oid].tree)[0])
        if untracked := commits.untracked(head.oid):
            empty = self.git("mktree")[0].strip().decode()
            changes += changes_in(self.git(*_TREES, empty, commits.by_id[untracked].tree)[0])
        return [change for change in changes if not self.is_left_out(change)]

    def _taken(self, commits: Commits, named: Sequence[Head]) -> Confined | None:
        """Return an index of the only commit that builds on the base; None if there are several, or it may not be."""
        head = named[0]
        trees = {(commits.by_id[each.oid].tree, commits.untracked(each.oid)) for each in named}
        if len(trees) > 1 or self.base not in commits.below([head.oid]) or self._is_filtered(commits, head):
            return None
        index = self.git.index("taken")
        index("read-tree", commits.by_id[head.oid].tree)
        if untracked := commits.untracked(head.oid):
            index("update-index", "-z", "--index-info", stdin=index("ls-tree", "-r", "-z", untracked)[0])
        return index

    def _is_filtered(self, commits: Commits, head: Head) -> bool:
        """Tell whether a commit changes files under a filter of the user's, which the agent may not have applied."""
        if not self.filters:
            return False
        paths = [change.path for change in self._changes(commits, head) if change.mode != ABSENT]
        asked = b"".join(path + b"\0" for path in paths)
        answers = self.git("check-attr", "-z", "--stdin", "filter", stdin=asked)[0].split(b"\0")
        return any(os.fsdecode(value) in self.filters for value in answers[2::3])
