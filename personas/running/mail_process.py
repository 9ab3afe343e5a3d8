"""Starts the mail process of a run at the first mail or request that its agent leaves, and ends it with the run.

For an agent that is a process, the warden does this, so that mail is sent whether or not the scheduler lives; here it
is done for agents that are functions, and for what a lost run left.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from ...mail.process import SESSION
from ..agent import MailCommand
from ..environment import surroundings
from ..hidden import is_shown
from .folder import RunFolder

_PAUSE = 0.015  # seconds between two looks into a run's folder
_IDLE = 1.0  # seconds without a run after which nobody looks any more
_LATE = 60.0  # seconds that the process gets for what is left when its run has ended


def _environment(session: str | None) -> dict[str, str]:
    """Return what others may see of the environment, without what says which run this process belongs to."""
    outside = ("TEAM_RUN", "TEAM_PERS", SESSION)
    own = {name: value for name, value in surroundings().items() if is_shown(name) and not name.startswith(outside)}
    return own | ({SESSION: session} if session else {})


class MailProcess:
    """The mail of a run while it is held as a context manager; at its end everything left is sent."""

    def __init__(
        self, workspace: Path, persona: str, run: str, home: Path, human: str = "", *, session: str | None = None
    ) -> None:
        self._words = [str(workspace), persona, run, str(home), human]
        self._workspace, self._session = workspace, session
        self._folder = RunFolder(workspace)
        self._process: subprocess.Popen[bytes] | None = None

    @cached_property
    def command(self) -> MailCommand:
        """The command that sends the mail."""
        argv = [sys.executable, "-P", "-m", "team_mail.personas.running.postbox", *self._words]
        return MailCommand(argv, _environment(self._session), self._workspace)

    def __enter__(self) -> Self:
        _rounds.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _rounds.remove(self)
        self.finish()

    def finish(self) -> None:
        """Send what is left, and return once it is on record."""
        self._close()
        if any(self._folder.waiting()):
            self._start()
            self._close()

    def look(self) -> None:
        """Start the process if there is something for it, and none runs."""
        if any(self._folder.waiting()) and (self._process is None or self._process.poll() is not None):
            self._start()

    def _start(self) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()
        self._process = subprocess.Popen(  # noqa: S603
            self.command.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=self.command.env, cwd="/", start_new_session=True,
        )  # fmt: skip

    def _close(self) -> None:
        if self._process is None:
            return
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_LATE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class _Rounds:
    """One thread of this process that looks into the folders of all runs whose agents are functions."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Know of no run, in a fork: it has none of the threads."""
        self._turn = threading.Condition()
        self._runs: dict[MailProcess, None] = {}
        self._goes_on = False

    def add(self, run: MailProcess) -> None:
        """Look for a run, too, from the next round on."""
        with self._turn:
            self._runs[run] = None
            if not self._goes_on:
                self._goes_on = True
                threading.Thread(target=self._go, name="mail of functions", daemon=True).start()

    def remove(self, run: MailProcess) -> None:
        """Look for a run no more."""
        with self._turn:
            self._runs.pop(run, None)

    def _go(self) -> None:
        """Go round until there has been no run for a while."""
        idle = 0.0
        with self._turn:
            while idle < _IDLE:
                self._turn.wait(_PAUSE)
                idle = 0.0 if self._runs else idle + _PAUSE
                for run in [*self._runs]:
                    with suppress(OSError):  # no process can be started: the next time, or at the run's end
                        run.look()
            self._goes_on = False


_rounds = _Rounds()
os.register_at_fork(after_in_child=_rounds.reset)
