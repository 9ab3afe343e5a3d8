"""Workspaces: a private clone for each run, from which its patch is captured.

The mirror is a bare repository that agents do not write to. It borrows the objects of the user's repository (git
alternates), so nothing is copied, and each workspace borrows from the mirror. A workspace is captured with the mirror's
config and an index that was saved before the agent started. So nothing that an agent writes into its clone (hooks,
fsmonitor, filters, a replaced `.git`) is run or believed, and committed and uncommitted changes count alike.
Submodules are empty folders in a workspace, and their content is not captured. Files that a filter would write, such as
those of Git LFS, stay pointers.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..mail.log.disk import replacing
from .errors import GitError, WorkspaceLost, WorkspaceStuck
from .git import Git, find_repository

PREVIOUS = "previous.patch"  # in the folder below: what an attempt left that did not end well
_RUN_FOLDER = ".team/run"  # in a workspace, for what a run is given; never captured, whatever the ignore files say
_BRANCH = "refs/heads/work"
_NO_MAINTENANCE = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
# Captured objects are short-lived, so they need no fsync. Mapped packs must fit into the memory limit below.
_MIRROR_CONFIG = "[core]\n\tfsync = none\n\tpackedGitLimit = 512m\n\tpackedGitWindowSize = 64m\n"
_REFS = "--format=%(objectname) %(refname)"
_QUOTED = re.compile(rb"\\([abfnrtv\\\"]|[0-7]{3})")
_ESCAPES = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92, b'"': 34}
# An agent may leave anything, so a capture is limited to 4 GiB of memory and to $1 blocks a file.
_LIMITED = 'ulimit -f "$1"; ulimit -v 4194304 2>/dev/null; exec >"$2"; shift 2; exec "$@"'
_MAX_OBJECT = 1 << 30  # bytes
_MAX_PATCH = 64 << 20  # bytes; the weaver takes far less
_BLOCK = 512
_DIFF = (
    "diff", "--cached", "--numstat", "--patch", "--binary", "--full-index", "--no-ext-diff", "--no-textconv",
    "--no-renames", "--no-color",
)  # fmt: skip
_TIMEOUT = 120.0  # seconds
_GITLINK = b"160000"
_COMPLAINTS = ("error: ", "warning: could not open", "warning: unable to")
_MAX_COMPLAINTS = 20


class Captured(NamedTuple):
    """What a run changed: the patch (empty for no change), the files' names, and the numbers of changed lines.

    Bytes in names that are not UTF-8 are escaped. `trouble` has git's first messages on files that could not be
    captured, such as unreadable ones; everything else is in the patch.
    """

    patch: bytes
    files: tuple[str, ...]
    insertions: int
    deletions: int
    trouble: tuple[str, ...] = ()


class Mirror:
    """The trusted repository between the user's and the workspaces. It is safe to use from several threads."""

    def __init__(self, repository: Path, folder: Path) -> None:
        """`repository` is the user's checkout or git directory; `folder` is where workspaces lie, `.team/work`."""
        self._repository = repository
        self._folder = folder.absolute()
        self._git = Git(self._folder / "mirror.git")
        self._lock = threading.Lock()
        self._submodules: dict[str, bytes] = {}

    def update(self, commit: str) -> None:
        """Prepare for workspaces of `commit`, a full id. Raises GitError if the repository does not have it."""
        with self._lock:
            if commit not in self._submodules or not (self._git.directory / "HEAD").exists():
                source = _git_directory(self._repository)
                self._borrow(source, commit)
                self._copy_refs(Git(source))
                listed = self._git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
                links = (entry.partition(b"\t")[2] for entry in listed if entry.startswith(_GITLINK))
                self._submodules[commit] = b"".join(link + b"\0" for link in links)

    def workspace(self, run: str, commit: str, persona: str = "agent") -> Workspace:
        """Make the private clone of a run, with `commit` checked out on branch `work`, replacing an earlier one."""
        self.update(commit)
        workspace = Workspace(self._folder / run, commit, self._git, self._git.directory / "runs" / run)
        workspace.remove()
        workspace.make(persona, self._submodules[commit])
        return workspace

    def discard(self, keep: Collection[str] = ()) -> set[str]:
        """Remove the workspaces that a crash left behind, except those of runs in `keep`; return the removed ids."""
        left = {path.name for path in (self._git.directory / "runs").glob("*")} - set(keep)
        for run in left:
            Workspace(self._folder / run, "", self._git, self._git.directory / "runs" / run).remove()
        return left

    def _borrow(self, source: Path, commit: str) -> None:
        mirror = self._git.directory
        if not (mirror / "HEAD").exists():
            fresh = mirror.with_name(f"mirror.{os.getpid()}")
            fresh.mkdir(parents=True, exist_ok=True)
            form = "sha1" if len(commit) == 40 else "sha256"  # noqa: PLR2004
            Git(fresh)("init", "--bare", "--quiet", "--template=", f"--object-format={form}")
            with (fresh / "config").open("a") as config:
                config.write(_MIRROR_CONFIG)
            fresh.replace(mirror)
        (mirror / "objects/info").mkdir(parents=True, exist_ok=True)
        _write(mirror / "objects/info/alternates", os.fsencode(source / "objects") + b"\n")
        if (source / "shallow").exists():
            _write(mirror / "shallow", (source / "shallow").read_bytes())

    def _copy_refs(self, source: Git) -> None:
        """Copy the refs that a clone has: build tools look for tags, agents for origin/main."""
        listed = source("for-each-ref", _REFS, "refs/heads", "refs/tags")
        renamed = listed.replace(b" refs/heads/", b" refs/remotes/origin/")
        _write(self._git.directory / "names", renamed)


@dataclass(frozen=True)
class Workspace:
    """The private clone at `path`, made from the commit `base`."""

    path: Path
    base: str
    _mirror: Git
    _trusted: Path  # holds the run's index and new objects, where the agent does not write

    def make(self, persona: str, submodules: bytes) -> None:
        """Write the files of a clone directly and check out the base: one git process instead of four."""
        (self._trusted / "objects").mkdir(parents=True)  # before the clone, so that `discard` finds it after a crash
        directory = self.path / ".git"
        for folder in ("objects/info", "refs/heads", "info", "hooks"):
            (directory / folder).mkdir(parents=True)
        (directory / "HEAD").write_text(f"ref: {_BRANCH}\n")
        (directory / _BRANCH).write_text(f"{self.base}\n")
        (directory / "objects/info/alternates").write_bytes(os.fsencode(self._mirror.directory / "objects") + b"\n")
        (directory / "config").write_text(self._config(persona))
        (directory / "info/exclude").write_text(f"/{_RUN_FOLDER}/\n")
        shutil.copyfile(self._mirror.directory / "names", directory / "packed-refs")
        if (self._mirror.directory / "shallow").exists():
            shutil.copyfile(self._mirror.directory / "shallow", directory / "shallow")
        git = self._git()
        git("read-tree", "-m", "-u", self.base)
        shutil.copy2(self._trusted / "index", directory / "index")
        if submodules:
            git("update-index", "-z", "--skip-worktree", "--stdin", stdin=submodules)

    def leave(self, name: str, data: bytes) -> None:
        """Put a file into the workspace that is no part of its patch, unless the base has a link in its place."""
        folder = self.path / _RUN_FOLDER
        if self._has_own_folder():
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / name, data)

    def _has_own_folder(self) -> bool:
        return (self.path / _RUN_FOLDER).resolve() == self.path.resolve() / _RUN_FOLDER

    def capture(self) -> Captured:
        """Return the difference between the base and the clone's files now, untracked ones included.

        A repository that the agent created inside appears as a gitlink (mode 160000), which the weaver refuses. Call
        this when no process of the run is alive. Raises WorkspaceLost if the agent removed the folder, and GitError.
        """
        if not self.path.is_dir() or self.path.is_symlink():
            raise WorkspaceLost(f"the workspace {self.path} is gone or replaced: nothing of the run can be captured")
        apart = ("--", ":(top)", f":(exclude,top,literal){_RUN_FOLDER}") if self._has_own_folder() else ()
        words = ("add", "--all", "--ignore-errors", *apart)
        stderr = self._limited(words, _MAX_OBJECT, allowed=(0, 1))
        self._limited((*_DIFF, self.base, "--"), _MAX_PATCH)
        numbers, _, patch = (self._trusted / "printed").read_bytes().partition(b"\n\n")
        return _captured(numbers, patch, _complaints(stderr))

    def _limited(self, words: tuple[str, ...], max_bytes: int, allowed: Collection[int] = (0,)) -> bytes:
        """Run git within limits, with its output in the file `printed`; return its stderr."""
        wrapper = ("sh", "-c", _LIMITED, "sh", str(max_bytes // _BLOCK), str(self._trusted / "printed"))
        ended = self._git().run(*words, wrapper=wrapper, timeout=_TIMEOUT)
        if ended.returncode == -signal.SIGXFSZ:
            raise GitError(words, ended.returncode, b"what the run left is larger than a capture may be")
        Git.output(words, ended, allowed=allowed)
        return ended.stderr

    def remove(self) -> None:
        """Remove the clone and its trusted files, including what an agent made unwritable."""
        for place in (self.path, self._trusted):
            if os.path.lexists(place):
                _remove(place)

    def _git(self) -> Git:
        return self._mirror.using(index=self._trusted / "index", work_tree=self.path, objects=self._trusted / "objects")

    def _config(self, persona: str) -> str:
        """Return the clone's config, based on what git found out about the file system when it made the mirror."""
        name = re.sub(r"[^\w.+-]", "-", persona)
        mirrored = (self._mirror.directory / "config").read_text()
        own = f'[user]\n\tname = "{name}"\n\temail = "{name}@team-mail.invalid"\n'
        return re.sub(r"bare = true", "bare = false", mirrored) + own + _NO_MAINTENANCE


def _captured(numbers: bytes, patch: bytes, trouble: tuple[str, ...]) -> Captured:
    """Parse the output of --numstat; binary files have no line counts."""
    rows = [line.split(b"\t", 2) for line in numbers.splitlines()]
    files = tuple(_unquoted(row[2]).decode(errors="backslashreplace") for row in rows)
    insertions, deletions = (sum(int(row[column]) for row in rows if row[column] != b"-") for column in (0, 1))
    return Captured(patch, files, insertions, deletions, trouble)


def _unquoted(name: bytes) -> bytes:
    """Undo git's quoting of a name with control characters, quotes or backslashes."""
    if not name.startswith(b'"'):
        return name
    return _QUOTED.sub(lambda match: bytes([_ESCAPES.get(match[1]) or int(match[1], 8)]), name[1:-1])


def _complaints(stderr: bytes) -> tuple[str, ...]:
    lines = stderr.decode(errors="backslashreplace").splitlines()
    return tuple(line.partition(": ")[2] for line in lines if line.startswith(_COMPLAINTS))[:_MAX_COMPLAINTS]


def _git_directory(repository: Path) -> Path:
    bare = (repository / "HEAD").is_file() and (repository / "objects").is_dir()
    return repository.absolute() if bare else find_repository(repository)[0].directory


def _write(file: Path, data: bytes) -> None:
    """Write a file atomically, because others may read it meanwhile."""
    with replacing(file, durable=False) as scratch:
        scratch.write_bytes(data)


def _remove(place: Path) -> None:
    """Remove a folder of any depth and size, which `rm` does better than `shutil`; make it writable if needed."""
    for command in (("rm", "-rf"), ("chmod", "-R", "u+rwx"), ("rm", "-rf")):
        ended = subprocess.run([*command, "--", place], capture_output=True, check=False)  # noqa: S603
        if not os.path.lexists(place):
            return
    reason = ended.stderr.decode(errors="replace").strip().splitlines()[-1]
    raise WorkspaceStuck(f"cannot remove {place}: {reason}; remove it by hand")
