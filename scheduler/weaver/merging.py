"""Merges of patches with a tree, each made by git once, whoever asks for it and however often.

What a merge gives depends on the files that the patch changes and on nothing else, unless a file was moved or deleted
that the other side changed. So git is given those files alone, and never the thousands of others that differ between a
patch's base and the branch; where a file is gone, it is given everything, because it has to look for the file's new
name. The same files in all three versions give the same merge, so it is known for the next who asks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ...mail.log.disk import read_file
from ...personas.git import Git
from .applying import apply_each
from .commit import write_commit
from .index import read_index, read_stages, write_index
from .patch import GITLINK, SYMLINK, Change, Entry, PatchSubmission, WeaveLimits, changed, text
from .scratch import Quarantine
from .tree import FOLDER, Applied, Tree, tree_of

_AT_LEAST = 50  # merges of neighbours that are worth a process
_AT_LEAST_FAR = 8  # merges with old bases that are
_AT_LEAST_TOGETHER = 16  # patches in one process of `git apply`, of which each brings
_TOGETHER = 1 << 16  # bytes at most: git's memory grows with what it reads at once
_SIDES = 3
_CANONICAL = (
    "diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "-U3",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_PART = re.compile(rb'^diff --git "?a/(\d+)/', re.MULTILINE)  # where a file begins in the patches of many folders
Files = tuple[tuple[bytes, Entry], ...]
Versions = tuple[Files, Files, Files] | tuple[str, str, str]  # of the files that matter; or whole trees by their ids

THREE_WAY, MERGE_TREE = "3way", "merge-tree"  # the ways to merge a patch with a tree
Contents = tuple[str, str]  # the trees before and after a patch
Asked = tuple[str, Contents]  # a tree, and a patch
FileConflict = tuple[str, bytes, Entry | None, Entry | None, Entry | None]  # the way, and a file's three versions
Attempt = tuple[Contents, Files]  # a patch, and the files in which it is merged


class Stage(NamedTuple):
    """One version of a file in conflict: 1 the common base, 2 the first commit's, 3 the second's."""

    path: bytes
    number: int
    entry: Entry


class Merge(NamedTuple):
    """The result of a merge of commits: a tree, and the files in conflict if it is not clean."""

    tree: str
    stages: tuple[Stage, ...] | None

    @property
    def files(self) -> tuple[str, ...]:
        """Name the files in conflict."""
        return tuple(dict.fromkeys(text(stage.path) for stage in self.stages or ()))


@dataclass(frozen=True)
class PatchMerge:
    """The merge of a patch with a tree: the trees before and after it, and the files in conflict if it is not clean."""

    commits: tuple[str, str]  # whose ids the marks of conflicts bear: the tree's, the patch's
    before: Tree
    after: Tree
    stages: tuple[Stage, ...] | None

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What the merge changes in the tree; of most that conflict nobody asks for it."""
        return tuple(self.before.changes_to(self.after))


@dataclass
class Merging:
    """Merges patches with trees, and knows what it has merged, by the contents: whose patch that was is no matter."""

    quarantine: Quarantine
    limits: WeaveLimits
    _merges: dict[Versions, PatchMerge] = field(default_factory=dict[Versions, PatchMerge])
    _applications: dict[Attempt, Sequence[Change] | None] = field(
        default_factory=dict[Attempt, "Sequence[Change] | None"]
    )
    _versions: dict[Asked, Versions] = field(default_factory=dict[Asked, Versions])
    _attempts: dict[Asked, Attempt] = field(default_factory=dict[Asked, Attempt])
    _patches: dict[Contents, bytes] = field(default_factory=dict[Contents, bytes])
    _parts: dict[Contents, tuple[bytes, bytes]] = field(default_factory=dict[Contents, tuple[bytes, bytes]])
    _conflicts: set[FileConflict] = field(default_factory=set[FileConflict])

    def changes(self, way: str, tree: Tree, each: Applied) -> Sequence[Change] | None:
        """Return what a patch changes in a tree that it was merged with in one of the ways; None if they conflict."""
        if self._hopeless(way, tree, each):
            return None
        if way == THREE_WAY:
            self._apply(tree, [each])
            return self._applications[self._attempt(tree, each)]
        (merge,) = self.merge(tree, [each])
        return None if merge.stages is not None else merge.changes

    def foresee(self, tree: Tree, patches: Sequence[Applied], ways: Sequence[str]) -> None:
        """Merge at once what will be asked for one by one: the next patches, if the first of them waits for a merge.

        Not where a merge driver might wait for ever.
        """
        for number, way in enumerate(() if self.quarantine.has_drivers else ways):
            if not self._settled(way, tree, patches[0]):
                left = [each for each in patches if all(self._fails(earlier, tree, each) for earlier in ways[:number])]
                wanted = [each for each in left if not self._hopeless(way, tree, each)]
                (self._apply if way == THREE_WAY else self.merge)(tree, wanted)
            if not self._fails(way, tree, patches[0]):
                return

    def _fails(self, way: str, tree: Tree, each: Applied) -> bool:
        """Tell whether a patch is known to conflict with the tree."""
        return self._settled(way, tree, each) and self.changes(way, tree, each) is None

    def _settled(self, way: str, tree: Tree, each: Applied) -> bool:
        """Tell whether it is known what a merge would give."""
        if self._hopeless(way, tree, each):
            return True
        if way == THREE_WAY:
            return self._attempt(tree, each) in self._applications
        return self._version(tree, each) in self._merges

    # -- what is known of single files

    def _hopeless(self, way: str, tree: Tree, each: Applied) -> bool:
        """Tell whether a file of a patch is known to conflict with the tree."""
        return any((way, path, old, tree[path], new) in self._conflicts for path, old, new in each.changes)

    def _note(self, way: str, stages: Iterable[tuple[bytes, int, Entry]]) -> None:
        """Note the files in conflict that have all three versions: no other file has a part in such a conflict."""
        files: dict[bytes, dict[int, Entry]] = {}
        for path, number, entry in stages:
            files.setdefault(path, {})[number] = entry
        self._conflicts |= {
            (way, path, entries[1], entries[2], entries[3]) for path, entries in files.items() if len(entries) == _SIDES
        }

    def keep(self, tree: Tree, patches: Sequence[Applied]) -> None:
        """Forget all that is known but what `merge` gave of these patches with this tree."""
        wanted = {(tree.oid, _contents(each)) for each in patches}
        self._versions = {asked: versions for asked, versions in self._versions.items() if asked in wanted}
        merges = {*self._versions.values()}
        self._merges = {versions: merge for versions, merge in self._merges.items() if versions in merges}
        for known in (self._applications, self._attempts, self._patches, self._parts, self._conflicts):
            known.clear()

    # -- by `git merge-tree`, which follows renames

    def merge(self, tree: Tree, patches: Sequence[Applied]) -> list[PatchMerge]:
        """Merge each of the patches with the same tree; those that are not known yet in as few processes as can be."""
        keys = [self._version(tree, each) for each in patches]
        asked = {key: each for key, each in zip(keys, patches, strict=True) if key not in self._merges}
        sides = {key: self._sides(each, key) for key, each in asked.items()}
        merges = merged(self.quarantine.git, [commits for _, commits in sides.values()], _AT_LEAST_FAR)
        for (key, (ours, commits)), merge in zip(sides.items(), merges, strict=True):
            self._note(MERGE_TREE, merge.stages or ())
            self._merges[key] = PatchMerge(commits, ours, Tree(merge.tree, self.quarantine), merge.stages)
        return [self._merges[key] for key in keys]

    def _version(self, tree: Tree, each: Applied) -> Versions:
        asked = tree.oid, _contents(each)
        if asked not in self._versions:
            self._versions[asked] = versions_in_merge(tree, each)
        return self._versions[asked]

    def _sides(self, each: Applied, versions: Versions) -> tuple[Tree, tuple[str, str]]:
        """Write the two commits to merge, whose parent is their common base; return the first one's tree, and them."""
        trees = [
            Tree(version, self.quarantine) if isinstance(version, str) else tree_of(self.quarantine, dict(version))
            for version in versions
        ]
        base, *sides = trees
        root = self._commit(each.submission, base)
        ours, theirs = (self._commit(each.submission, side, root) for side in sides)
        return sides[0], (ours, theirs)

    def _commit(self, submission: PatchSubmission, tree: Tree, *parents: str) -> str:
        return write_commit(self.quarantine.write, submission, tree.oid, parents)

    # -- by `git apply --3way`

    def _apply(self, tree: Tree, patches: Sequence[Applied]) -> None:
        """Merge patches with the same tree, file by file; those that git may refuse to merge by one process each."""
        attempts = {self._attempt(tree, each): each for each in patches}
        asked = {key: each for key, each in attempts.items() if key not in self._applications}
        self._apply_together([key for key, each in asked.items() if _is_common(tree, each)])
        left = {key: each for key, each in asked.items() if key not in self._applications}
        self._rewrite(list(left.values()))
        names = [self._prepare(key) for key in left]
        apply_each(self.quarantine, names, self.limits, "--3way")
        self._applications |= {key: self._outcome(name, key) for key, name in zip(left, names, strict=True)}

    # Patches by one process: each in a folder of its own, which git takes for files that have nothing to do with each
    # other. If git refuses one of them it writes nothing, and each is merged alone.

    def _apply_together(self, attempts: Sequence[Attempt]) -> None:
        attempts = [] if self._has_rules else [key for key in attempts if not self._defines_macros(key[1])]
        self._rewrite_together(attempts)
        attempts = [key for key in attempts if len(self._parts[key[0]][1]) <= _TOGETHER]
        size = max(_AT_LEAST_TOGETHER, -(-len(attempts) // (os.cpu_count() or 1)))
        groups = [attempts[start : start + size] for start in range(0, len(attempts), size)]
        names = [self._prepare_together(group) for group in groups]
        apply_each(self.quarantine, names, self.limits, "--3way")
        for name, group in zip(names, groups, strict=True):
            self._applications |= self._outcomes(name, group)

    @cached_property
    def _has_rules(self) -> bool:
        """Whether the repository has rules for paths from its top, which do not hold in another folder."""
        return self.quarantine.has_drivers or (self.quarantine.git.directory / "info" / "attributes").exists()

    def _defines_macros(self, files: Files) -> bool:
        """Tell whether attributes are defined, which git reads at the top alone."""
        rules = {entry.oid for path, entry in files if path == b".gitattributes"}
        return any(b"[attr]" in blob for blob in self.quarantine.blobs(rules).values())

    def _rewrite_together(self, attempts: Sequence[Attempt]) -> None:
        """Have git rewrite patches with full blob ids, each in a folder whose name no other has."""
        asked = [contents for contents in dict.fromkeys(each for each, _ in attempts) if contents not in self._parts]
        fresh = {b"%d" % number: contents for number, contents in enumerate(asked, len(self._parts))}
        if not fresh:
            return
        sides = ({name: Entry(FOLDER, each[side]) for name, each in fresh.items()} for side in (0, 1))
        tops = [self.quarantine.write_folder(side) for side in sides]
        output = self.quarantine.git(*_CANONICAL, *tops)
        parts = list(_PART.finditer(output))
        texts: dict[bytes, list[bytes]] = {name: [] for name in fresh}
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            texts[part[1]].append(output[part.start() : following.start() if following else len(output)])
        self._parts |= {each: (name, b"".join(texts[name])) for name, each in fresh.items()}

    def _prepare_together(self, attempts: Sequence[Attempt]) -> str:
        """Write patches and one index in which git is to merge them; return how their names begin."""
        own, files = self.quarantine.fresh("attempts"), dict[bytes, Entry]()
        for contents, around in attempts:
            files |= {self._parts[contents][0] + b"/" + path: entry for path, entry in around}
        own.with_suffix(".patch").write_bytes(b"".join(self._parts[contents][1] for contents, _ in attempts))
        write_index(own.with_suffix(".index"), files, self.quarantine.digits)
        return own.name

    def _outcomes(self, name: str, attempts: Sequence[Attempt]) -> dict[Attempt, Sequence[Change] | None]:
        """Return what came of patches that were merged together; nothing if git refused or did not end."""
        own = self.quarantine.folder / name
        stages = read_stages(own.with_suffix(".index"), self.quarantine.digits) or {}
        code = own.with_suffix(".code")
        ended = read_file(code).strip() if code.exists() else b""
        if ended != b"0" and not (ended == b"1" and any(number for _, number in stages)):
            return {}
        merges: dict[bytes, dict[tuple[bytes, int], Entry]] = {self._parts[contents][0]: {} for contents, _ in attempts}
        for (path, number), entry in stages.items():
            folder, _, inner = path.partition(b"/")
            merges[folder][inner, number] = entry
        outcomes: dict[Attempt, Sequence[Change] | None] = {}
        for contents, files in attempts:
            merge = merges[self._parts[contents][0]]
            self._note(THREE_WAY, ((path, number, entry) for (path, number), entry in merge.items() if number))
            conflicts = any(number for _, number in merge)
            whole = {path: entry for (path, _), entry in merge.items()}
            outcomes[contents, files] = None if conflicts else changed(dict(files), whole)
        return outcomes

    # One patch by one process.

    def _attempt(self, tree: Tree, each: Applied) -> Attempt:
        asked = tree.oid, _contents(each)
        if asked not in self._attempts:
            files = tree.around(change.path for change in each.changes)
            self._attempts[asked] = _contents(each), _sorted(files)
        return self._attempts[asked]

    def _rewrite(self, patches: Sequence[Applied]) -> None:
        """Have git rewrite patches with full blob ids, which a merge needs."""
        asked = dict.fromkeys(map(_contents, patches))
        fresh = [contents for contents in asked if contents not in self._patches]
        if not fresh:
            return
        lines = [f"{before} {after}\n" for before, after in fresh]
        output, place = self.quarantine.git(*_CANONICAL, "--stdin", stdin="".join(lines).encode()), 0
        for contents, line, following in zip(fresh, lines, [*lines[1:], ""], strict=True):
            place += len(line)
            end = output.index(b"\n" + following.encode(), place - 1) + 1 if following else len(output)
            self._patches[contents] = output[place:end]
            place = end

    def _prepare(self, attempt: Attempt) -> str:
        """Write a patch and the index in which git is to merge it; return how their names begin."""
        contents, files = attempt
        own = self.quarantine.fresh("attempt")
        own.with_suffix(".patch").write_bytes(self._patches[contents])
        write_index(own.with_suffix(".index"), dict(files), self.quarantine.digits)
        return own.name

    def _outcome(self, name: str, attempt: Attempt) -> Sequence[Change] | None:
        own = self.quarantine.folder / name
        code = own.with_suffix(".code")
        if not code.exists() or read_file(code).strip() != b"0":
            stages = read_stages(own.with_suffix(".index"), self.quarantine.digits) or {}
            self._note(THREE_WAY, ((path, number, entry) for (path, number), entry in stages.items() if number))
            return None
        merge = read_index(own.with_suffix(".index"), self.quarantine.digits)
        return None if merge is None else changed(dict(attempt[1]), merge)


def merged(git: Git, pairs: Sequence[tuple[str, str]], at_least: int = _AT_LEAST) -> list[Merge]:
    """Merge pairs of commits, at least so many in one process."""
    size = max(at_least, -(-len(pairs) // (os.cpu_count() or 1)))
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    if len(parts) <= 1:
        return _merged(git, pairs) if pairs else []
    with ThreadPoolExecutor(len(parts)) as pool:
        return [merge for part in pool.map(_merged, [git] * len(parts), parts) for merge in part]


def _merged(git: Git, pairs: Sequence[tuple[str, str]]) -> list[Merge]:
    words = ("merge-tree", "--stdin", "--no-messages", "--allow-unrelated-histories")
    output = git(*words, stdin="".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode())
    fields = iter(output.split(b"\0"))
    merges: list[Merge] = []
    for pair in pairs:
        clean, tree = next(fields) == b"1", next(fields).decode()
        beside = besides(pair)
        stages = tuple(_stage(beside, line) for line in iter(fields.__next__, b""))
        merges.append(Merge(tree, None if clean else stages))
    return merges


def besides(commits: tuple[str, str]) -> re.Pattern[bytes]:
    """Return what finds the end of a name that git gave to a file in whose way a folder is, or another kind of file."""
    return re.compile("~(?:{}|{})(?:_\\d+)?$".format(*commits).encode())


def _stage(beside: re.Pattern[bytes], line: bytes) -> Stage:
    entry, _, path = line.partition(b"\t")
    mode, oid, number = entry.decode().split(" ")
    return Stage(beside.sub(b"", path), int(number), Entry(mode, oid))


def _is_common(tree: Tree, each: Applied) -> bool:
    """Tell whether a patch changes only files with lines, and of those that were there none that the tree has not."""
    entries = [entry for change in each.changes for entry in (*change[1:], tree[change.path]) if entry]
    are_there = all(tree[change.path] for change in each.changes if change.old)
    return are_there and all(entry.mode not in {GITLINK, SYMLINK} for entry in entries)


def _contents(each: Applied) -> Contents:
    return each.base.oid, each.tree


def versions_in_merge(tree: Tree, each: Applied) -> Versions:
    """Return what a merge depends on, as it is in the patch's base, in the tree and in the patch."""
    if _may_be_renamed(tree, each):
        return each.base.oid, tree.oid, each.tree
    changes = {change.path: change for change in each.changes}
    paths = {*each.base.around(changes), *tree.around(changes), *changes}
    base, ours = ({path: entry for path in paths if (entry := side[path])} for side in (each.base, tree))
    theirs = {path: change.new for path, change in changes.items() if change.new}
    return _sorted(base), _sorted(ours), _sorted({path: base[path] for path in base.keys() - changes.keys()} | theirs)


def _may_be_renamed(tree: Tree, each: Applied) -> bool:
    """Tell whether a file that one side changed may have another name on the other.

    It may if it is gone there, and files came there that the base has not; so may the folder of a file that is added.
    """
    if each.meets_moved_folder(tree):
        return True
    met = [(change, tree[change.path]) for change in each.changes if change.old]
    met = [(change, ours) for change, ours in met if ours != change.old]
    if any(change.new is None for change, _ in met) and any(change.old is None for change in each.changes):
        return True
    return any(ours is None for _, ours in met) and each.base.lacks_files_of(tree)


def _sorted(files: Mapping[bytes, Entry]) -> Files:
    return tuple(sorted(files.items()))
