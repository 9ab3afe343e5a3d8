"""Who runs this process: its persona and run, a name that no other process ever has, and which others are there."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .ancestors import KEEPER, START, STARTED, WARDEN, commands_above, commands_from, part_of
from .errors import LogUnavailable, NoIdentity, NotFromRun, UsageError

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NUMBERS = Path("/proc/self/ns/pid")
_OUTERMOST = 0xEFFFFFFC  # the inode of the machine's own, a constant of Linux
_POSTBOX = "team_mail.personas.running.postbox"  # a mail process, see personas/running
SESSION = "TEAM_SESSION"  # a variable: the session in whose name this process writes
TEAM = "TEAM_RUN_OF"  # a variable of every process of a run: the folder of its team
_SESSION = r"(?a:[A-Za-z0-9][\w.-]{0,63})"
_WORDS = 4  # of a keeper: its part, run, home and workspace


def identity(persona: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the persona that acts: `persona` if given, else `TEAM_PERSONA`; within a run always the run's persona.

    Raises NoIdentity, and UsageError if a run gives another persona than its own.
    """
    own = environ.get("TEAM_PERSONA", "").removesuffix("@team")
    if environ.get("TEAM_RUN") and persona and persona.removesuffix("@team") != own:
        raise UsageError(f"this is a run of {own or 'nobody'}: it cannot act as {persona}")
    if persona is not None and not persona.strip():
        raise UsageError("the persona's name is empty; leave the option out, or name one")
    name = (persona or own).removesuffix("@team")
    if not name:
        raise NoIdentity
    return name


def identity_or_none(persona: str | None) -> str | None:
    """Return the persona that acts as `identity` does, or None if neither names one."""
    try:
        return identity(persona)
    except NoIdentity:
        return None


def run_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the run that this process belongs to, or None outside of a run."""
    return environ.get("TEAM_RUN") or None


def session_name(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the session in whose name this process writes, or None. Raises UsageError for what is no name of one."""
    name = environ.get(SESSION)
    return checked_session(name, SESSION) if name else None


def checked_session(name: str, where: str = "the session") -> str:
    """Return the name of a session. Raises UsageError, with the rule; `where` is what the message calls it."""
    if not re.fullmatch(_SESSION, name):
        rule = "1 to 64 letters (a to z), digits, '.', '_' and '-', with a letter or a digit in front"
        raise UsageError(f"{where} {name!r} is not a name: {rule}")
    return name


class RunAbove(NamedTuple):
    """A run whose keeper is above this process: its id, the real path of its team's folder, and its workspace."""

    run: str
    home: str
    workspace: str


ORPHAN = RunAbove("", "", "")  # one that is not known: the keeper was killed, or is of another version


@cache
def runs_above(proc: Path = Path("/proc")) -> tuple[RunAbove, ...]:
    """Return the runs whose keepers are above this process, the nearest first.

    They are read from the processes of Linux, so they are the same whatever a process did to its environment, session
    or parent: whoever loses its parent becomes a child of the keeper. Whoever loses the keeper, too, becomes a child of
    its warden, which stands for a run of every team. Elsewhere, and in a sandbox that hides processes, there are none.
    """
    return tuple(_runs_in(commands_above(str(proc))))


def _runs_in(commands: Sequence[list[str]]) -> Iterator[RunAbove]:
    """Yield the runs whose keepers are among the commands of a process and those above it."""
    for number, command in enumerate(commands):
        words = part_of(command)
        if words[:1] == [KEEPER]:
            known = len(words) == _WORDS  # not those of a keeper of another version
            yield RunAbove(words[1], os.path.realpath(words[2]), words[3]) if known else ORPHAN
        elif words[:1] == [WARDEN] and not (number and _is_of_warden(commands[number - 1])):
            yield ORPHAN


def run_of(home: Path) -> RunAbove | None:
    """Return the run of the team in `home` that this process belongs to, whatever its environment says, or None.

    A run of another team is none: a project's tests may have teams of their own. Of several it is the outermost, since
    what is below a keeper may call itself one.
    """
    return _outermost(runs_above(), home)


def _outermost(runs: Iterable[RunAbove], home: Path) -> RunAbove | None:
    team = os.path.realpath(home)
    theirs = [run for run in runs if run == ORPHAN or run.home == team]
    return next((run for run in reversed(theirs) if run != ORPHAN), theirs[0] if theirs else None)


def within_run_of(home: Path) -> str:
    """Say why this process belongs to a run of the team in `home`, also where its variables alone say so; "" if not."""
    return _within(run_of(home), os.environ, home)


def other_within_run_of(home: Path, pid: int) -> str | None:
    """Say of another process of this machine what `within_run_of` says of this one; None if nobody can tell.

    That is where it has ended, and where there is no /proc. Its variables count as it was started with, if this user
    may read them.
    """
    commands = commands_from(pid) if _BOOT.exists() else None
    if commands is None:
        return None
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape")
    except OSError:
        block = ""
    pairs = (each.partition("=") for each in block.split("\0"))
    environ = {name: value for name, _, value in pairs}
    return _within(_outermost(_runs_in(commands[1:]), home), environ, home)


def _within(run: RunAbove | None, environ: Mapping[str, str], home: Path) -> str:
    if run:
        return f"the keeper of run {run.run} is above it" if run.run else "a keeper that was killed was above it"
    named = environ.get(TEAM) or environ.get("TEAM_HOME") or str(home)
    if (own := run_id(environ)) and os.path.realpath(named) == os.path.realpath(home):
        return f"TEAM_RUN is {own}: unset it if you are a person"
    return ""


def run_written_for(home: Path) -> str | None:
    """Return the run of the team in `home` whose mail process has started this one, None if none has.

    Its variables can be believed then, as they are those of its mail process. Elsewhere than on Linux there is none.
    """
    is_started = run_id() and any(_POSTBOX in command for command in commands_above())
    return run_id() if is_started and run_of(home) is None else None


def check_not_in_run(home: Path, what: str) -> None:
    """Raise NotFromRun if this process belongs to a run of the team in `home`; `what` is what it may not do."""
    if run := run_of(home):
        raise NotFromRun(run.run, what)


def _is_of_warden(command: list[str]) -> bool:
    """Return whether a child of a warden is one that it started."""
    return any(word.endswith(START) for word in command) or _POSTBOX in command


def myself() -> dict[str, Any]:
    """Name this process uniquely, even after its pid is reused: host, boot id, pid and start time."""
    return named(os.getpid())


def named(pid: int) -> dict[str, Any]:
    """Name a process of this machine as `myself` names this one; its start time is None if it does not run."""
    return {"host": _host(), "boot": _boot_id(), "pid": pid, "start": _start_time(pid)}


def shown(process: Mapping[str, Any]) -> str:
    """Name a process that `myself` named, on whatever host, for people."""
    return f"process {process.get('pid')} on {process.get('host')}"


def alive(process: Mapping[str, Any]) -> bool:
    """Return whether the process that `myself` named still runs; another one with its pid does not count.

    The boot id identifies the host; the host's name is for people, and missing in older logs.
    """
    pid, start = process.get("pid"), process.get("start")
    if not isinstance(pid, int) or start is None:
        return False
    return process.get("boot") == _boot_id() and start == _start_time(pid)


def is_here(process: Mapping[str, Any]) -> bool:
    """Return whether `alive` can tell of a process: it was named on this machine, since its last start."""
    return process.get("boot") == _boot_id()


def is_suspended(process: Mapping[str, Any]) -> bool:
    """Return whether the process that `myself` named is stopped by a signal (SIGSTOP), and so does nothing."""
    pid = process.get("pid")
    if not isinstance(pid, int) or not alive(process):
        return False
    if not _BOOT.exists():
        import subprocess

        words = ["ps", "-o", "stat=", "-p", str(pid)]
        return subprocess.run(words, capture_output=True, check=False, text=True).stdout.startswith("T")  # noqa: S603
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return False


def _unheard(_: str) -> None:
    """Take note of nothing."""


class Presence(NamedTuple):
    """A long-lived process of a team, as it last told of itself.

    `process` is its name, as `myself` gives it, `place` that of its team's folder, and `host` both for people; `what`
    is what it says that it does. `epoch` is that of the lead that it has, 0 if it does not lead. It has been there for
    `age` seconds, and counts as there for `rest` more; `gone` tells that it does not any more.
    """

    process: Mapping[str, Any]
    place: str
    host: str
    what: Mapping[str, Any]
    epoch: int
    age: float
    rest: float
    gone: bool


class Beat:
    """What this process tells of itself while it is there, which `tell` changes from the next time on.

    `lost` is set once it is not the one that leads any more, though it had the lead; `why` says what has happened.
    """

    def __init__(self, what: Mapping[str, Any], on_lost: Callable[[str], object]) -> None:
        self.what: Mapping[str, Any] = dict(what)
        self.lost = threading.Event()
        self.why = ""
        self._on_lost = on_lost

    def tell(self, **what: object) -> None:
        """Change what is told; it has to be JSON."""
        self.what = {**self.what, **what}

    def lose(self, why: str) -> None:
        """Take note that it leads no more, once."""
        if not self.lost.is_set():
            self.why = why
            self.lost.set()
            self._on_lost(why)


class OnOneHost:
    """What a log says of processes if those of one host alone write it: the system knows which of them live."""

    @property
    def place(self) -> str:
        """The name of the folder of this log among those of other hosts; "" where there are none."""
        return ""

    def lead(self) -> None:
        """Lead the team from here, which nobody else can."""

    def present(self, process: Mapping[str, Any]) -> bool:
        """Tell whether a process that `myself` named is there."""
        return alive(process)

    def presences(self) -> list[Presence]:
        """List the processes that have told of themselves: none does where the system knows."""
        return []

    def bear(self, seconds: float) -> None:
        """Wait for a server that is away for so long, which nothing here has to."""

    def beside(self) -> Any:
        """Return None: there is no server that does anything else."""
        return None

    @contextmanager
    def beat(
        self,
        process: Mapping[str, Any],
        what: Mapping[str, Any],
        *,
        leads: bool = False,
        on_lost: Callable[[str], object] = _unheard,
    ) -> Generator[Beat]:
        """Tell that a process is there for as long as this context is open, and that it leads; see `Log.beat`."""
        del process, leads
        yield Beat(what, on_lost)


class _Witness(Protocol):
    """A log that knows of processes of other hosts."""

    def present(self, process: Mapping[str, Any]) -> bool: ...

    def knew(self, process: Mapping[str, Any]) -> bool: ...


_witnesses: dict[str, weakref.ref[_Witness]] = {}


def let_tell(folder: str, witness: _Witness) -> None:
    """Let `is_there` ask a log on a server, whose copy is in a folder, for as long as the log is used."""
    _witnesses[folder] = weakref.ref(witness)


def is_there(process: Mapping[str, Any]) -> bool:
    """Tell whether a process that `myself` named is alive here, or on another host by the word of a server.

    A process has no other of its name anywhere, so every server that this program speaks with is asked. Raises
    LogUnavailable if one cannot be that has known a process of another host.
    """
    logs = [log for log in (witness() for witness in [*_witnesses.values()]) if log is not None]
    is_silent = not logs
    for log in logs:
        try:
            if log.present(process):
                return True
        except LogUnavailable:
            if log.knew(process) and not is_here(process):
                raise
            is_silent = True
    return is_silent and alive(process)


@cache
def _host() -> str:
    import socket

    return socket.gethostname()


def _boot_id() -> str:
    """Return what names this start of this machine, and the container if processes have numbers of its own there.

    "" where the system does not tell.
    """
    if not _BOOT.exists():
        return ""
    try:
        numbers = _NUMBERS.stat().st_ino
    except OSError:
        numbers = _OUTERMOST
    return _BOOT.read_text().strip() + (f"/{numbers}" if numbers != _OUTERMOST else "")


def _start_time(pid: int) -> str | None:
    """Return when a process started, in the system's own unit; None if it does not run."""
    if not _BOOT.exists():
        import subprocess

        words = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(words, capture_output=True, check=False, text=True).stdout.strip() or None  # noqa: S603
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else fields[STARTED].decode()
