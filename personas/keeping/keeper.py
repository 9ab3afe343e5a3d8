# Importing pathlib would double the start-up time.
# ruff: noqa: PTH105, PTH108
"""A run's keeper: a small process between the scheduler and an agent, which leaves no process of the agent alive.

It is started by a warden with `python -I -S` and imports only what loads in a few milliseconds. It reads what to run
from its standard input. It stops the run when it reads more there, when the warden ends, and unless the run may outlive
its scheduler, at the end of that input, which comes when the scheduler dies in any way. On Linux it is the subreaper of
its descendants: processes that fork twice and call setsid become its children, and it ends when it has no child left.
Elsewhere it ends the agent's process group, and a process that left the group may survive. Processes started by another
service (at, systemd-run, docker) are out of its reach.
"""

import ctypes
import marshal
import os
import resource
import select
import sys
import time
from errno import ENXIO
from stat import S_ISCHR, S_ISREG

from .idle import Idle
from .output import Output
from .quota import Quota
from .tree import SIGNALS, boot, descendants, dying, kill_all, send, stat
from .version import VERSION

LINUX = sys.platform == "linux"
LIFELINE, LOCK = 3, 4  # descriptors: a pipe that ends with the warden, and the file that is locked while the run lasts
TERM, KILL = SIGNALS.SIGTERM, SIGNALS.SIGKILL
TERMINAL = SIGNALS.SIGINT, SIGNALS.SIGHUP, SIGNALS.SIGQUIT  # only the parent stops a run, not the keyboard
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
CHUNK = 1 << 16
TICK = 0.25 if LINUX else 0.02  # elsewhere there is no pidfd to poll for the end of the agent
BEAT = 1.0
ROOM = 2048  # bytes of a report; its longest part is the system's word for an error
DRAIN = 64  # chunks
TYPE_CHECKING = False  # importing `typing` takes five milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable


class Spec:
    """What to run and within which limits, in the order of the parent's list. 0 means no limit.

    `settle` are the seconds that the agent has to end after the final event of its stream, None if it is not ended.
    `outlives` says whether it goes on when its scheduler is gone.
    """

    def __init__(
        self,
        argv: list[str],
        env: dict[str, str],
        secrets: list[bytes],
        paths: tuple[str, str, str],
        limits: "tuple[float, float, int, int, float | None, float, bool]",
    ) -> None:
        self.argv = argv
        self.env = env
        self.secrets = secrets
        self.workspace, self.folder, self.stdin = paths
        self.timeout, self.grace, self.output, self.quota, self.settle, self.idle, self.outlives = limits


class Keeper:
    """Starts the agent, watches it, ends it and all its descendants, and reports how it ended."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._began = time.monotonic()
        self._deadline = self._began + spec.timeout
        self._reading, self._writing = os.pipe()
        self._output = Output(spec.folder + "/output.log", spec.secrets, spec.output)
        self._quota = Quota(spec.workspace, spec.quota)
        self._idle = Idle(spec.workspace, spec.idle)
        self._finished: float | None = None  # when the final event of its stream came
        self._poll = select.poll()
        for descriptor in (0, self._reading):
            self._poll.register(descriptor, select.POLLIN | select.POLLHUP)
        self._prctl = ctypes.CDLL(None).prctl if LINUX else None
        self._agent = 0
        self._status: int | None = None
        self._stops = 0  # how often it was asked to stop
        self._unkept = False  # whether the warden is gone
        self._beaten = 0.0
        self._metered = "null"  # what the stream has told of tokens and money, as it was last written

    def keep(self) -> bool:
        """Run the agent from its start to the report in `ended.json`; tell whether no process of it is alive then."""
        try:
            self._keep()
        finally:
            self._kill_all()
        return not self._reap()

    def _keep(self) -> None:
        SIGNALS.signal(TERM, self._stop)
        for number in TERMINAL:
            SIGNALS.signal(number, SIGNALS.SIG_IGN)
        if self._prctl:
            self._prctl(PR_SET_DUMPABLE, 0)  # it holds the secrets of its agent, which others may not read
            self._prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._poll.register(LIFELINE, select.POLLIN | select.POLLHUP)
        reserve(self._spec.folder + "/ended.json")  # there is room for it even if the agent fills the disk
        self._beat()  # first, so that every living agent has a keeper that can be found
        error = self._start()
        reason = self._watch(self._reason_to_end) or ""
        if reason:
            self._end()
        survivors = self._kill_all()
        if not reason and self._status and self._quota.full(now=True):
            reason = "quota"
        self._drain()
        self._output.close()
        self._report(reason or ("unstartable" if error else "ended"), error, survivors)

    def _stop(self, *_: object) -> None:
        self._stops += 1

    def _start(self) -> str:
        """Start the agent in its own session; return the error if it cannot be started, else nothing."""
        reading, writing = os.pipe()
        self._agent = os.fork()
        if not self._agent:
            self._become(writing)
        os.close(writing)
        os.close(self._writing)
        error = os.read(reading, CHUNK).decode(errors="replace")
        if LINUX and hasattr(os, "pidfd_open"):
            self._poll.register(os.pidfd_open(self._agent), select.POLLIN)
        return error

    def _become(self, errors: int) -> None:
        """Turn this process, a child, into the agent; write an error to the descriptor `errors`."""
        try:
            os.setsid()
            if self._prctl:
                self._prctl(PR_SET_PDEATHSIG, KILL)
            os.dup2(opened(self._spec.stdin), 0)
            os.dup2(self._writing, 1)
            os.dup2(self._writing, 2)
            os.chdir(self._spec.workspace)
            self._limit()
            os.execvpe(self._spec.argv[0], self._spec.argv, self._spec.env)  # noqa: S606
        except BaseException as error:  # noqa: BLE001 - a child must never continue as a second keeper
            reason = getattr(error, "strerror", None) or str(error)
            os.write(errors, reason.encode(errors="replace"))
        finally:
            os._exit(127)

    def _limit(self) -> None:
        for number in (TERM, *TERMINAL, SIGNALS.SIGPIPE, SIGNALS.SIGXFSZ):  # Python ignores the last two
            SIGNALS.signal(number, SIGNALS.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        if self._spec.quota and (hard == resource.RLIM_INFINITY or self._spec.quota < hard):
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._spec.quota, self._spec.quota))

    def _watch(self, reason_to_end: "Callable[[], str]") -> str:
        """Read the agent's output until it has ended or there is a reason to end it; return that reason."""
        while self._reap() and self._status is None:
            if reason := reason_to_end():
                return reason
            self._beat()
            for descriptor, _ in self._poll.poll(1000 * min(TICK, max(0.0, self._deadline - time.monotonic()))):
                self._read(descriptor)
        return ""

    def _reason_to_end(self) -> str:
        now, settle = time.monotonic(), self._spec.settle
        due = None if settle is None or self._finished is None else self._finished + settle
        if self._unkept:
            return "unkept"
        if self._stops and now < self._deadline:  # after that nobody need have asked
            return "stopped"
        if due is not None and now >= min(due, self._deadline):  # work that is finished is not dropped
            return "finished"
        if now >= self._deadline:
            return "timeout"
        if self._quota.full():
            return "quota"
        return "idle" if due is None and self._idle.over() else ""

    def _read(self, descriptor: int) -> None:
        if descriptor == self._reading:
            data = os.read(descriptor, CHUNK)
            self._output.take(data)
            self._idle.heard()
            if not self._output.events.final:
                self._finished = None
            elif self._finished is None:
                self._finished = time.monotonic()
        elif descriptor in {0, LIFELINE}:
            data = os.read(descriptor, CHUNK)
            self._unkept |= descriptor == LIFELINE
            self._stops = max(self._stops, bool(data) or self._unkept or not self._spec.outlives)
        else:
            return
        if not data:
            self._poll.unregister(descriptor)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= BEAT:
            self._beaten = now
            heartbeat(self._spec.folder + "/heartbeat")
            if (usage := self._usage()) != self._metered:
                self._metered = usage
                write(self._spec.folder + "/usage.json", usage)

    def _usage(self) -> str:
        events = self._output.events
        return events.meter.text(partial=not events.final)

    def _reap(self) -> bool:
        """Reap the children that have ended; return whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self._agent:
                self._status = os.waitstatus_to_exitcode(status)

    def _end(self) -> None:
        """Send SIGTERM to all processes and wait for the grace period; a second request to stop cuts it short.

        Parents get the signal before their children, because a shell continues with its next command once one ends.
        """
        for pid in self._family():
            send(pid, TERM)
        self._deadline, stops = time.monotonic() + self._spec.grace, max(self._stops, 1)
        self._watch(lambda: "late" if time.monotonic() >= self._deadline or self._stops > stops else "")

    def _kill_all(self) -> int:
        """Kill what is left; return the number without the agent, and without what ends already."""
        if not LINUX:
            send(-self._agent, KILL)
        ending = {pid for pid in self._family() if dying(pid)} if LINUX and self._reap() else set[int]()
        return len(kill_all(self._family, self._reap) - {self._agent} - ending)

    def _family(self) -> list[int]:
        return descendants(os.getpid()) if LINUX else [-self._agent]

    def _drain(self) -> None:
        """Read what is still in the pipe, without waiting for a foreign process that holds its other end."""
        os.set_blocking(self._reading, False)
        for _ in range(DRAIN):
            try:
                data = os.read(self._reading, CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            self._output.take(data)

    def _report(self, reason: str, error: str, survivors: int) -> None:
        """Write `ended.json`, which says how the run ended, for the parent and for the clean-up after a crash."""
        status = self._status
        values = {
            "v": VERSION,
            "reason": quoted(reason),
            "error": quoted(error),
            "exit": "null" if status is None or status < 0 else status,
            "signal": "null" if status is None or status >= 0 else -status,
            "seconds": round(time.monotonic() - self._began, 3),
            "output": self._output.kept,
            "cut": self._output.cut,
            "survivors": survivors,
            "usage": self._usage(),
        }
        text = "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}\n"
        write(self._spec.folder + "/ended.json", text)


def heartbeat(path: str) -> None:
    """Show that this process is alive: touch the file: pid, start time, boot id, the warden's pid, and the version."""
    try:
        os.utime(path)
    except FileNotFoundError:
        start, booted = (stat("self")[19], boot()) if LINUX else ("-", "-")
        write(path, f"{os.getpid()} {start} {booted} {os.getppid()} {VERSION}\n")


def write(path: str, text: str) -> None:
    """Write a file atomically, with the room that was reserved for it, if any was."""
    scratch, data = f"{path}.{os.getpid()}", text.encode()
    file = own(scratch)
    os.write(file, data)
    os.ftruncate(file, len(data))
    os.close(file)
    os.replace(scratch, path)


def reserve(path: str) -> None:
    """Reserve room for a file that `write` will write."""
    file = own(f"{path}.{os.getpid()}")
    os.write(file, b" " * ROOM)
    os.close(file)


def own(path: str) -> int:
    """Open a file of our own to write it, never through a link; a pipe in its place is removed, and not waited for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(path, flags, 0o644)
        if S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    except OSError as error:
        if error.errno != ENXIO:  # a pipe that nobody reads
            raise
    os.unlink(path)
    return os.open(path, flags | os.O_EXCL, 0o644)


def opened(path: str) -> int:
    """Open the file, or the null device, that an agent gets as its standard input; nothing else is waited for."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(file).st_mode
    if not (S_ISREG(mode) or S_ISCHR(mode)):
        raise OSError(ENXIO, f"{path} is no file")
    os.set_blocking(file, True)
    return file


def quoted(text: str) -> str:
    """Return a text as a JSON string; importing `json` would take as long as all else."""
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\u{ord(c) & 0xFFFF:04x}" for c in text) + '"'


def read(size: int) -> bytes:
    """Read exactly `size` bytes of standard input, fewer only at its end; it stays open."""
    data = b""
    while len(data) < size and (more := os.read(0, size - len(data))):
        data += more
    return data


def main() -> None:
    """Keep the run that is described on standard input."""
    for descriptor in (LIFELINE, LOCK):
        os.set_inheritable(descriptor, False)
    spec = Spec(*marshal.loads(read(int.from_bytes(read(8), "big"))))  # noqa: S302 - written by its own parent
    alone = Keeper(spec).keep()
    os._exit(0 if alone else 1)  # no clean-up is needed, and the scheduler is waiting
