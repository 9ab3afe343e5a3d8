"""Starts a command of a team as a process of its own, which goes on when the one that started it ends.

It has a session of its own, so that no terminal and no Control-C reaches it, and prints into files in the folder
`work/started` of the team.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.log.event import new_id

_OWN = ("TEAM_PERSONA", "TEAM_SESSION", "TEAM_RUN", "TEAM_HOME")  # variables that are not the command's
_LOOK, _PATIENCE = 0.02, 10.0  # seconds between looks whether it has begun, and until nobody waits for that any more
_KEPT = 50  # commands whose output is kept
_LAST = 4_000  # bytes of what it said
_FOLDER = "started"


class NotStarted(TeamMailError):
    """A command ended before it had begun its work; the message is what it said."""


@dataclass(frozen=True)
class Started:
    """A command that goes on by itself: its process, what it has begun, and the file of what it prints.

    `begun` is empty if it had not begun in the time that somebody waited for that.
    """

    pid: int
    begun: Mapping[str, Any]
    output: Path

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object, with what it has begun."""
        return {"pid": self.pid, **self.begun, "output": str(self.output)}


def start(
    home: Path,
    command: str,
    words: Sequence[str],
    begun: Callable[[int], Mapping[str, Any] | None],
    given: bytes = b"",
) -> Started:
    """Start the command `team` or `scheduler` on the team in `home`, and wait until it has begun.

    Raises NotStarted if it ends before, and fails.

    Args:
        home: The `.team` folder.
        command: `team` or `scheduler`.
        words: Its arguments.
        begun: Is asked with the process's id what it has begun; None as long as that is not on record.
        given: What it reads from standard input.
    """
    output, errors = _files(home)
    root = __package__.partition(".")[0] if __package__ else ""
    env = {name: value for name, value in os.environ.items() if name not in _OWN} | {"TEAM_HOME": str(home.absolute())}
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", f"{root}.team.commands.{command}", *words], cwd=home.absolute().parent, env=env,
            stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=process.communicate, args=(given,), daemon=True).start()  # it is waited for, too
    return Started(process.pid, _waited(process, begun, errors), output)


def _waited(
    process: subprocess.Popen[bytes], begun: Callable[[int], Mapping[str, Any] | None], errors: Path
) -> Mapping[str, Any]:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        over = process.poll()
        if (found := begun(process.pid)) is not None:
            return found
        if over is not None:
            if over:
                raise NotStarted(_last_words(errors) or f"it ended with exit code {over}")
            return {}
        time.sleep(_LOOK)
    return {}


def _last_words(errors: Path) -> str:
    """Return the last line that a command said, without its name."""
    lines = errors.read_bytes()[-_LAST:].decode(errors="replace").strip().splitlines()
    return lines[-1].partition(": ")[2] or lines[-1] if lines else ""


def _files(home: Path) -> tuple[Path, Path]:
    """Return new files for what a command prints; those of the oldest commands go."""
    folder = home / "work" / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir())[: -2 * (_KEPT - 1)]:
        old.unlink(missing_ok=True)
    name = new_id()
    return folder / f"{name}.out", folder / f"{name}.err"
