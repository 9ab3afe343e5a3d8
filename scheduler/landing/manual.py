"""Weaving by hand: patch files, or refs of pull requests, onto a new branch."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...mail.errors import UsageError
from ...mail.text.inert import inert
from ...personas.errors import GitError
from ...personas.git import Git, find_git, with_drivers
from ...personas.setup.promised import fetch_differing, fetch_promised, is_partial
from ..errors import BranchMoved
from ..given import open_given
from ..weaver.patch import PatchSubmission
from ..weaver.result import Woven
from ..weaver.weave import weave
from .signing import signed

_ALL = "all"
_PATCH = ("diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")


def weave_by_hand(
    start: Path, patches: Sequence[Path], base: str, onto: str, branch: str | None, *, approve: Sequence[str] = ()
) -> tuple[Woven, str | None]:
    """Weave patch files made against `base`, and pull requests, onto `onto`; without a `branch` nothing is kept.

    `approve` names those whose sensitive files somebody has read, by file, ref or name, or is "all".
    A path that begins with `refs/` is the ref of a pull request; these rank after the files. Raises UsageError for
    a file or ref that does not exist, PromiseBroken, and BranchMoved if the branch exists already.
    """
    git = with_drivers(find_git(start))
    tip = _commit(git, onto)
    refs = [str(path) for path in patches if path.parts[:1] == ("refs",)]
    files = [path for path in patches if str(path) not in refs]
    pulls = [
        replace(submission, age=submission.age + len(files)) for submission in submissions_from_pulls(git, refs, onto)
    ]
    submissions = _approved([*submissions_from_files(git, files, _commit(git, base)), *pulls], approve)
    if is_partial(git.directory):
        for commit in sorted({tip, *(submission.base for submission in submissions)}):
            fetch_promised(git.directory, commit)
    if branch is None:
        with tempfile.TemporaryDirectory(prefix="team-mail-") as scratch:
            return weave(git.using(objects=Path(scratch)), tip, submissions), None
    ref = f"refs/heads/{branch}"
    if git.run("check-ref-format", ref).returncode:
        raise UsageError(f"{branch!r} is no name for a branch; give another one with --branch")
    if not git.run("rev-parse", "--verify", "--quiet", ref).returncode:
        raise BranchMoved(f"{branch} is there already; delete it (git branch -D {branch}) or name another: --branch")
    woven = signed(git, weave(git, tip, submissions), None)
    git("update-ref", "-m", "team-mail: weave", ref, woven.tip, "0" * len(tip))
    return woven, branch


def _approved(submissions: Sequence[PatchSubmission], names: Sequence[str]) -> list[PatchSubmission]:
    """Mark the submissions that are approved by name. Raises UsageError for a name that none has."""
    known = {each.key: {each.key, each.key.rpartition(":")[2], each.persona} for each in submissions}
    for name in names:
        if name != _ALL and not any(name in own for own in known.values()):
            raise UsageError(f"no patch {name!r} to approve: name one of {', '.join(known)}, or all")
    return [replace(each, approved=_ALL in names or not known[each.key].isdisjoint(names)) for each in submissions]


def submissions_from_files(git: Git, patches: Sequence[Path], base: str) -> list[PatchSubmission]:
    """Read patch files made against a commit, whose date they get; a file's name is its persona. Raises UsageError."""
    when = git.line("log", "-1", "--format=%cI", base, "--")
    submissions: list[PatchSubmission] = []
    names = Counter(path.name for path in patches)
    for age, path in enumerate(patches):
        key = path.name if names[path.name] == 1 else f"{age + 1}:{path}"
        try:
            with open_given(path) as file:
                patch = file.read()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}; give files that hold patches") from None
        who = path.name.removesuffix(".patch")
        submissions.append(PatchSubmission(key, who, base, patch, age, inert(path.name), when))
    return submissions


def submissions_from_pulls(git: Git, refs: Sequence[str], onto: str) -> list[PatchSubmission]:
    """Read the patches of pull requests: what each ref (`refs/pull/7/head`) changed since its merge base with `onto`.

    The refs must have been fetched. Raises UsageError, PromiseBroken.
    """
    submissions: list[PatchSubmission] = []
    for age, ref in enumerate(refs):
        head = _commit(git, ref)
        ancestor = git.run("merge-base", _commit(git, onto), head)
        if ancestor.returncode:
            raise UsageError(f"{ref} and {onto} have no commit in common; give a ref that left that branch")
        base = ancestor.stdout.decode().strip()
        fetch_differing(git.directory, base, head)
        patch = patch_between(git, base, head)
        who, when, subject = git.line("log", "-1", "--format=%an%x00%cI%x00%s", head, "--").split("\0")
        submissions.append(
            PatchSubmission(ref, who, base, patch, age, subject, when, trailers=(("Pull-Request", ref),))
        )
    return submissions


def patch_between(git: Git, base: str, head: str) -> bytes:
    """Return the patch from one commit to another, as the weaver takes it."""
    return git(*_PATCH, base, head)


def _commit(git: Git, name: str) -> str:
    try:
        return git.line("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except GitError:
        raise UsageError(f"there is no commit {name} in this repository; see git log") from None
