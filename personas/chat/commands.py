"""Commands that a model has run: without a shell, allowed one by one, for a limited time and with limited output."""

from __future__ import annotations

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...mail.text.escape import line
from ...mail.text.units import span
from ..hidden import SECRET
from ..running.rules import Rules
from .place import Refused

LIMIT = 120.0  # seconds of a command
LONGEST = 600.0  # that it may be given
MOST = 20_000  # bytes of output that a model sees, half of them from its end
FLOOD = 64 << 20  # bytes of output after which a command is ended
_PIECE = 1 << 16
_SIGNS = frozenset({"&&", "||", ";", "|", "&", ">", ">>", "<", "<<", "2>&1"})


class Ended(NamedTuple):
    """How a command ended: the exit code, negative for a signal, what it printed, and why it was ended, if it was."""

    exit: int
    output: bytes
    why: str = ""


@dataclass(frozen=True)
class Commands:
    """Runs what both the agent's settings and the persona's rules allow, in the workspace."""

    workspace: Path
    allowed: tuple[str, ...]
    rules: Rules = field(default_factory=Rules)
    most: int = MOST

    def run(self, command: str, limit: float = LIMIT) -> str:
        """Run a command; return its exit code and what it printed. Raises Refused."""
        words = self.checked(command)
        env = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
        try:
            ended = bounded(words, self.workspace, env, min(max(limit, 1.0), LONGEST))
        except OSError as error:
            raise Refused(f"cannot start {line(words[0])}: {error.strerror}") from None
        how = ended.why or (f"exit {ended.exit}" if ended.exit >= 0 else f"ended by {_signal(-ended.exit)}")
        text = f"{how}\n{shortened(ended.output, self.most)}"
        if ended.exit or ended.why:
            raise Refused(text)
        return text

    def checked(self, command: str) -> list[str]:
        """Return the words of a command that may be run. Raises Refused."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise Refused(f"the command cannot be taken apart: {error}") from None
        if not words:
            raise Refused("name a command")
        if signs := _SIGNS.intersection(words) or {sign for sign in (";", "|", "&") if words[0].endswith(sign)}:
            raise Refused(f"there is no shell, so {min(signs)} means nothing; run one command after the other")
        quoted = shlex.join(words)
        for rules in (Rules(commands=self.allowed), self.rules):
            if why := rules.why_not_run(quoted):
                raise Refused(why, denied=True)
        if not shutil.which(words[0], path=_path(self.workspace)):
            raise Refused(f"{line(words[0])} is not there")
        return words


def bounded(words: Sequence[str], cwd: Path, env: Mapping[str, str], limit: float, keep: int = 1 << 16) -> Ended:
    """Run a command for at most `limit` seconds; with it, all that is in its process group ends. Raises OSError.

    Of its output, the first and the last `keep` bytes are returned.
    """
    with subprocess.Popen(  # noqa: S603
        words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, why = _read(process, time.monotonic() + limit, limit, keep)
            code = None if why else process.wait()
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        return Ended(process.wait() if code is None else code, output, why)


def _read(process: subprocess.Popen[bytes], due: float, limit: float, keep: int) -> tuple[bytes, str]:
    """Read what a command prints until it ends; return it, and why it is to be ended now, if it is."""
    assert process.stdout  # noqa: S101 - it was asked for
    head, tail, total = bytearray(), b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := due - time.monotonic()) > 0:
            if not selector.select(min(left, 0.2)):
                if process.poll() is not None:  # what it left behind holds the pipe
                    return bytes(head) + tail, ""
                continue
            piece = os.read(process.stdout.fileno(), _PIECE)
            if not piece:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, due - time.monotonic()))
                    return bytes(head) + tail, ""
                break
            total += len(piece)
            room = max(0, keep - len(head))
            head += piece[:room]
            tail = (tail + piece[room:])[-keep:]
            if total > FLOOD:
                return bytes(head) + tail, f"ended, as it printed over {FLOOD >> 20} MiB"
    return bytes(head) + tail, f"ended, as it took longer than {span(limit)}"


def shortened(output: bytes, most: int) -> str:
    """Return the beginning and the end of an output, if it is longer than `most` bytes."""
    if len(output) <= most:
        return output.decode(errors="replace")
    half = most // 2
    head, end = output[:half].decode(errors="replace"), output[-half:].decode(errors="replace")
    return f"{head}\n[… {len(output) - 2 * half:,} bytes left out …]\n{end}"


def _path(workspace: Path) -> str:
    """Return the PATH of a command, in which relative folders are those of the workspace."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(str(workspace / place) for place in places)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
