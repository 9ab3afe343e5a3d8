"""The warden as a scheduler sees it: started with its first run, asked to start keepers, let go with its last."""

from __future__ import annotations

import array
import fcntl
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ..agent import Job, MailCommand
from ..keeping.words import ROOM
from .folder import STEPS
from .sweep import resume_warden

LINUX = sys.platform == "linux"
START = Path(__file__).parent.with_name("keeping") / "start.py"
LOCK = "alive"  # in the run's folder: locked as long as the run's keeper or its mail process lives
_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # some Pythons do not start without them
_ENDS = 5.0  # seconds that a warden without runs gets to end


class Kept(NamedTuple):
    """A run as its scheduler holds it. Closing `leash` stops it, unless it may outlive the scheduler.

    Bytes written into `leash` stop it in any case. `output` ends when the run is over: its keeper has ended, its mail
    is sent. What the keeper or the warden prints there is an error.
    """

    leash: int
    output: int

    def stop(self) -> None:
        """End the run."""
        with suppress(BrokenPipeError):
            os.write(self.leash, b"stop")


class WardenProcess:
    """The warden of this process. It ends when it is closed and its last run is over."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", str(START), "warden", " " * ROOM],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_loader(), cwd="/",
                start_new_session=True,
            )  # fmt: skip
        self._turn = threading.Lock()

    def start(self, job: Job) -> Kept:
        """Start the keeper of a run, which waits for its specification. Raises OSError if the warden has died.

        The keeper is found by the words of its command, its run, team and workspace; everything else goes through its
        pipe, where no other process can read it.
        """
        theirs, leash = os.pipe()
        output, printing = os.pipe()
        lock = os.open(job.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            words = [*_keeper(), job.run, str(job.home), str(job.workspace)]
            message = marshal.dumps((words, _loader(), _mail(job.mail)))
            self._send(message, [theirs, printing, lock])
        except BaseException:
            os.close(leash)
            os.close(output)
            raise
        finally:
            for descriptor in (theirs, printing, lock):
                os.close(descriptor)
        return Kept(leash, output)

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with self._turn:
            self._socket.sendmsg([len(message).to_bytes(8, "big")], ancillary)
            self._socket.sendall(message)
        self.wake()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wake(self) -> None:
        """Let it go on if it was stopped (SIGSTOP)."""
        self._process.send_signal(signal.SIGCONT)

    def close(self, *, wait: bool = True) -> None:
        """Let it end with its last run; `wait` for that if all are over."""
        self._socket.close()
        if wait:
            self._wait()
        else:
            self._process.returncode = 0  # it is nobody's to wait for: this process is about to end

    def _wait(self) -> None:
        """Wait for its end, without looking again and again where the system tells."""
        with suppress(OSError, AttributeError):
            descriptor = os.pidfd_open(self.pid)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(1000 * _ENDS)
            os.close(descriptor)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if LINUX else _ENDS)


class _Lease:
    """The warden of this process while anybody needs one."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget a warden, in a fork: it is that of the parent."""
        self.turn = threading.RLock()
        self.holders = 0
        self.left = False
        self.warden: WardenProcess | None = None

    def started(self) -> WardenProcess:
        with self.turn:
            if self.warden is None:
                self.warden = WardenProcess()
            return self.warden

    def replace(self, dead: WardenProcess) -> None:
        with self.turn:
            if self.warden is dead:
                dead.close()
                self.warden = None

    def release(self) -> None:
        with self.turn:
            self.holders -= 1
            if not self.holders and self.warden:
                self.warden.close(wait=not self.left)
                self.warden, self.left = None, False


_lease = _Lease()
os.register_at_fork(after_in_child=_lease.reset)


@contextmanager
def leased(*, needed: bool = False) -> Generator[None]:
    """Keep the warden of this process between runs; it is started when the first run needs it, or now if `needed`.

    To start it takes as long as to make the first run's workspace, which can be done meanwhile.
    """
    with _lease.turn:
        _lease.holders += 1
        if needed:
            with suppress(OSError):  # then the first run tells why
                _lease.started()
    try:
        yield
    finally:
        _lease.release()


def start_keeper(job: Job) -> Kept:
    """Start the keeper of a run, while the warden is leased, as `WardenProcess.start` does. Raises OSError."""
    warden = _lease.started()
    try:
        return warden.start(job)
    except (BrokenPipeError, ConnectionResetError):  # somebody killed it
        _lease.replace(warden)
        return _lease.started().start(job)


def wake(pid: int | None) -> None:
    """Let the warden of this process go on if it was stopped, and the one with this pid, of a process that is gone."""
    warden = _lease.warden
    if warden:
        warden.wake()
    if pid and not (warden and warden.pid == pid):
        resume_warden(pid)


def leave() -> None:
    """Do not wait for the warden's end: runs of it go on when this process ends."""
    _lease.left = True


def _keeper() -> list[str]:
    return [sys.executable, "-I", "-S", str(START), "keeper"]


def _loader() -> dict[str, str]:
    return {name: os.environ[name] for name in _LOADER if name in os.environ}


def _mail(command: MailCommand | None) -> tuple[list[str], dict[str, str], str, list[str]] | None:
    return command and ([*command.argv], {**command.env}, str(command.workspace), STEPS)
