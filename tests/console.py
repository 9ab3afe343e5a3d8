"""Run the console scripts in processes of their own, each forked from a server that has loaded them before.

A command of a tenth of a second spends most of it on imports, and the tests run thousands of commands. The forked
process has its own arguments, environment, folder, streams and exit code, as one that a shell starts. What depends on
the start of the interpreter (its encoding, a closed stream) is tested with `subprocess` instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import marshal
import os
import pkgutil
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, NoReturn, Self, TextIO

import team_mail
from team_mail.personas.hidden import is_shown

COMMANDS = ("team-mail", "scheduler", "team")
LOG = ("TEAM_LOG_URL", "TEAM_LOG_NAME")  # say that the log of a test is on a server, see tests/on_server.py
COMPILED = ("team_mail.mail.query.compile", "team_mail.mail.query.projections", "team_mail.scheduler.state.projections")
SIZE = 8  # bytes that say how long a request is


def run_command(
    command: str, *words: str, cwd: Path, env: dict[str, str], stdin: bytes | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run a console script and return its exit code and what it printed; `stdin` of None is an empty input.

    What the tests themselves were given and a scheduler would start anew without, see personas/hidden.py, it has not.
    Raises subprocess.TimeoutExpired once `timeout` seconds are over; the process has been killed then.
    """
    env = _surroundings(env)
    if _needs_an_interpreter(env):
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        path = Path(sys.executable).with_name(command)
        return subprocess.run(
            [path, *words], cwd=cwd, env=env, capture_output=True, check=False, timeout=timeout, **given
        )
    with _input(stdin) as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = Started(command, words, cwd, env, [file.fileno() for file in (given, out, err)])
        try:
            code = started.wait(timeout)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
            code = None
        out.seek(0)
        err.seek(0)
        ended = subprocess.CompletedProcess([command, *words], code or 0, out.read(), err.read())
    if code is None:
        raise subprocess.TimeoutExpired(ended.args, timeout, ended.stdout, ended.stderr)
    return ended


def shown_by_command(command: str, *words: str, cwd: Path, env: dict[str, str]) -> bytes:
    """Run a console script and return what it prints on a terminal, to which standard output and error lead."""
    main, terminal = pty.openpty()
    with _input(None) as given:
        started = Started(command, words, cwd, _surroundings(env), [given.fileno(), terminal, terminal])
    os.close(terminal)
    data = b""
    with contextlib.suppress(OSError):  # the terminal was closed
        while more := os.read(main, 1 << 16):
            data += more
    os.close(main)
    started.wait()
    return data


class Started:
    """A console script that runs; what `subprocess.Popen` of it would be, as far as tests use that."""

    def __init__(
        self, command: str, words: Sequence[str], cwd: Path, env: dict[str, str], streams: Sequence[int]
    ) -> None:
        """Let the server fork a command with these streams."""
        self.args = [command, *words]
        self.returncode: int | None = None
        self._told, theirs = socket.socketpair()
        request = marshal.dumps((command, [*map(str, words)], str(cwd), env))
        server, _ = _server()
        with theirs:
            socket.send_fds(server, [len(request).to_bytes(SIZE)], [*streams, theirs.fileno()])
            server.sendall(request)
        self.pid = int.from_bytes(_receive(self._told, SIZE))

    def poll(self) -> int | None:
        """Return the exit code, None as long as it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int.from_bytes(_receive(self._told, SIZE), signed=True)
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Piped(Started):
    """One whose outputs are pipes, for a test that reads them while it runs."""

    def __init__(self, command: str, *words: str, cwd: Path, env: dict[str, str]) -> None:
        pipes = [os.pipe() for _ in range(2)]
        with _input(None) as given:
            super().__init__(command, words, cwd, _surroundings(env), [given.fileno(), *(pipe[1] for pipe in pipes)])
        for _, writing in pipes:
            os.close(writing)
        self.stdout, self.stderr = (os.fdopen(reading, errors="surrogateescape") for reading, _ in pipes)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what is printed from now on, once it has ended. Raises subprocess.TimeoutExpired."""
        read: dict[TextIO, str] = {}
        threads = [
            threading.Thread(target=lambda file=file: read.update({file: file.read()}), daemon=True)
            for file in (self.stdout, self.stderr)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        for file in read:
            file.close()
        return read[self.stdout], read[self.stderr]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self.stdout, self.stderr):
            file.close()
        self.wait()

    def __del__(self) -> None:
        for file in (self.stdout, self.stderr):
            file.close()


def as_text(ended: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    """Return what a command printed as text."""
    out, err = (data.decode(errors="surrogateescape") for data in (ended.stdout, ended.stderr))
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)


def _surroundings(env: dict[str, str]) -> dict[str, str]:
    """Return what a command is given: where the test's log is, and of the rest what a scheduler does not hide."""
    log = {name: os.environ[name] for name in LOG if name in os.environ}
    return log | {name: value for name, value in env.items() if is_shown(name) or value != os.environ.get(name)}


def _input(data: bytes | None) -> IO[bytes]:
    """Open a file that holds the data, or the null device."""
    if data is None:
        return Path(os.devnull).open("rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.seek(0)
    return file


def _needs_an_interpreter(env: dict[str, str]) -> bool:
    """Tell whether an environment has what an interpreter reads when it starts, other than that of this process."""
    return any(env[name] != os.environ.get(name) for name in env if name.startswith(("LANG", "LC_", "PYTHON")))


def _receive(channel: socket.socket, size: int) -> bytes:
    """Receive so many bytes, or raise EOFError."""
    data = b""
    while len(data) < size:
        if not (more := channel.recv(size - len(data))):
            raise EOFError
        data += more
    return data


# -- the server


@functools.cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the server of this process, which ends with it; return the connection to it."""
    ours, theirs = socket.socketpair()
    with theirs, socket.socket(socket.AF_UNIX) as door:
        door.bind(str(_place() / "door"))
        door.listen()
        env = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "_TEAM"))}
        handed = [theirs.fileno(), door.fileno()]
        return ours, subprocess.Popen([sys.executable, __file__, *map(str, handed)], pass_fds=handed, env=env)


@functools.cache
def _place() -> Path:
    """Make the folder of this process, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="team-mail-console-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def shims() -> Path:
    """Return a folder of programs with the names of the console scripts, for a PATH: each lets the server fork it."""
    _server()
    folder = _place() / "bin"
    folder.mkdir()
    for command in COMMANDS:
        program = folder / command
        program.write_text(_PROGRAM.format(python=sys.executable, door=str(_place() / "door"), command=command))
        program.chmod(0o755)
    return folder


_PROGRAM = """#!{python} -IS
import _socket, array, marshal, os, sys
server = _socket.socket(_socket.AF_UNIX)
server.connect({door!r})
request = marshal.dumps(({command!r}, sys.argv[1:], os.getcwd(), dict(os.environ)))
streams = array.array("i", [0, 1, 2])
server.sendmsg([len(request).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
server.sendall(request)
numbers = b""
while len(numbers) < 16 and (more := server.recv(16 - len(numbers))):
    numbers += more
code = int.from_bytes(numbers[8:], "big", signed=True)
os._exit(code if code >= 0 else 128 - code)
"""


def _serve(channel: socket.socket, door: socket.socket) -> None:
    """Fork a command for each request until the other side is gone; in the child, run it and do not return.

    With the streams of a command comes a socket, which is told its pid, and its exit code once it has ended. A program
    of `shims` comes through the door, and is told by the connection that it made.
    """
    scripts = {name: entry_points(group="console_scripts", name=name)[name].load() for name in COMMANDS}
    _load()
    gc.freeze()
    running: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor that tells the end: pid, and whom to tell it
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(door, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                poll.unregister(ready)
                os.close(ready)
                pid, told = running.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with told, contextlib.suppress(BrokenPipeError):
                    told.sendall(code.to_bytes(SIZE, signed=True))
                continue
            asking = channel if ready == channel.fileno() else door.accept()[0]
            header, files, _, _ = socket.recv_fds(asking, SIZE, 4)
            if not header and asking is channel:
                return
            command, words, folder, env = marshal.loads(_receive(asking, int.from_bytes(header)))
            told = socket.socket(fileno=files.pop()) if asking is channel else asking
            if not (pid := os.fork()):
                for each in (channel, door, told, *(told for _, told in running.values())):
                    each.close()
                for end in running:
                    os.close(end)
                _become(command, words, folder, env, files)
                _run(scripts[command])
            for file in files:
                os.close(file)
            end = os.pidfd_open(pid)
            running[end] = pid, told
            poll.register(end, select.POLLIN)
            told.sendall(pid.to_bytes(SIZE))


def _become(command: str, words: Sequence[str], folder: str, env: dict[str, str], streams: Sequence[int]) -> None:
    """Let this process be that of a command, as a shell starts it."""
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = _anew(sys.stdout, lines=os.isatty(1)), _anew(sys.stderr, lines=True)
    os.chdir(folder)
    env = _surroundings(env)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [str(Path(sys.executable).with_name(command)), *words]


def _anew(stream: TextIO, *, lines: bool) -> TextIO:
    """Open a stream anew: this one was opened for what is no terminal and no pipe."""
    buffered = 1 if lines else -1
    return open(stream.fileno(), "w", buffering=buffered, encoding=stream.encoding, errors=stream.errors, closefd=False)


def _load() -> None:
    """Load all that a command may load, but for Ibis, which none does.

    A fork takes no thread along: DuckDB has none once the database is closed that it opens when it is loaded.
    """
    for module in pkgutil.walk_packages(team_mail.__path__, "team_mail."):
        if module.name not in COMPILED:
            importlib.import_module(module.name)
    importlib.import_module("email.parser")
    importlib.import_module("duckdb").default_connection().close()
    late = time.monotonic() + 10
    while len([*Path("/proc/self/task").iterdir()]) > 1:  # one that has ended is still there for a moment
        assert time.monotonic() < late


def _run(main: Callable[[], object]) -> NoReturn:
    """Run a command and end this process as an interpreter ends, but for the modules, which it does not take apart.

    That takes longer than most commands. A stream that cannot be flushed is left to the interpreter.
    """
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
    if not (code is None or isinstance(code, int)):
        sys.exit(code)
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit(code or 0)


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        _serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
