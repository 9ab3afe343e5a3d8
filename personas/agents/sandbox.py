"""The sandbox of an agent: what it may see of this machine, as the command line of bubblewrap (`bwrap`).

Nothing is there unless it is named: the system's programs to read, and the workspace to write. So no file of the team,
of the user's checkout and home, and of other runs can be reached, and no process outside be seen.
"""

# Paths are text here, as bwrap and the kernel read them.
# ruff: noqa: PTH110, PTH112, PTH114, PTH115, PTH118

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from ...mail.errors import UsageError
from ...mail.log.disk import open_file
from ..agent import Job
from ..git import read_alternates
from ..running.folder import LAUNCHER
from ..setup.caches import cache_of
from .programs import SYSTEM, Programs, is_within, programs_in, trail

Kind = Literal["link", "read", "hide", "empty", "write"]  # of two for one path, the later one counts
_KINDS: tuple[Kind, ...] = ("link", "read", "hide", "empty", "write")
# SIGTERM goes to all processes of a run. If bwrap ended by it, the agent would be killed without its grace period.
_DEAF, _HEARING = "--ignore-signal=TERM", "--default-signal=TERM"
_APART = (
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL",
    "--die-with-parent", "--new-session",
)  # fmt: skip
_OWN = ("--proc", "/proc", "--dev", "/dev")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the sandbox's own
_HOMES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR")
_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_RESOLVER = "/etc/resolv.conf"
_NEVER = ("/run", "/dev", "/proc", "/sys")  # no program is shown in there: sockets and devices are
_MOST_STORES = 20
_PATIENCE = 20.0  # seconds
_ADVICE = (
    "allow user namespaces to this user or container (sysctl kernel.unprivileged_userns_clone, AppArmor, seccomp), "
    'or set sandbox = "none"'
)


class Mount(NamedTuple):
    """What there is at one path of the sandbox.

    `source` is the path outside, or what a link says. "hide" covers what something above it shows.
    """

    kind: Kind
    path: str
    source: str = ""


@dataclass(frozen=True)
class Sandbox:
    """What one agent may reach beside its workspace.

    `home` are paths in the home folder that it may write, and `caches` those in the workspace that runs share. `hidden`
    are places that nothing may show: the checkout, the team's folder, the workspaces of others. `tools` are programs of
    this installation that the agent starts besides `team-mail`.
    """

    home: tuple[str, ...] = ()
    network: bool = True
    caches: tuple[str, ...] = ()
    hidden: tuple[Path, ...] = ()
    tools: tuple[str, ...] = ()

    def trouble(self, command: Sequence[str]) -> str | None:
        """Return why an agent with this command cannot start in it, and what to do."""
        try:
            check(network=self.network)
            place = _Place.of(self.hidden)
            _ = [*self._homes(place)]
        except UsageError as error:
            return str(error)
        for word in programs_in(command, os.environ.get("PATH", os.defpath)):
            if hidden := place.hides(os.path.realpath(word)):
                return f"{word} lies in {hidden}, which a sandbox does not show; put it elsewhere, or commit it"
        return None

    def wrap(self, argv: Sequence[str], env: Mapping[str, str], job: Job) -> list[str]:
        """Return the command that runs another in this sandbox. Raises UsageError, and OSError for links in a circle.

        `env` is the environment that the command will have.
        """
        check(network=self.network)
        place = _Place.of((*self.hidden, job.home, job.home.parent, job.workspace.parent))
        mounts = arranged([*self._mounts(place, argv, env, job.workspace)])
        # `env` takes a word with an equals sign for a variable
        words = ["sh", "-c", 'exec "$0" "$@"', *argv] if "=" in argv[0] else argv
        options = [*_options(mounts, network=self.network), "--chdir", str(job.workspace)]
        return [*_bwrap(), *options, "--", *_inner(), *words]

    def _mounts(self, place: _Place, argv: Sequence[str], env: Mapping[str, str], workspace: Path) -> Iterator[Mount]:
        yield from _system()
        yield from (Mount("hide", hidden) for hidden in place.hidden if os.path.isdir(hidden))
        yield from self._shown(place, argv, env)
        yield from _stores(workspace)
        yield from _leading(place.written_home)
        homes = [env.get(name, "") for name in _HOMES]
        for folder in (*_TEMPORARY, *(each for each in homes if each.startswith("/") and os.path.isdir(each))):
            yield from _leading(folder)
            if not (is_within(real := os.path.realpath(folder), place.home) or _is_above_system(real)):
                yield Mount("empty", real)
        yield Mount("empty", place.home)
        yield from self._homes(place)
        for folder in [workspace, *(cache for name in self.caches if (cache := cache_of(workspace, name)))]:
            yield from _leading(str(folder))
            yield Mount("write", (real := os.path.realpath(folder)), real)

    def _homes(self, place: _Place) -> Iterator[Mount]:
        """Yield the parts of the home folder that may be written. Raises UsageError for one that is none."""
        reals: list[str] = []
        for name in self.home:
            real = place.in_home(name)
            for known in reals:
                if is_within(real, known) or is_within(known, real):
                    raise UsageError(f"home names {name!r}, which lies in another of its paths, or above it; keep one")
            reals.append(real)
            yield Mount("write", f"{place.home}/{os.path.normpath(name)}", real)

    def _shown(self, place: _Place, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[Mount]:
        """Yield what is read: programs, certificates, and the names of the network."""
        programs = Programs(place.closes, [mount.source for mount in self._homes(place)])
        path = env.get("PATH", os.defpath)
        programs.add_path(path)
        for number, word in enumerate(programs_in(argv, path)):
            (programs.add_file if number else programs.add_program)(word)
        for file in (*(env.get(name, "") for name in _FILES), *env.get("LD_LIBRARY_PATH", "").split(os.pathsep)):
            programs.add_file(file)
        programs.add_python()
        programs.add_own(*self.tools)
        programs.add_anyway(str(LAUNCHER), *([_RESOLVER] if self.network else []))
        yield from (Mount("link", path, target) for path, target in programs.links.items())
        yield from (Mount("read", path, path) for path in programs.shown)


class _Place(NamedTuple):
    """Where a sandbox is made: the real path of the home folder, how it is written, and the real paths of what hides.

    What is the home folder or above it hides nothing more than that.
    """

    home: str
    written_home: str
    hidden: tuple[str, ...]

    @classmethod
    def of(cls, hidden: Iterable[Path]) -> _Place:
        """Find the home folder. Raises UsageError if there is none."""
        try:
            written = os.path.abspath(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)  # noqa: PTH100
        except KeyError:
            raise UsageError("this user has no home folder, which a sandbox replaces; set HOME to a folder") from None
        home = os.path.realpath(written)
        if _is_above_system(home):
            raise UsageError(f"the home folder is {home}, which no sandbox can replace; set HOME to another folder")
        reals = dict.fromkeys(os.path.realpath(path) for path in (*hidden, *_NEVER))
        return cls(home, written, tuple(real for real in reals if not is_within(home, real)))

    def hides(self, real: str) -> str:
        """Return the hidden place that a path lies in, else nothing."""
        return next((hidden for hidden in self.hidden if is_within(real, hidden)), "")

    def closes(self, real: str) -> bool:
        """Tell whether a path must not be shown: it lies in what is hidden, or above that or the home folder."""
        return bool(self.hides(real)) or any(is_within(place, real) for place in (self.home, *self.hidden))

    def in_home(self, name: str) -> str:
        """Return the real path of a part of the home folder. Raises UsageError for anything else."""
        steps = Path(name).parts
        if not steps or name.startswith(("/", "~")) or ".." in steps:
            raise UsageError(f"home names {name!r}, which is no path in the home folder; write it as seen from there")
        path = f"{self.home}/{os.path.normpath(name)}"
        real = os.path.realpath(path)
        if not is_within(real, self.home) or real == self.home:
            raise UsageError(f"home names {name!r}, a link that leads out of {self.home}; leave it out")
        if not os.path.exists(real):
            raise UsageError(f"home names {name!r}, which is not in {self.home}; create it, or leave it out")
        if hidden := next((each for each in self.hidden if is_within(each, real) or is_within(real, each)), ""):
            raise UsageError(f"home names {name!r}, which would show {hidden}; name what is beside that")
        if any(is_within(os.path.realpath(own), real) for own in (str(LAUNCHER), sys.prefix, sys.base_prefix)):
            raise UsageError(f"home names {name!r}, so that an agent could change team-mail itself; name less of it")
        return real


def arranged(mounts: Iterable[Mount]) -> list[Mount]:
    """Return mounts in the order in which they have to be made, parents before children, without those of no use.

    What is there to read needs no mount below it, and no link; what is not there need not be hidden.
    """
    chosen: dict[str, Mount] = {}
    for mount in mounts:
        known = chosen.get(mount.path)
        if known is None or _KINDS.index(mount.kind) > _KINDS.index(known.kind):
            chosen[mount.path] = mount
    kept: list[Mount] = []
    above: list[Mount] = []  # those that the next one may lie in, the innermost last
    for mount in sorted(chosen.values(), key=lambda mount: mount.path.split("/")):
        while above and not is_within(mount.path, above[-1].path):
            above.pop()
        shown = bool(above) and above[-1].kind in {"read", "write"}
        if not {"link": shown, "read": shown, "hide": not shown}.get(mount.kind, False):
            kept.append(mount)
            above.append(mount)
    return kept


def _options(mounts: Sequence[Mount], *, network: bool) -> Iterator[str]:
    yield from _APART
    if not network:
        yield "--unshare-net"
    yield from _OWN
    for kind, path, source in mounts:
        if kind in {"hide", "empty"}:
            yield from ("--tmpfs", path)
        else:
            yield from ({"link": "--symlink", "read": "--ro-bind", "write": "--bind"}[kind], source, path)
    for path in (*(mount.path for mount in mounts if mount.kind == "hide"), "/"):
        yield from ("--remount-ro", path)


def _system() -> Iterator[Mount]:
    """Yield what every program may read."""
    for top in SYSTEM:
        if os.path.islink(top):
            yield Mount("link", top, os.readlink(top))
        elif os.path.isdir(top):
            yield Mount("read", top, top)


def _leading(path: str) -> Iterator[Mount]:
    """Yield the links on the way to a path."""
    return (Mount("link", place, target) for place, target in trail(path)[1].items())


def _is_above_system(real: str) -> bool:
    """Tell whether what is at a path holds the programs of the system, so that nothing can be put in its place."""
    return any(is_within(top, real) for top in SYSTEM)


def _stores(workspace: Path) -> Iterator[Mount]:
    """Yield the stores that the clone borrows objects from, and those that these borrow from."""
    waiting, seen = [str(workspace / ".git" / "objects")], set[str]()
    while waiting and len(seen) < _MOST_STORES:
        store = waiting.pop()
        for line in _alternates(store):
            path = os.path.join(store, line)
            real = os.path.realpath(path)
            if real not in seen and any(os.path.isdir(f"{real}/{part}") for part in ("info", "pack")):
                seen.add(real)
                waiting.append(real)
                yield from _leading(path)
                yield Mount("read", real, real)


def _alternates(store: str) -> list[str]:
    with suppress(OSError), open_file(Path(store, "info/alternates"), follow=True) as file:
        return read_alternates(file.read())
    return []


def _bwrap() -> list[str]:
    """Return the beginning of the command. Raises UsageError if a program is missing."""
    programs = [shutil.which("env"), shutil.which("bwrap")]
    if missing := [name for name, path in zip(("env", "bwrap"), programs, strict=True) if not path or path[0] != "/"]:
        what = {"bwrap": "bubblewrap", "env": "coreutils"}[missing[-1]]
        raise UsageError(f'{missing[-1]} is not in PATH; install {what} (apt install {what}), or set sandbox = "none"')
    return [str(programs[0]), _DEAF, str(programs[1])]


def _inner() -> list[str]:
    """Return the words between bwrap and the agent: it finds signals and environment as it would outside."""
    return [_bwrap()[0], _HEARING, "-u", "PWD"]


@cache
def check(*, network: bool) -> None:
    """Make a sandbox once. Raises UsageError if none can be made on this machine, with what to do."""
    words = [*_bwrap(), *_options(arranged(_system()), network=network), "--", *_inner(), "true"]
    try:
        ended = subprocess.run(words, capture_output=True, check=False, timeout=_PATIENCE, stdin=subprocess.DEVNULL)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f'bwrap cannot run here: {error}; correct that, or set sandbox = "none"') from None
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("bwrap: ")
        raise UsageError(f"bwrap cannot run here: {said or f'exit {ended.returncode}'}; {_ADVICE}")
