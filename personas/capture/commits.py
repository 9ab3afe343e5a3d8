"""The commits that a run left in its own repository: read through links to its objects alone, and kept as a bundle.

The agent's git directory is never git's: no config, graft, replacement or alternate of it applies. Only regular files
of objects are linked to, so that a link or a pipe among them is not followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...mail.log.disk import read_file
from .confined import MAX_BUNDLE, Confined
from .refs import Refs, entries

_FORMAT = "--format=%H%x00%P%x00%T%x00%an <%ae> %at %s"
_LOOSE = re.compile(r"[0-9a-f]{38}|[0-9a-f]{62}")
_PACK = re.compile(r"pack-[0-9a-f]+\.(?:pack|idx)")
_BRANCH = re.compile(r"branch ([A-Za-z0-9_][\w-]*(?:[./][A-Za-z0-9_][\w-]*)*)", re.ASCII)
_SHORT = 12
_STASH = 3  # parents of a stash that has untracked files


class Commit(NamedTuple):
    """One commit; `sign` is its author, date and subject, which an amended or moved one shares."""

    oid: str
    parents: tuple[str, ...]
    tree: str
    sign: str


class Head(NamedTuple):
    """A commit that no other one builds on; `name` is what people call it, `named` whether a ref leads to it."""

    name: str
    oid: str
    named: bool


class Kept(NamedTuple):
    """Commits that are no part of the patch: where they were, what leads to them, their number, and the bundle."""

    where: str
    heads: tuple[str, ...]
    commits: int
    bundle: bytes


@dataclass(frozen=True)
class Commits:
    """The commits of a run's own in one repository, by id."""

    by_id: Mapping[str, Commit]

    def of(self, oids: Iterable[str]) -> set[str]:
        """Return these commits and what they build on."""
        seen, left = set[str](), [oid for oid in oids if oid in self.by_id]
        while left:
            oid = left.pop()
            if oid not in seen:
                seen.add(oid)
                left += [parent for parent in self.by_id[oid].parents if parent in self.by_id]
        return seen

    def below(self, oids: Iterable[str]) -> set[str]:
        """Return the commits that these build on and that are not of the run's own."""
        return {parent for oid in self.of(oids) for parent in self.by_id[oid].parents} - self.by_id.keys()

    def heads(self, refs: Refs) -> list[Head]:
        """Return what refs lead to, then commits that none leads to and that were not made again."""
        named = {oid: name for name, oid in reversed(refs.own.items()) if oid in self.by_id}
        reached = self.of(named)
        covered = self.of(parent for oid, name in named.items() for parent in self._covered(oid, name))
        tops = [oid for oid in named if oid not in covered]
        signs = {self.by_id[oid].sign for oid in reached}
        loose = [oid for oid in self.by_id if oid not in reached and self.by_id[oid].sign not in signs]
        inner = {parent for oid in self.by_id.keys() - reached for parent in self.by_id[oid].parents}
        return [Head(named[oid], oid, named=True) for oid in tops] + [
            Head(f"commit {oid[:_SHORT]}, which no branch has", oid, named=False) for oid in loose if oid not in inner
        ]

    def _covered(self, oid: str, name: str) -> tuple[str, ...]:
        """Return the parents that a commit stands for: a stash does not, for the commit that it was made on."""
        parents = self.by_id[oid].parents
        return parents[1:] if name.startswith("stash") else parents

    def untracked(self, oid: str) -> str | None:
        """Return the commit that holds the untracked files of a stash, if this is one that has some."""
        parents = self.by_id[oid].parents
        return parents[2] if len(parents) == _STASH and not self.by_id[parents[2]].parents else None


def borrow(objects: Path, into: Path) -> bool:
    """Link to the objects of an agent's repository; tell whether there are any."""
    links = 0
    for folder in entries(objects):
        wanted = _PACK if folder.name == "pack" else _LOOSE
        if len(folder.name) not in {2, len("pack")} or not folder.is_dir(follow_symlinks=False):
            continue
        for entry in entries(Path(folder.path)):
            link = into / folder.name / entry.name
            if wanted.fullmatch(entry.name) and entry.is_file(follow_symlinks=False) and not os.path.lexists(link):
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(Path(entry.path).absolute())
                links += 1
    return links > 0


def read_commits(git: Confined, borrowed: Path, known: Iterable[str]) -> Commits:
    """Read the commits among borrowed objects that are not part of `known`. Raises GitError."""
    alone = Confined(git.git.only(borrowed), git.folder)
    listed, _ = alone("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectname)")
    own = [line.partition(" ")[2] for line in listed.decode().splitlines() if line.startswith("commit ")]
    if not own:
        return Commits({})
    asked = "\n".join([*own, *(f"^{oid}" for oid in known), ""]).encode()
    words = ("rev-list", "--stdin", "--ignore-missing", "--no-commit-header", _FORMAT)
    rows = git(*words, stdin=asked)[0].decode(errors="backslashreplace").split("\n")
    parts = [row.split("\0", 3) for row in rows if row.count("\0") >= _STASH]
    return Commits({oid: Commit(oid, tuple(above.split()), tree, sign) for oid, above, tree, sign in parts})


def bundle(git: Confined, commits: Commits, heads: Sequence[Head], where: str, known: Collection[str] = ()) -> Kept:
    """Pack heads and what they build on, but for what the user has. Raises GitError if that is too large."""
    file, oids = git.folder / "kept.bundle", [head.oid for head in heads]
    names = dict[str, str]()
    for number, head in enumerate(heads, 1):
        match = _BRANCH.fullmatch(head.name)
        usual = match[1] if match and not match[1].endswith(".lock") else f"kept-{number}"
        names[f"refs/heads/{usual if f'refs/heads/{usual}' not in names else f'kept-{number}'}"] = head.oid
    rows = "".join(f"{oid} {name}\n" for name, oid in sorted(names.items()))
    (git.git.directory / "packed-refs").write_text(rows)
    below = commits.below(oids) | {*known}
    asked = "".join([*(f"{name}\n" for name in names), *(f"^{oid}\n" for oid in sorted(below))])
    git("bundle", "create", "-q", str(file), "--stdin", most=MAX_BUNDLE, stdin=asked.encode())
    made = read_file(file)
    file.unlink()
    return Kept(where, tuple(head.name for head in heads), len(commits.of(oids)), made)
