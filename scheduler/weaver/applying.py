"""Applies each patch to its own base in a scratch index, with git, because only git knows what a patch changes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...mail.log.disk import read_file
from ...personas.errors import GitError
from ...personas.git import Git
from .index import read_index, write_index
from .patch import GITLINK, SYMLINK, Change, Entry, PatchSubmission, WeaveLimits, changed, changes_in, text
from .refusal import Links, approvable, refused, refused_unread, sensitive, unnamed
from .result import NeedsApproval, Refused
from .scratch import Quarantine
from .tree import Applied, Tree, read_tree

_AT_ONCE = 4
_MODULES = b".gitmodules"
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Where a shell knows no such limit, as on macOS for memory, the patch is read without it.
_LIMIT = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; shift 2\n'
# A shell starts git in a third of the time that Python takes, so one shell applies many patches. What merges has a
# folder of its own to work in, because `--cached --3way` writes there what another patch has added by the same name.
_APPLY = (
    _LIMIT
    + """
names=$1 top=$PWD; shift
for name in $names; do
    cd "$name.work" 2>/dev/null || cd work || exit
    export GIT_INDEX_FILE="$top/$name.index" GIT_WORK_TREE="$PWD"
    "$@" "$top/$name.patch" 2>"$top/$name.said"
    echo $? >"$top/$name.code"
    cd "$top"
done
"""
)
# Names that a patch may touch. If some are missing or wrong, git is run again with the whole index.
_NAMED = re.compile(
    rb"^(?:--- a/|\+\+\+ b/|(?:rename|copy) (?:from|to) )([^\t\n]+)|^diff --git a/(.+) b/\2$", re.MULTILINE
)


def apply_all(
    quarantine: Quarantine, tip: Tree, submissions: Sequence[PatchSubmission], limits: WeaveLimits
) -> tuple[list[Applied], list[Refused], list[NeedsApproval]]:
    """Apply each patch to its own base; return those to weave, those refused, and those that need approval."""
    bases = {
        base: _base(quarantine, base, tip) for base in dict.fromkeys(submission.base for submission in submissions)
    }
    done: dict[int, Applied | Refused] = {}
    applications: list[PatchApplication] = []
    for number, submission in enumerate(submissions):
        base = refused_unread(submission, limits) or bases[submission.base]
        if isinstance(base, str):
            done[number] = Refused(submission, base)
        else:
            applications.append(PatchApplication(submission, base, quarantine, quarantine.folder / str(number)))
    for application in applications:
        application.prepare()
    _apply(quarantine, applications, limits)
    again = [application for application in applications if application.changes is None]
    for application in again:
        application.widen()
    _apply(quarantine, again, limits)
    for application in applications:
        done[int(application.own.name)] = application.outcome(limits)
    return _sorted([done[number] for number in range(len(submissions))])


@dataclass
class PatchApplication:
    """Applies one patch in an index of its own: of the files that it names, or of all files if that is not enough."""

    submission: PatchSubmission
    base: Tree
    quarantine: Quarantine
    own: Path  # how its scratch files begin
    whole: bool = False

    def prepare(self) -> None:
        """Write the patch, and an index of what it seems to change."""
        self.own.with_suffix(".patch").write_bytes(self.submission.patch)
        write_index(self.own.with_suffix(".index"), self._before, len(self.submission.base))

    def widen(self) -> None:
        """Have git write an index of all files."""
        self.whole = True
        self.own.with_suffix(".code").unlink(missing_ok=True)
        self.quarantine.index(f"{self.own.name}.index")("read-tree", self.submission.base)

    @property
    def succeeded(self) -> bool:
        """Whether git applied the patch."""
        code = self.own.with_suffix(".code")
        return code.exists() and read_file(code).strip() == b"0"

    @cached_property
    def _before(self) -> dict[bytes, Entry]:
        named = {header or line for line, header in _NAMED.findall(self.submission.patch)}
        return self.base.around(named)

    @property
    def changes(self) -> tuple[Change, ...] | None:
        """What git changed, read from the index and not from the patch's text; None if it is not known yet."""
        if not self.succeeded:
            return None
        if self.whole:
            git, words = (
                self.quarantine.index(f"{self.own.name}.index"),
                ("--cached", "-r", "--raw", "-z", "--no-renames"),
            )
            return tuple(changes_in(git("diff-index", *words, self.submission.base)))
        after = read_index(self.own.with_suffix(".index"), len(self.submission.base))
        if after is None:
            return None
        changes = changed(self._before, after)
        return changes if self.base.fits(changes) else None

    def outcome(self, limits: WeaveLimits) -> Applied | Refused:
        """Return the patch applied, or why it is refused."""
        changes = self.changes
        if changes is None:
            errors = self.own.with_suffix(".said")
            why = _reason(read_file(errors) if errors.exists() else b"", limits)
            return Refused(self.submission, f"it does not apply to its own base: {why}")
        links = self._links(changes)
        if why := refused(self.submission, changes, links):
            return Refused(self.submission, why)
        new = unnamed(changes, self._modules(changes)) if links else ()
        return _small(self.quarantine.git, Applied(self.submission, self.base, changes, links, new), limits)

    def _links(self, changes: Sequence[Change]) -> Links:
        """Return the links that the patch makes and that a person may approve."""
        modes = {change.new.mode for change in changes if change.new}
        if modes.isdisjoint({GITLINK, SYMLINK}):
            return frozenset()
        return approvable(changes, self._read)

    def _modules(self, changes: Sequence[Change]) -> bytes:
        """Return the text of .gitmodules with the patch."""
        own = next((change.new for change in changes if change.path == _MODULES), self.base[_MODULES])
        return self._read(own.oid) if own else b""

    def _read(self, oid: str) -> bytes:
        return self.quarantine.blobs([oid])[oid]


def _sorted(done: Sequence[Applied | Refused]) -> tuple[list[Applied], list[Refused], list[NeedsApproval]]:
    applied = [each for each in done if isinstance(each, Applied)]
    taken = [(each, () if each.submission.approved else _held(each)) for each in applied]
    return (
        [each for each, files in taken if not files],
        [each for each in done if isinstance(each, Refused)],
        [NeedsApproval(each.submission, files, each.unnamed) for each, files in taken if files],
    )


def _held(applied: Applied) -> tuple[str, ...]:
    """Return the files that a human has to approve."""
    claimed = (file for file, _ in applied.submission.claimed)
    return tuple(dict.fromkeys((*sensitive(applied.changes), *claimed)))


def _base(quarantine: Quarantine, base: str, tip: Tree) -> Tree | str:
    """Read a base; return the reason if it cannot be read."""
    if not _ID.fullmatch(base):
        return f"its base {base!r} is not in this repository: it is no full id of a commit"
    try:
        return tip if tip.commit == base else read_tree(quarantine, base)
    except GitError as error:
        return f"its base {base[:12]} is not in this repository ({error})"


def _apply(quarantine: Quarantine, applications: Sequence[PatchApplication], limits: WeaveLimits) -> None:
    names = [application.own.name for application in applications]
    apply_each(quarantine, names, limits, memory=str(limits.memory >> 10))


def apply_each(
    quarantine: Quarantine, names: Sequence[str], limits: WeaveLimits, *options: str, memory: str = "unlimited"
) -> None:
    """Apply patches, each in its own index, by as many shells as there are processors.

    The scratch files of each begin with its name: `.patch` and `.index` are there, `.code` and `.said` are written.
    Memory, in KiB, is not limited where merge drivers may run: some map more than they use.
    """
    workers, git = min(_AT_ONCE, os.cpu_count() or 1, len(names)), quarantine.git
    for folder in [f"{name}.work" for name in names] if options else ["work"]:
        (quarantine.folder / folder).mkdir(exist_ok=True)

    def apply(part: Sequence[str]) -> None:
        arguments = (memory, str(limits.seconds), " ".join(part))
        within = limits.seconds * (len(part) + (len(part) > 1))
        wrapper = ("sh", "-c", _APPLY, "sh", *arguments)
        git.run("apply", "--cached", *options, wrapper=wrapper, cwd=quarantine.folder, timeout=within)

    if workers == 1:
        apply(names)
    elif workers:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(apply, [names[part::workers] for part in range(workers)]))


def _reason(stderr: bytes, limits: WeaveLimits) -> str:
    """Return why git did not apply a patch, in its own words; it printed none if a limit ended it."""
    lines = stderr.decode(errors="replace").splitlines()
    reasons = [line.removeprefix("error: ").removeprefix("fatal: ") for line in lines if line.strip()]
    return "; ".join(reasons[:3]) or f"git took more than {limits.seconds} s over it"


def _small(git: Git, each: Applied, limits: WeaveLimits) -> Applied | Refused:
    """Refuse a patch that unpacks to more than the limit: a few thousand bytes can stand for gigabytes."""
    if b"GIT binary patch" not in each.submission.patch:
        return each
    new = {text(change.path): change.new for change in each.changes if change.new}
    files = {name: entry.oid for name, entry in new.items() if entry.mode != GITLINK}
    asked = "\n".join(files.values()).encode()
    sizes = dict(zip(files, map(int, git("cat-file", "--batch-check=%(objectsize)", stdin=asked).split()), strict=True))
    size = sum(sizes.values())
    if size <= limits.unpacked:
        return each
    largest = max(sizes, key=sizes.__getitem__)
    return Refused(
        each.submission,
        f"its files have {size:,} bytes, and the cap is {limits.unpacked:,}; {largest} has {sizes[largest]:,} of them: "
        "keep such a file in Git LFS, or send the patch in parts",
    )
