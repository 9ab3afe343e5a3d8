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
import json
import os
import pkgutil
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, NoReturn, TextIO

import team_mail
from team_mail.personas.hidden import is_shown

COMMANDS = ("team-mail", "scheduler", "team")
COMPILED = ("team_mail.mail.query.compile", "team_mail.mail.query.projections", "team_mail.scheduler.state.projections")
SIZE = 8  # bytes that say how long a request is


def run_command(
    command: str, *words: str, cwd: Path, env: dict[str, str], stdin: bytes | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run a console script and return its exit code and what it printed; `stdin` of None is an empty input.

    What the tests themselves were given and a scheduler would start anew without, see personas/hidden.py, it has not.
    Raises subprocess.TimeoutExpired once `timeout` seconds are over; the process has been killed then.
    """
    env = _without_hidden(env)
    if _needs_an_interpreter(env):
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        path = Path(sys.executable).with_name(command)
        return subprocess.run(
            [path, *words], cwd=cwd, env=env, capture_output=True, check=False, timeout=timeout, **given
        )
    with _input(stdin) as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        server = _request(command, words, cwd, env, [file.fileno() for file in (given, out, err)])
        pid = int.from_bytes(_receive(server, SIZE))
        late = not select.select([server], [], [], timeout)[0]
        if late:
            os.kill(pid, signal.SIGKILL)
        code = int.from_bytes(_receive(server, SIZE), signed=True)
        out.seek(0)
        err.seek(0)
        ended = subprocess.CompletedProcess([command, *words], code, out.read(), err.read())
    if late:
        raise subprocess.TimeoutExpired(ended.args, timeout, ended.stdout, ended.stderr)
    return ended


def shown_by_command(command: str, *words: str, cwd: Path, env: dict[str, str]) -> bytes:
    """Run a console script and return what it prints on a terminal, to which standard output and error lead."""
    main, terminal = pty.openpty()
    with _input(None) as given:
        server = _request(command, words, cwd, _without_hidden(env), [given.fileno(), terminal, terminal])
    _receive(server, SIZE)
    os.close(terminal)
    data = b""
    with contextlib.suppress(OSError):  # the terminal was closed
        while more := os.read(main, 1 << 16):
            data += more
    os.close(main)
    _receive(server, SIZE)
    return data


def as_text(ended: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    """Return what a command printed as text."""
    out, err = (data.decode(errors="surrogateescape") for data in (ended.stdout, ended.stderr))
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)


def _without_hidden(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if is_shown(name) or value != os.environ.get(name)}


def _request(command: str, words: tuple[str, ...], cwd: Path, env: dict[str, str], streams: list[int]) -> socket.socket:
    """Let the server fork a command with these streams; return the connection that tells its pid, then its code."""
    request = json.dumps([command, words, str(cwd), env]).encode()
    server, _ = _server()
    socket.send_fds(server, [len(request).to_bytes(SIZE)], streams)
    server.sendall(request)
    return server


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
    with theirs:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "_TEAM"))}
        words = [sys.executable, __file__, str(theirs.fileno())]
        return ours, subprocess.Popen(words, pass_fds=[theirs.fileno()], env=env)


def _serve(channel: socket.socket) -> None:
    """Fork a command for each request until the other side is gone; in the child, run it and do not return."""
    scripts = {name: entry_points(group="console_scripts", name=name)[name].load() for name in COMMANDS}
    _load()
    gc.freeze()
    while True:
        header, files, _, _ = socket.recv_fds(channel, SIZE, 3)
        if not header:
            return
        command, words, folder, env = json.loads(_receive(channel, int.from_bytes(header)))
        if not (pid := os.fork()):
            channel.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            if os.isatty(1):
                sys.stdout, sys.stderr = (_of_terminal(stream) for stream in (sys.stdout, sys.stderr))
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(env)
            sys.argv = [str(Path(sys.executable).with_name(command)), *words]
            _run(scripts[command])
        for file in files:
            os.close(file)
        channel.sendall(pid.to_bytes(SIZE))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        channel.sendall(code.to_bytes(SIZE, signed=True))


def _of_terminal(stream: TextIO) -> TextIO:
    """Open the stream anew: this one was opened for what is no terminal."""
    return open(stream.fileno(), "w", buffering=1, encoding=stream.encoding, errors=stream.errors, closefd=False)


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
        _serve(socket.socket(fileno=int(sys.argv[1])))
