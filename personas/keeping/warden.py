# Importing pathlib or contextlib would double the start-up time.
# ruff: noqa: PTH208, SIM105
"""The warden: a small process that starts the keepers of a scheduler and outlives it, until its last run has ended.

It is the subreaper of everything that it starts (on Linux). So a process whose keeper was killed becomes its child,
and is ended. It starts the mail process of a run when something waits in the run's folder, and tells the scheduler
that a run is over, by closing its pipe, once the keeper has ended and its mail is sent.

Only the scheduler that started it can ask it for anything, through a socket that no other process has: there is no
door that an agent could knock at. When the scheduler is gone, the runs that may outlive it go on.
"""

import ctypes
import fcntl
import marshal
import os
import select
import sys
import time

from .inotify import Inotify
from .keeper import LIFELINE, LINUX, LOCK, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, SIGNALS, TERMINAL
from .keeper import main as keep
from .tree import descendants, kill_all
from .waiting import open_below, waiting
from .words import rename

SOCKET = __import__("_socket")  # `socket` wraps it in enums, which load slower than all the rest
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = 8  # bytes: the length of the message that follows; the descriptors come with it
DESCRIPTORS = 3  # of a run: the keeper's standard input, its output, and the file that is locked while the run lasts
TICK = 0.25 if LINUX else 0.02  # seconds between two looks where changes of folders are not told
SOON = 0.005  # the least time between two looks
LATE = 60.0  # seconds that a mail process gets for what is left when its run has ended
HIGH = 10  # above every descriptor that a child is given


class Mail:
    """The mail of one run: the process that sends it runs from the first mail or request on."""

    def __init__(self, argv: "list[str]", env: "dict[str, str]", workspace: str, steps: "list[str]") -> None:
        self._argv, self._env = argv, env
        self._workspace, self._steps = workspace, steps
        self.pid = 0
        self._pipe = -1
        self._deadline = 0.0
        self.watches = [-1, -1]

    def watch(self, inotify: Inotify) -> None:
        """Have changes of its folders told, as long as the agent leaves them where they are."""
        for number, name in enumerate(("requests", "outbox")):
            try:
                folder = open_below(self._workspace, [*self._steps, name])
            except OSError:
                continue
            self.watches[number] = inotify.add(folder)
            os.close(folder)

    def waits(self) -> bool:
        """Tell whether there is anything to be taken."""
        return any(waiting(self._workspace, self._steps))

    def start(self) -> None:
        """Start the process."""
        reading, self._pipe = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            null = os.open(os.devnull, os.O_RDWR)
            become(self._argv, self._env, {0: reading, 1: null, 2: null})
        os.close(reading)

    def close(self) -> None:
        """Ask the process to take what is left, and to end."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe, self._deadline = -1, time.monotonic() + LATE

    def ended(self) -> None:
        """Take note that the process has ended."""
        self.close()
        self.pid = 0

    def hurry(self) -> None:
        """Kill a process that does not come to an end."""
        if self._pipe < 0 and time.monotonic() > self._deadline:
            os.kill(self.pid, SIGNALS.SIGKILL)


class Run:
    """One run: its keeper, the descriptors that its scheduler waits for, and its mail, if it has any."""

    def __init__(self, keeper: int, held: "list[int]", mail: "Mail | None") -> None:
        self.keeper = keeper  # 0 once it has ended
        self._held = held  # the lock goes first: who sees the end of the output may lock it
        self.mail = mail
        self._finishing = False

    def look(self) -> None:
        """Start the mail process if there is something for it."""
        if self.mail and self.keeper and not self.mail.pid and self.mail.waits():
            self.mail.start()

    def over(self) -> bool:
        """Bring the run a step nearer to its end; tell whether all is done."""
        if self.keeper:
            return False
        mail = self.mail
        if mail and mail.pid:
            mail.close()
            mail.hurry()
            return False
        if mail and not self._finishing and mail.waits():  # once more, for what came after its process had ended
            self._finishing = True
            mail.start()
            mail.close()
            return False
        for descriptor in self._held:
            os.close(descriptor)
        return True


class Warden:
    """Starts keepers and mail processes, and waits for their ends. Standard input is the scheduler's socket."""

    def __init__(self) -> None:
        self._socket = SOCKET.socket(fileno=0)
        self._lifeline, self._line = os.pipe()
        self._woken, waking = os.pipe()
        for descriptor in (self._woken, waking):
            os.set_blocking(descriptor, False)
        SIGNALS.set_wakeup_fd(waking)
        self._inotify = Inotify()
        self._poll, self._deaf = select.poll(), select.poll()  # the second does not tell of changes of folders
        for poll, told in ((self._poll, (0, self._woken, self._inotify.fd)), (self._deaf, (0, self._woken))):
            for descriptor in told:
                if descriptor >= 0:
                    poll.register(descriptor, select.POLLIN | select.POLLHUP)
        self._runs: list[Run] = []
        self._gone = False  # nobody asks for runs any more
        self._looked = 0.0
        self._changed = False  # something may wait in the folder of a run

    def serve(self) -> None:
        """Serve until the scheduler is gone and the last run is over."""
        SIGNALS.signal(SIGNALS.SIGCHLD, self._ignore)
        SIGNALS.signal(SIGNALS.SIGTERM, self._end)
        for number in TERMINAL:
            SIGNALS.signal(number, SIGNALS.SIG_IGN)
        if LINUX:
            prctl = ctypes.CDLL(None).prctl
            prctl(PR_SET_DUMPABLE, 0)
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        while self._runs or not self._gone:
            for descriptor, _ in self._news():
                self._told(descriptor)
            if self._line < 0 and not self._gone:
                self._leave()
            self._reap()
            self._look()
            for run in [run for run in self._runs if run.over()]:
                self._forget(run)

    def _ignore(self, *_: object) -> None:
        """Do nothing: the end of a child is told by the descriptor that signals wake."""

    def _end(self, *_: object) -> None:
        """End all runs, orderly: to a keeper, the end of its lifeline is the end of its run."""
        if self._line >= 0:
            os.close(self._line)
            self._line = -1

    def _news(self) -> "list[tuple[int, int]]":
        """Wait until there is something to do: what was told, or a look that is due."""
        if not self._runs:
            return self._poll.poll()
        poll, pause = (self._deaf, SOON) if self._changed else (self._poll, TICK)
        return poll.poll(1000 * max(0.0, self._looked + pause - time.monotonic()))

    def _told(self, descriptor: int) -> None:
        if descriptor == 0:
            self._receive()
        elif descriptor == self._woken:
            os.read(self._woken, 1 << 10)
        else:
            self._inotify.drain()
            self._changed = True

    def _receive(self) -> None:
        """Start the run that the scheduler asks for; take note that it is gone."""
        flags = getattr(SOCKET, "MSG_CMSG_CLOEXEC", 0)
        header, ancillary = b"", list[tuple[int, int, bytes]]()
        try:
            header, ancillary, *_ = self._socket.recvmsg(HEADER, SOCKET.CMSG_SPACE(4 * DESCRIPTORS), flags)
        except OSError:
            pass
        data = b"".join([each[2] for each in ancillary])
        descriptors = [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4)]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        header += self._exactly(HEADER - len(header)) if header else b""
        size = int.from_bytes(header, "big")
        body = self._exactly(size)
        if len(header) == HEADER and len(body) == size and len(descriptors) == DESCRIPTORS:
            argv, env, mail = marshal.loads(body)  # noqa: S302 - written by its own parent
            self._start(argv, env, Mail(*mail) if mail else None, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        self._leave()

    def _leave(self) -> None:
        """Start nothing more: the scheduler is gone, or shall start another warden."""
        self._gone = True
        for poll in (self._poll, self._deaf):
            poll.unregister(0)
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self._socket.recv(size - len(data))):
            data += more
        return data

    def _start(self, argv: "list[str]", env: "dict[str, str]", mail: "Mail | None", descriptors: "list[int]") -> None:
        """Start the keeper of a run."""
        leash, output, lock = descriptors
        if mail:
            mail.watch(self._inotify)
        keeper = os.fork()
        if not keeper:
            given = {0: leash, 1: output, 2: output, LIFELINE: self._lifeline, LOCK: lock}
            become_keeper(argv, env, given)
        os.close(leash)
        self._runs.append(Run(keeper, [lock, output], mail))

    def _reap(self) -> None:
        """Take note of the children that have ended. What a killed keeper left behind is ended with it.

        One that ended by itself says by its exit code that it left nothing.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for run in self._runs:
                if run.keeper == pid:
                    run.keeper = 0
                    if LINUX and status:
                        kill_all(self._orphans, self._orphans)
                if run.mail and run.mail.pid == pid:
                    run.mail.ended()
                    self._changed = True

    def _orphans(self) -> "list[int]":
        """Return the pids of all processes below this one that belong to no living keeper and to no mail process."""
        ours = {pid for run in self._runs for pid in (run.keeper, run.mail.pid if run.mail else 0) if pid}
        return descendants(os.getpid(), ours)

    def _look(self) -> None:
        """Look for mail where there may be some, at most every few milliseconds: an agent may write without a pause."""
        now = time.monotonic()
        if now - self._looked < (SOON if self._changed else TICK):
            return
        self._looked, self._changed = now, False
        for run in self._runs:
            run.look()

    def _forget(self, run: Run) -> None:
        self._runs.remove(run)
        for watch in run.mail.watches if run.mail else ():
            self._inotify.remove(watch)


def become(argv: "Iterable[str]", env: "dict[str, str]", given: "dict[int, int]") -> None:
    """Turn this process, a child, into a program that has the given descriptors under the given numbers."""
    try:
        part_from_warden(given)
        words = [*argv]
        os.execve(words[0], words, env)  # noqa: S606
    finally:
        os._exit(127)


def become_keeper(argv: "list[str]", env: "dict[str, str]", given: "dict[int, int]") -> None:
    """Turn this process, a child, into a keeper as `become` does, by its words alone if there is room for them.

    It has the environment of this one then, which is the same, and no other descriptor than those given.
    """
    try:
        part_from_warden(given)
        if not rename(argv):
            os.execve(argv[0], argv, env)  # noqa: S606
        SIGNALS.set_wakeup_fd(-1)
        for name in os.listdir("/proc/self/fd"):  # that of the folder itself is closed by now
            if int(name) > LOCK:
                close(int(name))
        keep()
    except BaseException as error:  # noqa: BLE001 - what it prints is told as an error, as of any keeper
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(127)


def part_from_warden(given: "dict[int, int]") -> None:
    """Make this process, a child, one of its own, with the given descriptors under the given numbers."""
    os.setsid()
    for number in (SIGNALS.SIGTERM, SIGNALS.SIGCHLD, *TERMINAL):
        SIGNALS.signal(number, SIGNALS.SIG_DFL)
    high = {number: fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH) for number, descriptor in given.items()}
    for number, descriptor in high.items():
        os.dup2(descriptor, number)


def close(descriptor: int) -> None:
    """Close a descriptor, if it is open."""
    try:
        os.close(descriptor)
    except OSError:
        pass


def main() -> None:
    """Serve the scheduler at the other end of standard input. The last word is room, which nobody has to see."""
    rename(sys.orig_argv[:-1])
    Warden().serve()
    os._exit(0)
