"""The lock of the one scheduler that leads a team, which ends with its process; what it asks before it acts.

And what goes on beside it, such as notices, by settings that may change meanwhile: `Companion`.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..mail.archive.witness import NoWitness, known_to_git, lost
from ..mail.errors import LedElsewhere, LogError, LogUnavailable
from ..mail.log.disk import Disk, read_file
from ..mail.log.log import EventLog, Log
from ..mail.process import alive, myself
from .errors import LogBehind, NotLeader

if TYPE_CHECKING:
    from .context import Context

SCHEDULER = "scheduler"  # what a process is that leads the team, as others are told
TAKEN = "another scheduler leads this team"
_OFTEN = 10  # looks between two times that something is done meanwhile
_LOOK = 0.5  # seconds between two looks whether another host still leads
_COMMITS = 2_000  # of the branches, the newest
_EVENTS = 500


class Leader:
    """The leader's lock as a context manager. Raises NotLeader if another process holds it, naming that process.

    `folder` is where the lock file is: `.team/work` for the team, its own folder for a dispatch. `taken` begins the
    error's message.
    """

    def __init__(self, folder: Path, taken: str = TAKEN) -> None:
        self.path = folder / "leader"
        self._taken = taken
        self._descriptor = -1

    def __enter__(self) -> Self:
        while not self._lock():
            os.close(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(myself()).encode(), 0)
        return self

    def _lock(self) -> bool:
        """Lock the file. Return False if the previous holder deleted it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = Disk().open(self.path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            content = os.pread(self._descriptor, 4096, 0)
            os.close(self._descriptor)
            raise NotLeader(f"{self._taken}: {_holder(content)}; wait for it, or end it") from None
        return os.fstat(self._descriptor).st_nlink > 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class Lead(Leader):
    """The leader's lock of a process that leads the team, over all hosts that share its log, while it is open.

    Entered, it raises LedElsewhere while another host leads. `what` is told to other hosts: JSON that says what this
    process does. Once the lead is lost, `on_lost` is called in another thread: what is at work here has to end then,
    since another host goes on with it; what it appends is refused by the log.
    """

    def __init__(
        self,
        folder: Path,
        log: Log,
        what: Mapping[str, Any],
        taken: str = TAKEN,
        *,
        on_lost: Callable[[str], object] = lambda _: None,
    ) -> None:
        super().__init__(folder, taken)
        self._log, self._what, self._on_lost = log, what, on_lost
        self._beat = ExitStack()

    def __enter__(self) -> Self:
        self._log.lead()
        super().__enter__()
        try:
            self._beat.enter_context(self._log.beat(myself(), self._what, leads=True, on_lost=self._on_lost))
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._beat.close()
        finally:
            super().__exit__(kind, error, trace)


class Threads(Protocol):
    """Threads at work by one version of the settings."""

    def end(self) -> None:
        """Let them start nothing more, and wait a moment for them."""
        ...


class Companion(ABC):
    """A context in which something goes on beside the scheduler, and anew once the settings of it have changed.

    `say` is told, in one line for people, what hinders it, and what is new.
    """

    def __init__(self, context: Context, say: Callable[[str], object]) -> None:
        self._context, self._say = context, say
        self._settings: object = None
        self._threads: Threads | None = None

    @abstractmethod
    def settings_of(self, context: Context) -> object:
        """Return the settings that it goes by; None, or what is empty, if it is not asked for."""

    @abstractmethod
    def start(self, context: Context) -> Threads:
        """Start the threads. Raises LogError."""

    def __enter__(self) -> Self:
        self.renew(self._context)
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads:
            self._threads.end()

    def renew(self, context: Context) -> None:
        """Go on with other settings; with the same ones nothing changes."""
        settings = self.settings_of(context) or None
        if settings == self._settings:
            return
        if self._threads:
            self._threads.end()
        self._settings, self._threads = settings, self.start(context) if settings else None


def stand_by(
    lead: Lead,
    log: Log,
    stop: threading.Event,
    say: Callable[[str], object],
    meanwhile: Callable[[], object],
) -> bool:
    """Enter a lead as soon as no other host leads; return whether it was, False once `stop` is set.

    `say` is told once who leads meanwhile, and of a server that does not answer. `meanwhile` is called now and then
    while another host leads. Raises NotLeader.
    """
    waits = ExitStack()
    with waits:
        told, looks = "", 0
        while not stop.is_set():
            try:
                lead.__enter__()  # left by the caller
            except LedElsewhere as error:
                said, is_led = f"{error.host} leads this team; this one stands by", True
            except LogUnavailable as error:
                said, is_led = f"{error}; waiting for it", False
            else:
                return True
            if said != told:
                say(said)
                told = said
            with suppress(LogError):
                if is_led and not looks:
                    waits.enter_context(log.beat(myself(), {"is": SCHEDULER, "stands_by": True}))
                if is_led and not looks % _OFTEN:
                    meanwhile()
            looks += is_led
            stop.wait(_LOOK)
    return False


def leading(folder: Path) -> dict[str, Any] | None:
    """Return the process that leads a team, as `myself` names it; None if none does."""
    try:
        process = json.loads(read_file(folder / "leader"))
    except (OSError, ValueError):
        return None
    return process if isinstance(process, dict) and alive(process) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def leading_anywhere(folder: Path, log: Log) -> dict[str, Any] | None:
    """Return the process that `leading` does, or the scheduler that leads the team from another host; None for none."""
    if process := leading(folder):
        return process
    leaders = (each for each in log.presences() if each.epoch and not each.gone and each.what.get("is") == SCHEDULER)
    return next((dict(each.process) for each in leaders if each.place != log.place), None)


def check_log(home: Path, log: Log, base: str, *, leads: bool = True) -> None:
    """Check before anything is done that this host may lead the team, if it `leads`, and that its log is whole.

    Raises LedElsewhere, and LogBehind if git knows more than the log: what it says is pending may have landed, and
    would land twice. That is so after an older backup was restored. A loss that a person has accepted does not count.
    `base` is where the team's work goes in the end.
    """
    if leads:
        log.lead()
    if said := log_behind(home, log, base):
        raise LogBehind(
            f"{said}; nothing was done, because what has landed would land again: move {home / 'mail'} away and "
            "restore the newest backup (team-mail backup --restore BACKUP), or go on without those events: "
            "team-mail repair --accept-loss"
        )


def log_behind(home: Path, log: Log, base: str) -> str:
    """Say what git knows that the log does not have, by the last such event; "" if there is nothing."""
    if not isinstance(log, EventLog):
        return ""
    with suppress(NoWitness):
        losses = lost(log, known_to_git(home, _COMMITS, base)[-_EVENTS:])
        accepted = log.verify().lost if losses else ()
        losses = [each for each in losses if each.event[:2] not in accepted]
        return losses[-1].told("git") if losses else ""
    return ""


def _holder(content: bytes) -> str:
    try:
        return f"process {json.loads(content)['pid']}"
    except (ValueError, KeyError, TypeError):
        return "one that has just started"
