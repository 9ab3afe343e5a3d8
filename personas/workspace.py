"""Workspaces: a private clone for each run, from which its patch is captured.

The mirror is a bare repository that borrows the objects of the user's (git alternates), so nothing is copied, and each
workspace borrows from the mirror. A workspace is filled and captured by a git directory that is written afresh from the
user's settings, and with an index that was saved before the agent started. So nothing that an agent writes into its
clone or into the mirror (hooks, fsmonitor, filters, a replaced `.git`) is run or believed. Submodules are empty folders
in a workspace. The filters of the user's own settings apply, except that files of Git LFS stay pointers.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..mail.home import RUN_FOLDER
from ..mail.log.disk import read_file, replace_file
from .capture.capture import Capture, Captured
from .capture.changes import Change
from .capture.confined import Confined, check_filters
from .capture.glance import Glance
from .capture.laid import lay_tree, put_whole
from .capture.trust import Base, Trust, clone_config, lay_directory, read_base, read_trust
from .errors import WorkspaceLost
from .git import Git, alternates, find_repository
from .setup.promised import fetch_promised, is_partial
from .setup.sharing import SharedFiles, copy_shared, is_large
from .setup.sparse import patterns
from .setup.trees import Remover, remove_tree, remove_trees

_BRANCH = "refs/heads/work"
_FOLDERS = tuple(  # of a clone, each after those above it
    f".git{folder}" for folder in ("", "/objects", "/objects/info", "/refs", "/refs/heads", "/info")
)
# Captured objects are short-lived, so they need no fsync. Mapped packs must fit into the memory limit below.
_MIRROR_CONFIG = "[core]\n\tfsync = none\n\tpackedGitLimit = 512m\n\tpackedGitWindowSize = 64m\n"
_laying = threading.Lock()
_REFS = "--format=%(objectname) %(refname)"
_LONGEST = 600.0  # seconds for the files of a workspace, in case one of the user's filters hangs
_QUICK = 5.0  # seconds for a look at them while the run goes on


class Mirror:
    """The trusted repository between the user's and the workspaces. It is safe to use from several threads."""

    def __init__(
        self,
        repository: Path,
        folder: Path | Callable[[], Path],
        root: Callable[[], Path] | None = None,
        trouble: Callable[[], str | None] = lambda: None,
        sparse: Sequence[str] = (),
    ) -> None:
        """`repository` is the user's checkout or git directory; `folder` is where workspaces lie.

        It may be a function, which is called, and makes the folder, when the first workspace is needed. `root` is the
        folder of the team, which its mirrors share; by default it is the same. `trouble` says why `folder` would fail.
        Workspaces hold the folders `sparse` of the repository, by default all.
        """
        self.trouble = trouble
        self.sparse = sparse
        self._repository = repository
        self._place = folder
        self._root = root
        self._lock = threading.Lock()
        self._bases: dict[str, Base] = {}
        self._fetched = set[tuple[str, tuple[str, ...]]]()
        self._shared, self._remover = SharedFiles(), Remover()
        self._core = ""

    @cached_property
    def folder(self) -> Path:
        """Where the workspaces lie. Raises UsageError if no folder can be made there."""
        return (self._place() if callable(self._place) else self._place).absolute()

    @property
    def root(self) -> Path:
        """The folder of the team, for what all its workspaces share. Raises UsageError as `folder` does."""
        return self._root() if self._root else self.folder

    @cached_property
    def _git(self) -> Git:
        return Git(self.folder / "mirror.git")

    def nested(self, name: str) -> Mirror:
        """Return a mirror with workspaces of its own, in a folder below this one's."""
        return Mirror(self._repository, lambda: self.folder / name, lambda: self.root, sparse=self.sparse)

    def update(self, commit: str, sparse: Sequence[str] | None = None) -> None:
        """Prepare for workspaces of `commit`, a full id, and fetch what a partial clone lacks of it.

        With `sparse`, they hold these folders. Raises GitError if the repository does not have the commit, and
        PromiseBroken if it lacks files that cannot be fetched.
        """
        folders = tuple(self.sparse if sparse is None else sparse)
        with self._lock:
            if (commit, folders) not in self._fetched and is_partial(self._source):
                fetch_promised(self._source, commit, folders)
                self._fetched.add((commit, folders))
            if commit not in self._bases or not (self._git.directory / "HEAD").exists():
                git = Git(self._source)
                with ThreadPoolExecutor(2) as beside:
                    refs = beside.submit(git, "for-each-ref", _REFS, "refs/heads", "refs/tags")
                    base = beside.submit(read_base, git, commit)
                    self._borrow(self._source, commit)
                self._copy_refs(refs.result())
                self._bases[commit] = base.result()

    def prepare(self, commit: str) -> None:
        """Prepare for workspaces of `commit` ahead of need, as `update` does, if nothing has to be fetched for that."""
        if not is_partial(self._source):
            self.update(commit)

    def workspace(
        self, run: str, commit: str, persona: str = "agent", sparse: Sequence[str] | None = None
    ) -> Workspace:
        """Make the private clone of a run, with `commit` checked out on branch `work`, replacing an earlier one.

        With `sparse`, it holds these folders instead of those of the mirror.
        """
        workspace = self.left(run, commit, sparse)
        self._remover.leave(self._places(run))
        workspace.remove()
        workspace.make(persona, self._shared)
        return workspace

    def left(self, run: str, commit: str, sparse: Sequence[str] | None = None) -> Workspace:
        """Return the clone of a run as it is, if it is there; a scheduler that is gone may have made it."""
        self.update(commit, sparse)
        return Workspace(
            self.folder / run, commit, self._git, self._git.directory / "runs" / run, self._source,
            self._bases[commit], self._core, tuple(self.sparse if sparse is None else sparse), commit,
        )  # fmt: skip

    def keep(self, run: str, place: Path) -> bool:
        """Move the clone of a run to `place`, because what is in it could not be captured; tell whether it was."""
        with suppress(OSError):
            if (self.folder / run).is_dir():
                shutil.move(self.folder / run, place)
                return True
        return False

    def remove(self, run: str) -> None:
        """Remove the clone of a run. Raises WorkspaceStuck."""
        Workspace(self.folder / run, "", self._git, self._git.directory / "runs" / run).remove()

    def remove_soon(self, run: str) -> None:
        """Have the clone of a run removed that nobody uses any more, see `settle`."""
        self._remover.add(self._places(run))

    def settle(self) -> None:
        """Return once the clones that are to be removed soon are gone."""
        self._remover.settle()

    def remove_all(self) -> None:
        """Remove the folder with all workspaces. Raises WorkspaceStuck."""
        self._remover.settle(remove=False)
        remove_tree(self.folder)

    def _places(self, run: str) -> Sequence[Path]:
        return self.folder / run, self._git.directory / "runs" / run

    @property
    def clones(self) -> frozenset[str]:
        """The names of the clones that there are: ids of runs, and those of gates."""
        return frozenset(path.name for path in (self._git.directory / "runs").glob("*"))

    def discard(self, keep: Collection[str] = ()) -> set[str]:
        """Remove the workspaces that a crash left behind, except those of runs in `keep`; return the removed ids."""
        left = {*self.clones} - set(keep)
        for run in left:
            self.remove(run)
        return left

    @cached_property
    def _source(self) -> Path:
        """The user's git directory. Raises NotARepository."""
        return _git_directory(self._repository)

    def _borrow(self, source: Path, commit: str) -> None:
        mirror = self._git.directory
        if not self._core or not (mirror / "HEAD").exists():
            fresh = mirror.with_name(f"mirror.{os.urandom(6).hex()}")
            fresh.mkdir(parents=True, exist_ok=True)
            form = "sha1" if len(commit) == 40 else "sha256"  # noqa: PLR2004
            Git(fresh)("init", "--bare", "--quiet", "--template=", f"--object-format={form}")
            with (fresh / "config").open("a") as config:
                config.write(_MIRROR_CONFIG)
            self._core = read_file(fresh / "config").decode()  # remembered, because agents can write to the mirror's
            put_whole(fresh, mirror)
        (mirror / "objects/info").mkdir(parents=True, exist_ok=True)
        replace_file(mirror / "objects/info/alternates", alternates([source / "objects"]))
        if (source / "shallow").exists():
            replace_file(mirror / "shallow", read_file(source / "shallow", follow=True))

    def _copy_refs(self, listed: bytes) -> None:
        """Copy the refs that a clone has: build tools look for tags, agents for origin/main."""
        renamed = listed.replace(b" refs/heads/", b" refs/remotes/origin/")
        replace_file(self._git.directory / "names", renamed)


@dataclass(frozen=True)
class Workspace:
    """The private clone at `path`, made from the commit `base`."""

    path: Path
    base: str
    _mirror: Git
    _trusted: Path  # holds the run's index and fresh git directories, where the agent has no business
    _source: Path = Path()  # the user's git directory
    _about: Base = Base({}, b"")  # noqa: RUF009 - frozen
    _core: str = ""  # the config that git writes for this file system
    _sparse: tuple[str, ...] = ()  # the folders that it holds, if not all
    _filled: str = ""  # the commit that its index was made of

    def make(self, persona: str, shared: SharedFiles) -> None:
        """Write the files of a clone directly and check out the base: one git process instead of four.

        A large one takes its files from those that are `shared`, where the file system can.
        """
        self._trusted.mkdir(parents=True)  # before the clone, so that `discard` finds it after a crash
        trust = read_trust(self._source, self._about.attributes)
        lay_tree(self.path, _FOLDERS, self._files(persona, trust))
        git = self._common(trust).using(work_tree=self.path, index=self._trusted / "index")
        if trust.filtering or not self._copied(git, trust, shared):
            self._fill(git)
        shutil.copy2(self._trusted / "index", self.path / ".git/index")
        if submodules := b"".join(path + b"\0" for path in self._about.submodules):
            git("update-index", "-z", "--skip-worktree", "--stdin", stdin=submodules)

    def _files(self, persona: str, trust: Trust) -> dict[str, bytes]:
        """Return the files of the clone's git directory, by their paths from the top of the clone."""
        mirror = self._mirror.directory
        files = {
            "HEAD": f"ref: {_BRANCH}\n".encode(),
            "config": clone_config(self._core, persona, trust, sparse=bool(self._sparse)),
            "objects/info/alternates": alternates([mirror / "objects"]),
            "info/exclude": trust.ignored.rstrip(b"\n") + b"\n/" + RUN_FOLDER.encode() + b"/\n",
            "packed-refs": f"{self.base} {_BRANCH}\n".encode() + read_file(mirror / "names"),
        }
        files |= {"info/attributes": trust.overrides} if trust.overrides else {}
        files |= {"info/sparse-checkout": patterns(self._sparse)} if self._sparse else {}
        if (mirror / "shallow").exists():
            files["shallow"] = read_file(mirror / "shallow")
        return {f".git/{name}": data for name, data in files.items()}

    def _fill(self, git: Git) -> None:
        words = ("read-tree", "-m", "-u", self.base)
        ended = git.run(*words, timeout=_LONGEST)
        check_filters(ended)
        Git.output(words, ended)

    def _copied(self, git: Git, trust: Trust, shared: SharedFiles) -> bool:
        """Take the files from those that are shared; tell whether all of them are as in the commit."""

        def fill(place: Path) -> None:
            (place / "files").mkdir(parents=True)
            self._fill(git.using(work_tree=place / "files", index=place / "index"))

        key = f"{self.base[:16]}-{trust.digest}-{hashlib.sha256(patterns(self._sparse)).hexdigest()[:16]}"
        place = shared.place(self._mirror.directory / "files", key, lambda: is_large(self._source, self.base), fill)
        if place is None:
            return False
        with suppress(OSError):
            shutil.copy2(place / "index", self._trusted / "index")
            if copy_shared(place / "files", self.path) and not git.run("update-index", "--refresh").returncode:
                return True
        (self._trusted / "index").unlink(missing_ok=True)
        for entry in {*self.path.iterdir()} - {self.path / ".git"}:
            remove_tree(entry)
        return False

    @property
    def exists(self) -> bool:
        """Whether the clone is there."""
        return self.path.is_dir() and not self.path.is_symlink()

    def fresh_git(self, objects: Path) -> Git:
        """Return a git for these files, with an index of its own, that knows more objects; for use before the agent.

        The user's filters and line endings apply, and nothing that is in the clone.
        """
        trust = read_trust(self._source, self._about.attributes)
        git = self._lay("merge", trust, [objects], b"")
        shutil.copy2(self._trusted / "index", git.directory / "index")
        return git.using(work_tree=self.path)

    def capture(
        self, litter: Sequence[str] = (), apart: Sequence[str] = (), made: frozenset[Change] = frozenset()
    ) -> Captured:
        """Return the difference between the base and the clone's files now, untracked ones included.

        `litter` are globs of files that the run's agent leaves behind, `apart` of those that are never captured, and
        `made` are the `changes` before the agent started. A repository that the agent created inside appears as a
        gitlink (mode 160000), which the weaver holds. Call this when no process of the run is alive.
        Raises WorkspaceLost if the agent removed the folder, and GitError.
        """
        return self._capturing(litter, apart, made).run()

    def changes(self) -> frozenset[Change]:
        """Return how the clone's files differ from the base now, ignored ones left out. Raises as `capture`."""
        return self._capturing().changes()

    def glance(
        self,
        folder: Path,
        objects: Path,
        write: Callable[[str, bytes], str],
        *,
        litter: Sequence[str] = (),
        left_out: Sequence[str] = (),
        made: frozenset[Change] = frozenset(),
    ) -> Glance:
        """Return what looks at the clone's files while the run goes on.

        It works in `folder`, which no agent may write to, and stores files in the folder `objects`, by `write` where
        git has nothing to convert. `litter`,
        `left_out` and `made` are as for `capture`. Raises OSError if the run is over and removed.
        """
        if os.path.lexists(folder):
            remove_tree(folder)
        folder.mkdir()
        shutil.copy2(self._trusted / "index", folder / "index")
        trust, shallow = read_trust(self._source, self._about.attributes), self._source / "shallow"
        git = lay_directory(
            folder / "git", trust, core=self._core, stores=[self._source / "objects"],
            shallow=read_file(shallow, follow=True) if shallow.exists() else None, sparse=patterns(self._sparse),
        )  # fmt: skip
        git = git.using(index=folder / "index", work_tree=self.path, objects=objects)
        return Glance(
            self.path, Confined(git, folder, _QUICK), write, litter, left_out, made, trust.converting,
            self._about.submodules,
        )  # fmt: skip

    def _capturing(
        self, litter: Sequence[str] = (), apart: Sequence[str] = (), made: frozenset[Change] = frozenset()
    ) -> Capture:
        if not self.exists:
            raise WorkspaceLost(f"the workspace {self.path} is gone or replaced: nothing of the run can be captured")
        folder = self._trusted / "capture"
        if os.path.lexists(folder):
            remove_tree(folder)
        folder.mkdir(parents=True)
        shutil.copy2(self._trusted / "index", folder / "index")  # its time tells git which files to look into
        trust = read_trust(self._source, self._about.attributes)
        return Capture(
            self.path, self.base, folder, self._lay, trust, self._about.submodules, self._known, litter, apart, made,
            self._trusted / "index" if self._filled == self.base else None,
        )  # fmt: skip

    def _known(self) -> Sequence[str]:
        """Return the commits that the user's refs name."""
        return Git(self._source).line("for-each-ref", "--format=%(objectname)").split()

    def _lay(self, name: str, trust: Trust, stores: Sequence[Path], sparse: bytes | None = None) -> Git:
        """Write a fresh git directory for the capture, which borrows the user's objects, and more."""
        place = self._trusted / "capture" / name
        if stores or trust.filtering or sparse is not None:
            return self._laid(place, trust, [self._source / "objects", *stores], sparse)
        place.parent.mkdir(parents=True, exist_ok=True)
        return self._common(trust).using(objects=place.parent)  # beside the index

    def _common(self, trust: Trust) -> Git:
        """Return a git directory to read by, which all workspaces of a mirror have in common.

        It is looked at each time, and not taken any more once a byte of it has changed. Filters need one of their own,
        to which they write.
        """
        if trust.filtering:
            return self._laid(self._trusted / "git", trust, [self._source / "objects"])
        name = f"{trust.digest}-{hashlib.sha256(patterns(self._sparse)).hexdigest()[:16]}"
        with _laying:
            return self._laid(self._mirror.directory / "trusted" / name, trust, [self._source / "objects"])

    def _laid(self, place: Path, trust: Trust, stores: Sequence[Path], sparse: bytes | None = None) -> Git:
        sparse = patterns(self._sparse) if sparse is None else sparse
        shallow = self._source / "shallow"
        return lay_directory(
            place, trust, core=self._core, stores=stores,
            shallow=read_file(shallow, follow=True) if shallow.exists() else None, sparse=sparse,
        )  # fmt: skip

    def remove(self) -> None:
        """Remove the clone and its trusted files, including what an agent made unwritable."""
        remove_trees([place for place in (self.path, self._trusted) if os.path.lexists(place)])
        for place in (self.path, self._trusted):
            if os.path.lexists(place):
                remove_tree(place)


def _git_directory(repository: Path) -> Path:
    bare = (repository / "HEAD").is_file() and (repository / "objects").is_dir()
    return repository.absolute() if bare else find_repository(repository)[0].directory
