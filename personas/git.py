"""The one way to run git: on a named repository, isolated from settings that others could have changed.

Hooks, fsmonitor, pagers, prompts, external diffs and the settings of machine and user are off. The repository's own
config applies, so it must be one that agents do not write to: the user's, or the mirror.

Most commands start no program but git's own, and run as they are. Those that fill a work tree or read it start the
filters that the user's settings name, if a file has one; they run under a keeper, because a filter is a program of
somebody else that may hang or leave a daemon.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..mail.errors import UsageError
from .environment import harmless, surroundings
from .errors import BareRepository, GitError, GitTooOld, NotARepository, NotTrusted, RepositoryBroken
from .hidden import git_settings
from .running.kept import run_kept

OLDEST = (2, 38)  # merge-tree --write-tree
_SAFE = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false", "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null", "core.autocrlf=false", "core.safecrlf=false", "gc.auto=0", "maintenance.auto=false",
    "advice.detachedHead=false", "commit.gpgSign=false", "diff.renames=false", "apply.whitespace=nowarn",
    "protocol.allow=never", "protocol.file.allow=always",
)  # fmt: skip
_READING = (  # what is read by a command of somebody else starts nothing: no gpg, no git in a submodule, no transport
    "log.showSignature=false", "gpg.program=false", "gpg.openpgp.program=false", "gpg.x509.program=false",
    "gpg.ssh.program=false", "status.submoduleSummary=false", "diff.submodule=short", "diff.ignoreSubmodules=all",
    "submodule.recurse=false", "protocol.file.allow=never", "core.pager=cat", "color.ui=never", "column.ui=never",
)  # fmt: skip
_PLACES = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}
_FILTERING = {"add", "checkout-index", "hash-object", "ls-files"}  # the last one to compare files
_LONGEST = 600.0  # seconds for a command with filters whose caller gives it no limit
_NOTHING = "not a git repository (or any "  # parent up to the mount point, or of the parent directories
_DRIVERS = r"^merge\..+\.(driver|name|recursive)$"
_OPTIONS = tuple(word for setting in _SAFE for word in ("-c", setting))
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C",
}


@dataclass(frozen=True)
class Git:
    """A repository by its git directory; `using` returns a copy with another index, work tree or object store."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    options: tuple[str, ...] = ()  # `name=value`, after our own
    guarded: bool = False  # it may run programs, which then see no more of the environment than agents do
    filtering: bool = False  # these are filters: its commands that run them are kept as agents are

    def __call__(self, *words: str, stdin: bytes | None = None, cwd: Path | None = None) -> bytes:
        """Run one git command; return its output. Raises GitError with git's own message."""
        return self.output(words, self.run(*words, stdin=stdin, cwd=cwd))

    @staticmethod
    def output(
        words: tuple[str, ...], ended: subprocess.CompletedProcess[bytes], *, allowed: Collection[int] = (0,)
    ) -> bytes:
        """Return the output of a command that has ended. Raises GitError if its exit code is not `allowed`."""
        if ended.returncode not in allowed:
            raise GitError(words, ended.returncode, ended.stderr)
        return ended.stdout

    def line(self, *words: str, stdin: bytes | None = None) -> str:
        """Run one git command; return its output as text, without the last newline. Raises GitError."""
        return os.fsdecode(self(*words, stdin=stdin)).removesuffix("\n")

    def has_commit(self, commit: str) -> bool:
        """Tell whether there is such a commit here."""
        return self.run("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    def is_ancestor(self, earlier: str, commit: str) -> bool:
        """Tell whether a commit has an earlier one in its history, or is that; False if one of them is not here."""
        return self.run("merge-base", "--is-ancestor", earlier, commit).returncode == 0

    def run(
        self,
        *words: str,
        stdin: bytes | None = None,
        cwd: Path | None = None,
        wrapper: Sequence[str] = (),
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one git command and return how it ended, without checking. `wrapper` is a command that runs git.

        After `timeout` seconds git is killed, and the exit code is that of SIGKILL.
        """
        own, kept = (word for setting in self.options for word in ("-c", setting)), self.filtering and _filters(words)
        words, place = (*wrapper, "git", *_OPTIONS, *own, *words), cwd or self.directory
        if kept:
            return self._kept(words, place, stdin or b"", timeout or _LONGEST)
        try:
            return _run(words, place, self._environment(), stdin or b"", timeout)
        except subprocess.TimeoutExpired as error:
            return subprocess.CompletedProcess(
                words, -signal.SIGKILL, b"", f"no end within {error.timeout:g} s".encode()
            )

    def command(self, *words: str) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the words and the environment of a git command, for whoever runs it in the work tree."""
        own = (word for setting in self.options for word in ("-c", setting))
        return ("git", "--no-pager", *_OPTIONS, *own, *words), self._environment()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a git command that answers line by line what it is asked; its starter ends it by closing its input."""
        own = (word for setting in self.options for word in ("-c", setting))
        argv = ("git", *_OPTIONS, *own, *words)
        return subprocess.Popen(  # noqa: S603
            argv, cwd=self.directory, env=self._environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _kept(
        self, words: Sequence[str], cwd: Path, stdin: bytes, timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command that runs filters, so that none of them outlives it."""
        folder = self.directory / "kept"
        ended = run_kept(words, self._environment(), cwd=cwd, folder=folder, stdin=stdin, timeout=timeout)
        if ended.returncode == -signal.SIGKILL:
            ended.stderr += b": a filter of your git settings may hang; see that git can filter in your checkout"
        return ended

    def using(self, *, index: Path | None = None, work_tree: Path | None = None, objects: Path | None = None) -> Git:
        """Return the same repository with another index, another work tree, or a separate folder for new objects."""
        settings = dict(self.settings)
        if index:
            settings["GIT_INDEX_FILE"] = str(index)
        if work_tree:
            settings["GIT_WORK_TREE"] = str(work_tree)
        if objects:
            settings["GIT_OBJECT_DIRECTORY"] = str(objects)
            settings["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _entry(str(self.directory / "objects"), ":")
        return replace(self, settings=settings)

    def only(self, objects: Path) -> Git:
        """Return a git that knows no objects but those in a folder."""
        return replace(self, settings={**self.settings, "GIT_OBJECT_DIRECTORY": str(objects)})

    def _environment(self) -> dict[str, str]:
        outer = harmless() | _ENVIRONMENT if self.guarded else _clean()
        return outer | {"GIT_DIR": str(self.directory)} | dict(self.settings)


def _filters(words: Sequence[str]) -> bool:
    """Tell whether a command of git reads or writes files of a work tree, and so runs their filters."""
    return words[0] in _FILTERING or "--refresh" in words or (words[0] == "read-tree" and "-u" in words)


def _run(  # noqa: PLR0917
    words: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | int,
    timeout: float | None,
    holding: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a command; with a limit of time, end all that it started when that is over."""
    given = isinstance(stdin, bytes)
    process = subprocess.Popen(  # noqa: S603
        words, cwd=cwd, env=env, stdin=subprocess.PIPE if given else stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=timeout is not None, pass_fds=holding,
    )  # fmt: skip
    with process:
        try:
            stdout, stderr = process.communicate(stdin if given else None, timeout)
        except BaseException:
            if timeout is None:
                process.kill()
            else:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def find_repository(start: Path) -> tuple[Git, Path]:
    """Return the git repository that contains `start`, and the top of its checkout.

    Which repositories of other users git trusts (`safe.directory`) is the user's to say, as anywhere. Raises
    NotARepository, NotTrusted, BareRepository, RepositoryBroken if git cannot use the one that is there, and GitTooOld
    if git is missing or older than the weaver needs.
    """
    check_version()
    top, common = _places(start)
    if not top:
        raise BareRepository(f"{start} is in a bare git repository; a team needs a checkout to live in")
    return Git(Path(common)), Path(top)


def find_git(start: Path) -> Git:
    """Return the git repository that contains `start`, be it bare. Raises as `find_repository` does."""
    check_version()
    return Git(Path(_places(start)[1]))


def move_checkout(checkout: Path, old: str, new: str) -> None:
    """Update the files of a checkout from commit `old` to `new`, with the user's own settings and filters.

    Raises GitError if a local change is in the way; then no file was changed. In a sparse checkout git itself writes
    over untracked files, as `git merge` does, so it is asked first what would be in the way in one that is not.
    """
    move = ("-m", "-u", old, new)
    for words in (
        ("update-index", "-q", "--refresh"),
        ("read-tree", "--dry-run", "--no-sparse-checkout", *move),
        ("read-tree", *move),
    ):
        ended = subprocess.run(["git", *words], cwd=checkout, env=users_environment(), capture_output=True, check=False)  # noqa: S603, S607
        if ended.returncode and words[0] == "read-tree":
            if words[1:] == move:
                with suppress(GitError, OSError):
                    _put_back(checkout, old, new)
            raise GitError(words, ended.returncode, ended.stderr)


def _put_back(checkout: Path, old: str, new: str) -> None:
    """Put the files of `old` back after git stopped on the way to `new`, at a filter or a full disk.

    Only a file that is gone, or has what git wrote, is put back; what somebody else wrote meanwhile stays.
    """
    rows = ask_checkout(checkout, "diff-tree", "-r", "-z", "--no-renames", old, new).split(b"\0")
    written = {os.fsdecode(name): row.split()[3].decode() for row, name in zip(rows[::2], rows[1::2], strict=False)}
    there = [name for name in written if os.path.lexists(checkout / name)]
    plain = [name for name in there if "\n" not in name and (checkout / name).is_file()]
    listed = os.fsencode("".join(f"{name}\n" for name in plain))
    hashes = ask_checkout(checkout, "hash-object", "--stdin-paths", stdin=listed).decode().split()
    same = {name for name, oid in zip(plain, hashes, strict=True) if written[name] == oid}
    for name in same:
        (checkout / name).unlink()
    back = os.fsencode("".join(f"{name}\0" for name in written if name in same or name not in there))
    argv, env = ("git", "checkout-index", "--force", "--quiet", "-z", "--stdin"), users_environment()
    subprocess.run(argv, cwd=checkout, env=env, input=back, capture_output=True, check=False)  # noqa: S603


def ask_checkout(checkout: Path, *words: str, stdin: bytes = b"", allowed: Collection[int] = (0,)) -> bytes:
    """Run one git command that only reads, in the user's checkout and with the user's settings; return its output.

    Raises GitError if its exit code is not `allowed`.
    """
    env = users_environment() | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    ended = subprocess.run(["git", *words], cwd=checkout, env=env, input=stdin, capture_output=True, check=False)  # noqa: S603, S607
    return Git.output(words, ended, allowed=allowed)


def run_as_user(
    directory: Path,
    *words: str,
    timeout: float,
    stdin: bytes | int = b"",
    holding: Sequence[int] = (),
    where: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git on a repository with the user's settings, as they need it to reach another one; nobody is asked anything.

    After `timeout` seconds git is killed with all that it started, and the exit code is that of SIGKILL. What git
    starts holds the file descriptors `holding` open, so that a lock lasts as long as git works; `stdin` may be one.
    It runs in the folder `where`, for hooks, by default in the repository.
    """
    env = users_environment() | {"GIT_DIR": str(directory), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    argv = ("git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *words)
    try:
        return _run(argv, where or directory, env, stdin, timeout, holding)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, -signal.SIGKILL, b"", f"no end within {timeout:g} s".encode())


def reader(checkout: Path) -> Git:
    """Return the repository of a checkout for commands that read: they start no program, whatever its config names.

    Raises GitError.
    """
    directory = Path(os.fsdecode(ask_checkout(checkout, "rev-parse", "--absolute-git-dir")).removesuffix("\n"))
    git = Git(directory, options=_READING, guarded=True).using(work_tree=checkout)
    ended = git.run("config", "--null", "--name-only", "--get-regexp", r"^filter\.")
    names = dict.fromkeys(name for name in os.fsdecode(ended.stdout).split("\0") if name)
    settings = {"GIT_CONFIG_COUNT": str(len(names))}
    for number, name in enumerate(names):
        settings[f"GIT_CONFIG_KEY_{number}"] = name
        settings[f"GIT_CONFIG_VALUE_{number}"] = "false" if name.endswith(".required") else ""
    return replace(git, settings={**git.settings, **settings})


def with_drivers(git: Git) -> Git:
    """Return the same repository with the merge drivers of the user's global settings, and nothing else from there."""
    words = ["git", "config", "--global", "--null", "--get-regexp", _DRIVERS]
    output = subprocess.run(words, capture_output=True, check=False).stdout  # noqa: S603
    pairs = [entry.partition("\n") for entry in os.fsdecode(output).split("\0") if entry]
    if not pairs:
        return git
    settings = " ".join(f"{_quoted(name)}={_quoted(value)}" for name, _, value in pairs)
    return replace(git, settings={**git.settings, "GIT_CONFIG_PARAMETERS": settings})


def alternates(stores: Iterable[Path]) -> bytes:
    """Return the text of `info/alternates` for folders of objects that are borrowed from."""
    return b"".join(os.fsencode(_entry(str(store), "\n")) + b"\n" for store in stores)


def read_alternates(data: bytes) -> list[str]:
    """Return the folders that the text of `info/alternates` names."""
    lines = [os.fsdecode(line) for line in data.split(b"\n") if line and not line.startswith(b"#")]
    return [_unquoted(line[1:-1]) if line.startswith('"') and line.endswith('"') else line for line in lines]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), text)


def _entry(path: str, separator: str) -> str:
    """Quote an entry of a list, as of paths between colons, if it has the separator itself."""
    if separator not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _quoted(text: str) -> str:
    """Quote a value for GIT_CONFIG_PARAMETERS as git does."""
    return "'" + text.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _places(start: Path) -> tuple[str, str]:
    """Return the top of the checkout, empty for a bare repository, and the git directory its worktrees share."""
    ended = _asked(start, "--is-bare-repository", "--git-common-dir", "--show-toplevel")
    bare, *paths = os.fsdecode(ended.stdout).removesuffix("\n").split("\n")
    if not ended.returncode and bare == "false" and len(paths) == 2:  # noqa: PLR2004 - nearly always
        return paths[1], paths[0]
    ended = _asked(start, "--git-common-dir", "--is-bare-repository")  # there is no top, or a path has lines
    if ended.returncode:
        raise _unusable(start.absolute(), os.fsdecode(ended.stderr))
    common, _, bare = os.fsdecode(ended.stdout).removesuffix("\n").rpartition("\n")
    if bare == "true":
        return "", common
    return os.fsdecode(_asked(start, "--show-toplevel").stdout).removesuffix("\n"), common


def _asked(start: Path, *questions: str) -> subprocess.CompletedProcess[bytes]:
    """Ask git where a repository is, with the user's settings, because they say which ones to trust."""
    words = ["git", "rev-parse", "--path-format=absolute", *questions]
    return subprocess.run(words, cwd=start, env=users_environment() | {"LC_ALL": "C"}, capture_output=True, check=False)  # noqa: S603


def _unusable(start: Path, stderr: str) -> UsageError:
    """Return the error for what git says of a place in which it finds no repository that it can use."""
    if "dubious ownership" in stderr:
        return NotTrusted(_distrust(start, stderr))
    said = " ".join(stderr.removeprefix("fatal: ").split())
    if _NOTHING not in stderr:
        return RepositoryBroken(f"git cannot use the repository of {start}: {said}; mend that, then see git status")
    remains = next((place / ".git" for place in (start, *start.parents) if os.path.lexists(place / ".git")), None)
    if remains:
        why = "it is damaged, because git needs HEAD, objects and refs in it"
        return RepositoryBroken(f"{remains} is there, and git says: {said}; {why}: mend it, or clone anew")
    return NotARepository(f"{start} is not in a git repository; run `git init` and commit, or go to one")


def _distrust(start: Path, stderr: str) -> str:
    """Say what git says of a repository of another user, in one line."""
    advice = re.search(r"git config --global --add safe\.directory .+", stderr)
    mend = f"if you trust it, run: {advice[0].strip()}" if advice else "see safe.directory in git help config"
    return f"{start} is in a repository of another owner, which git does not trust; {mend}"


def users_environment() -> dict[str, str]:
    """Return the environment in which git finds the user's settings, but no repository that somebody has named."""
    return {name: value for name, value in os.environ.items() if name not in _PLACES} | {**git_settings()}


def check_version() -> str:
    """Return the version of git as it tells it. Raises GitTooOld if it is missing, or older than the weaver needs."""
    try:
        output = subprocess.run(["git", "--version"], capture_output=True, check=False).stdout.decode()  # noqa: S607
    except FileNotFoundError:
        raise GitTooOld("git is not installed, or not in PATH; a sprint needs git 2.38 or later") from None
    version = tuple(int(part) for part in re.findall(r"\d+", output)[:2])
    if version < OLDEST:
        raise GitTooOld(f"{output.strip()} is too old: the weaver needs git 2.38 or later; upgrade it")
    return output.strip().removeprefix("git version ")


def _clean() -> dict[str, str]:
    return {name: value for name, value in surroundings().items() if not name.startswith("GIT_")} | _ENVIRONMENT
