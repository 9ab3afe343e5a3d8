"""The repository of one host among several: the clone beside its team, or a bare one of our own, made from a remote.

It gets the commits that runs start from, by a fetch or from a bundle, and keeps each by a ref of its own until a later
one has it in its history. Several processes may ask at once, and any of them may be killed anywhere: one works at a
time, by a lock that git itself holds as long as it writes. Credentials are those of the user's own git.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ...mail.log.disk import Disk
from ...mail.text.escape import line
from ..errors import NotPrepared
from ..git import Git, run_as_user
from .trees import remove_tree

KEPT = "refs/team-mail/bases/"
_LONGEST = 3_600.0  # seconds for one fetch; a stalled one ends earlier
_SOON = 30.0  # seconds for what asks a remote without fetching
_PATIENCE = 900.0  # seconds for another process that fetches
_PAUSE = 0.05
_SAID = 300  # characters of what git says
_MOST_PACKS = 40  # in a repository of our own, before they become one
_STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
_SSH = ("-c", "core.sshCommand=ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15")
_FETCH = (
    "-c", "transfer.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
    "--recurse-submodules=no",
)  # fmt: skip
_ALL = ("refs/heads/*", "refs/team/*")
_OWN = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/\s'\"]*)@")


def without_secrets(text: str) -> str:
    """Return a text with the users and passwords taken out of its addresses; the name of a user of ssh stays."""

    def cleaned(match: re.Match[str]) -> str:
        plain = match["scheme"].endswith("ssh") and ":" not in match["user"]
        return match[0] if plain else f"{match['scheme']}://"

    return _USER.sub(cleaned, text)


def ask_remote(
    directory: Path, *words: str, timeout: float = _SOON, holding: Sequence[int] = (), where: Path | None = None
) -> tuple[int, str, str]:
    """Run a git command that reaches a remote; return its exit code, its output, and what it says, in one line.

    Neither has the secrets of an address. The other arguments are those of `run_as_user`.
    """
    chosen = {"GIT_SSH_COMMAND", "GIT_SSH"} & {*os.environ}
    ssh = () if chosen or Git(directory).run("config", "--get", "core.sshCommand").stdout else _SSH
    ended = run_as_user(directory, *_STALLED, *ssh, *words, timeout=timeout, holding=holding, where=where)
    rows = [row for row in ended.stderr.decode(errors="replace").splitlines() if row.strip()]
    text = "; ".join(row.removeprefix("fatal: ").removeprefix("error: ") for row in rows[:3])
    output = ended.stdout.decode(errors="replace")
    return ended.returncode, without_secrets(output), line(without_secrets(text))[:_SAID]


@dataclass(frozen=True)
class HostRepository:
    """A git directory of a host, with the lock of those that bring commits there; `own` if it is of our making."""

    directory: Path
    lock: Path
    own: bool = False

    @property
    def git(self) -> Git:
        """Git in the repository."""
        return Git(self.directory)

    def has(self, commit: str) -> bool:
        """Tell whether a commit is here with all that it needs, and keep it if only its objects are here."""
        if not (self.directory / "HEAD").exists():
            return False
        if self._names(KEPT + commit, commit):
            return True
        if not self.git.has_commit(commit):
            return False
        listed = self.git.run("rev-list", "--max-count=1", commit, "--not", "--all")
        if listed.returncode == 0 and not listed.stdout:  # git takes what its refs have to be whole
            return True
        with self.locked() as holding:
            return self._kept(commit, holding)

    def lacks(self, commit: str) -> bool:
        """Tell whether the objects of a commit are not all here."""
        return not self._whole(commit)

    def fetch(self, remote: str, commit: str) -> None:
        """Fetch a commit from a remote. Raises NotPrepared if it cannot be had, with the command to try."""
        with self.locked() as holding:
            self._make(len(commit), holding)
            if self._kept(commit, holding):
                return
            said = self._fetched(remote, commit, holding)
            if self._kept(commit, holding):
                self._tidy(holding)
                return
        raise NotPrepared(
            f"this host lacks commit {commit[:12]}, and could not fetch it from {without_secrets(remote)} "
            f"({said or 'it is not there'}); to see why: {self.command(remote, commit)}"
        )

    def take(self, pack: int, commit: str, holding: Sequence[int], size: int) -> None:
        """Take a commit from the pack of a bundle, an open file at its beginning, of at most `size` bytes.

        Git checks each object, and that nothing is missing. Call it while `locked`. Raises NotPrepared.
        """
        rules = Git(self.directory).run("config", "--null", "--get-regexp", r"^fetch\.fsck\.").stdout.split(b"\0")
        pairs = [os.fsdecode(rule).removeprefix("fetch.fsck.").replace("\n", "=") for rule in rules if rule]
        strict = f"--strict={','.join(pairs)}" if pairs else "--strict"
        words = ("index-pack", "--stdin", "--fix-thin", strict, f"--max-input-size={size}")
        ended = run_as_user(self.directory, *words, timeout=_LONGEST, stdin=pack, holding=holding)
        if ended.returncode or not self._kept(commit, holding):
            said = line(ended.stderr.decode(errors="replace").strip())[-_SAID:]
            raise NotPrepared(f"the bundle of commit {commit[:12]} is refused: {said or 'objects are missing'}")
        self._tidy(holding)

    def prepare(self, digits: int, holding: Sequence[int]) -> None:
        """Make a repository of our own if it is not there, for ids of so many digits. Call it while `locked`."""
        self._make(digits, holding)

    def command(self, remote: str, commit: str) -> str:
        """Return the command by which a person sees why a fetch fails."""
        place = shlex.quote(str(self.directory))
        return f"git --git-dir={place} fetch {shlex.quote(without_secrets(remote))} {commit}"

    @contextmanager
    def locked(self) -> Generator[tuple[int, ...]]:
        """Hold the lock, as a descriptor that git processes are to hold as well. Raises NotPrepared, OSError."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor, deadline = Disk().open(self.lock, os.O_RDWR | os.O_CREAT), time.monotonic() + _PATIENCE
        try:
            while not _taken(descriptor):
                if time.monotonic() >= deadline:
                    raise NotPrepared(f"another process has fetched for {_PATIENCE:g} s; see: fuser {self.lock}")
                time.sleep(_PAUSE)
            yield (descriptor,)
        finally:
            os.close(descriptor)

    def _names(self, ref: str, commit: str) -> bool:
        named = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return named.stdout.decode().strip() == commit

    def _make(self, digits: int, holding: Sequence[int]) -> None:
        if not self.own:
            return
        if (self.directory / "HEAD").exists():
            places = ("*.lock", "refs/**/*.lock", "objects/pack/*tmp*")
            for left in (file for place in places for file in self.directory.glob(place)):
                with suppress(OSError):  # of a git that was killed: who holds the lock is alone here
                    left.unlink()
            return
        fresh = self.directory.with_name(f"{self.directory.name}.new")
        if os.path.lexists(fresh):
            remove_tree(fresh)
        fresh.mkdir(parents=True)
        form = "sha1" if digits == 40 else "sha256"  # noqa: PLR2004
        words = ("init", "--bare", "--quiet", "--template=", f"--object-format={form}")
        ended = run_as_user(fresh, *words, timeout=_SOON, holding=holding)
        Git.output(words, ended)
        fresh.replace(self.directory)

    def _fetched(self, remote: str, commit: str, holding: Sequence[int]) -> str:
        """Fetch a commit, else all branches, since a server may give no commit by its id; return what git says."""
        before = ("-c", "fetch.unpackLimit=1") if self.own else ()
        more = ("--update-shallow", "--prune") if self.own else ()
        refs = _OWN if self.own else ()
        why = ""
        for wanted in ((commit, *refs), (*_ALL, *refs)):
            words = (*before, *_FETCH, *more, "--end-of-options", remote, *wanted)
            code, _, failure = ask_remote(self.directory, *words, timeout=_LONGEST, holding=holding)
            if not code and self._whole(commit):
                return ""
            why = why or failure
        return why

    def _whole(self, commit: str) -> bool:
        """Tell whether all that a commit needs is here, as git itself does after a fetch."""
        words = ("rev-list", "--objects", "--quiet", "--exclude-promisor-objects", commit, "--not", "--all")
        return self.git.has_commit(commit) and self.git.run(*words).returncode == 0

    def _kept(self, commit: str, holding: Sequence[int]) -> bool:
        """Keep a commit that is here by a ref, instead of those that it has in its history; tell whether it is."""
        if not (self.directory / "HEAD").exists() or not self._whole(commit):
            return False
        for left in (self.directory / KEPT).glob("*.lock"):
            with suppress(OSError):  # of a git that was killed: nobody else writes these
                left.unlink()
        listed = self.git.run("for-each-ref", f"--merged={commit}", "--format=delete %(refname)", KEPT)
        rows = [row for row in listed.stdout.decode().splitlines() if row != f"delete {KEPT}{commit}"]
        asked = "\n".join([f"update {KEPT}{commit} {commit}", *rows, ""]).encode()
        words = ("update-ref", "--stdin")
        return not run_as_user(self.directory, *words, timeout=_SOON, stdin=asked, holding=holding).returncode

    def _tidy(self, holding: Sequence[int]) -> None:
        """Make one pack of many, in a repository of our own; what no ref has stays."""
        if self.own and len([*self.directory.glob("objects/pack/*.pack")]) > _MOST_PACKS:
            run_as_user(self.directory, "repack", "-a", "-d", "-k", "-q", timeout=_LONGEST, holding=holding)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
