"""The change of a session in the workspace of its run: made where Jules made it, at the commit that it names.

The files of the workspace are those of that commit with the change afterwards, and the run's patch is against that
commit; so the weaver sees what Jules did and nothing else. The clone's own index, branch and HEAD stay as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ...mail.errors import TeamMailError
from ...mail.home import RUN_FOLDER
from ...mail.render import line
from ..errors import GitError
from ..git import Git, find_repository
from ..running.folder import MERGED
from .session import ChangeSet

_SHA1 = 40  # digits of an id
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NUMBER = re.compile(r"/pull/(\d{1,9})/?$")
_LONGEST = 600.0  # seconds for a fetch
_SHORT = 12
_FETCHED = "refs/jules/fetched"
_WHO = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "team-mail"), ("EMAIL", "team-mail@localhost"))}  # fmt: skip


class ChangeRefused(TeamMailError):
    """A change that cannot be made here; the message says why, and what to do.

    `for_now` tells that it can be once somebody has done that.
    """

    def __init__(self, message: str, *, for_now: bool = False) -> None:
        super().__init__(message)
        self.for_now = for_now


class Start(NamedTuple):
    """What a session starts from: a branch that was pushed for it, its commit, and the run's base of that.

    The commit is the base, unless the workspace had a merge with marks in its files: then it has these, too.
    """

    branch: str
    commit: str = ""
    base: str = ""


@dataclass(frozen=True)
class Clone:
    """The workspace of a run. `remote` is the address of the repository that Jules works on, for what is missing."""

    workspace: Path
    remote: str = ""

    def push(self, branch: str) -> Start:
        """Push what the workspace holds as a branch, for a session to start from. Raises ChangeRefused."""
        if not self.remote:
            raise ChangeRefused("push = true, and there is no remote to push to; name one in remote")
        with self._scratch() as scratch:
            commit = scratch.commit()
            scratch.talk(
                "push", f"{commit}:refs/heads/{branch}", self.remote, "Jules starts from a branch that is pushed"
            )
            return Start(branch, commit, scratch.head)

    def withdraw(self, branch: str) -> str:
        """Delete a branch that was pushed; return why that failed, if it did."""
        try:
            with self._scratch() as scratch:
                scratch.talk("push", f":refs/heads/{branch}", self.remote, f"{branch} is not needed any more")
        except ChangeRefused as refused:
            return str(refused)
        return ""

    def take(self, change: ChangeSet, start: Start | None = None) -> str:
        """Make a change; return the commit that it is a change of. Raises ChangeRefused."""
        with self._scratch() as scratch:
            if start and change.base in {"", start.commit}:
                if not scratch.has(start.commit):
                    scratch.fetch(self.remote, f"refs/heads/{start.branch}")
                scratch.lay(scratch.applied(start.commit, change.patch))
                return start.base
            base = self._base(scratch, change.base)
            if scratch.has(base, here=True):
                scratch.lay(scratch.applied(base, change.patch))
                return base
            scratch.lay(scratch.merged(change.patch))
            return scratch.head

    def take_pull_request(self, url: str) -> str:
        """Make the change of a pull request; return the commit that it is a change of. Raises ChangeRefused."""
        if not (match := _NUMBER.search(url)):
            raise ChangeRefused(f"{line(url)} is no address of a pull request; take its change by hand")
        with self._scratch() as scratch:
            scratch.fetch(self.remote, f"refs/pull/{match[1]}/head")
            base = scratch.common()
            scratch.lay(scratch.tree(_FETCHED))
            return base

    @contextmanager
    def _scratch(self) -> Generator[_Scratch]:
        """Make a repository in the workspace, whose limit of room holds for a change that unpacks to gigabytes, too."""
        with tempfile.TemporaryDirectory(prefix="jules-", dir=self.workspace / RUN_FOLDER) as folder:
            yield _Scratch(self.workspace, Path(folder))

    def _base(self, scratch: _Scratch, base: str) -> str:
        """Return the commit that a change set applies to, which is fetched if it is not here."""
        if not base:
            return scratch.head
        if not _COMMIT.fullmatch(base):
            raise ChangeRefused(f"the change set names {line(base)[:80]!r} as its base, which is no id of a commit")
        if not scratch.has(base):
            scratch.fetch(self.remote, base)
        return base


def address_of(remote: str, home: Path) -> str:
    """Return the address of a remote of the team's repository by its name, or what is an address itself; else ""."""
    try:
        return find_repository(home.parent)[0].line("config", "--get", f"remote.{remote}.url")
    except TeamMailError:
        return remote if "/" in remote or ":" in remote else ""


def _is_of_run(path: str) -> bool:
    """Tell whether a path is in the folder of the run, is that itself, or stands in its place."""
    parts, own = path.casefold().split("/"), RUN_FOLDER.split("/")  # some file systems know no case
    return parts[: len(own)] == own[: len(parts)]


class _Scratch:
    """A bare repository beside the clone that borrows its objects; indexes and what is fetched are here."""

    def __init__(self, workspace: Path, folder: Path) -> None:
        self._folder, self._workspace = folder, workspace
        self._clone = Git(workspace / ".git")
        self._git = Git(folder)
        self.head = self._clone.line("rev-parse", "HEAD")
        self._git("init", "--quiet", "--bare", f"--object-format={self._format}", str(folder), cwd=workspace)
        (folder / "objects" / "info" / "alternates").write_text(f"{workspace / '.git' / 'objects'}\n")

    @property
    def _format(self) -> str:
        return "sha1" if len(self.head) == _SHA1 else "sha256"

    def has(self, commit: str, *, here: bool = False) -> bool:
        """Tell whether a commit is known; `here` means to the clone itself, and not because it was fetched."""
        git = self._clone if here else self._git
        return git.has_commit(commit)

    def commit(self) -> str:
        """Return the commit of what the workspace holds before anybody changed it; it is written if there is none."""
        merged = self._workspace / MERGED
        if not merged.exists() or not (patch := merged.read_bytes()):
            return self.head
        git = self._git.using(index=self._folder / "merge")
        git("read-tree", self.head)
        git("apply", "--cached", "-", stdin=patch, cwd=self._folder)
        git = replace(git, settings={**git.settings, **_WHO})
        return git.line("commit-tree", git.line("write-tree"), "-p", self.head, "-m", "Merge a patch that conflicted")

    def fetch(self, remote: str, what: str) -> None:
        """Fetch a ref or commit as the user would. Raises ChangeRefused."""
        wanted = f"what Jules changed is based on {what}, which is not in this repository"
        if not remote:
            raise ChangeRefused(f"{wanted}: fetch it (`git fetch origin {what}`), and run it again", for_now=True)
        self.talk("fetch", f"+{what}:{_FETCHED}", remote, wanted)

    def talk(self, command: str, ref: str, remote: str, wanted: str) -> None:
        """Fetch or push as the user would. Raises ChangeRefused, which says what was wanted."""
        own = {"fetch": ["--no-tags"], "push": ["--no-verify"]}[command]
        words = ["git", "-c", "core.hooksPath=/dev/null", command, "--quiet", *own, "--end-of-options", remote, ref]
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        try:
            ended = subprocess.run(  # noqa: S603
                words, cwd=self._folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ChangeRefused(f"{wanted}, and git {command} took longer than {_LONGEST:g} s", for_now=True) from None
        if ended.returncode:
            why = next((row for row in ended.stderr.decode(errors="replace").splitlines() if row.strip()), "")
            raise ChangeRefused(f"{wanted}, and git {command} failed: {line(why)[:200]}", for_now=True)

    def tree(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self._git.line("rev-parse", f"{commit}^{{tree}}")

    def common(self) -> str:
        """Return the commit from which what was fetched and the run's base have gone apart. Raises ChangeRefused."""
        try:
            return self._git.line("merge-base", self.head, _FETCHED)
        except GitError:
            raise ChangeRefused(
                "the pull request has no commit in common with the branch that the run started from"
            ) from None

    def applied(self, base: str, patch: str) -> str:
        """Return the tree of a commit with a patch. Raises ChangeRefused if it does not apply."""
        git = self._git.using(index=self._folder / "applied")
        git("read-tree", base)
        return self._written(git, patch, base, "apply", "--cached", "-")

    def merged(self, patch: str) -> str:
        """Return the tree of the run's base with a patch of another commit, which was fetched. Raises ChangeRefused."""
        git = self._git.using(index=self._folder / "merged")
        git("read-tree", self.head)
        return self._written(git, patch, self.head, "apply", "--cached", "--3way", "-")

    def _written(self, git: Git, patch: str, base: str, *words: str) -> str:
        patch = patch if patch.endswith("\n") else f"{patch}\n"  # git takes no last line that has no end
        try:
            git(*words, stdin=patch.encode(errors="replace"), cwd=self._folder)
        except GitError as error:
            raise ChangeRefused(f"the change set does not apply to {base[:_SHORT]}: {line(str(error))[:200]}") from None
        return git.line("write-tree")

    def lay(self, tree: str) -> None:
        """Have the workspace hold the files of a tree; those that git does not track stay.

        Raises ChangeRefused for a tree with files of the run itself, by which it would send mail, and GitError.
        """
        changed = self._git("diff-tree", "-r", "-z", "--name-only", "--no-renames", self.head, tree)
        if own := next(filter(_is_of_run, changed.decode(errors="replace").split("\0")), ""):
            raise ChangeRefused(f"the change has {line(own)[:80]}, and {RUN_FOLDER} belongs to the run")
        git = self._clone.using(index=self._folder / "laid", work_tree=self._workspace)  # its filters apply
        borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._folder / "objects")}
        git = replace(git, settings={**git.settings, **borrowed})
        if (merged := self._workspace / MERGED).exists():  # of a conflict of its earlier patch, which is made anew
            git("apply", "-R", "--allow-empty", str(merged), cwd=self._workspace)
        git("read-tree", self.head, cwd=self._workspace)
        git("update-index", "-q", "--refresh", cwd=self._workspace)
        git("read-tree", "--reset", "-u", tree, cwd=self._workspace)
