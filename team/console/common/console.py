"""The console of one team: its context, and what all requests share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from ....mail.errors import TeamMailError
from ....mail.open import damage_of
from ....mail.team_file import folders_of, roster_files
from ....scheduler.context import Context
from ..access.logins import Logins

Part = TypeVar("Part")


@dataclass
class ConsoleOptions:
    """How a console is served: where, and whether anything may be changed by it.

    `port` 0 is for any that is free; it is the real one once the server listens. `tls` are the files of a certificate
    and its key. `qr` shows the address that logs in as a picture, too, None only if others than this machine reach it.
    """

    host: str = "127.0.0.1"
    port: int = 8420
    read_only: bool = False
    tls: tuple[str, str] | None = None
    qr: bool | None = None

    @property
    def scheme(self) -> str:
        """How it is spoken to."""
        return "https" if self.tls else "http"


@dataclass
class Console:
    """The console of a team. Threads share it.

    `reopen` opens the team anew, which is done when its settings or personas have changed: with all personas that can
    be given a task, and also without a repository. `reopen_team` opens it with its own personas alone, for sprints.
    What is in `on_stop` is called, in the event loop, when the server is asked to end; none of it may take long.
    """

    reopen: Callable[[], Context]
    options: ConsoleOptions = field(default_factory=ConsoleOptions)
    reopen_team: Callable[[], Context] | None = None
    logins: Logins = field(default_factory=Logins)
    on_stop: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    _opened: dict[str, tuple[tuple[int, ...], Context]] = field(
        default_factory=dict[str, tuple[tuple[int, ...], Context]], init=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _parts: dict[Any, Any] = field(default_factory=dict[Any, Any], init=False)
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False)

    @property
    def context(self) -> Context:
        """The team as its files are now; raises what opening it raises, such as SettingsError."""
        return self._kept("context", self.reopen)

    def part(self, make: Callable[[Console], Part]) -> Part:
        """Return what `make` makes of the console: once, for all requests."""
        with self._turn:
            if make not in self._parts:
                self._parts[make] = make(self)
            return cast("Part", self._parts[make])

    def team(self) -> Context:
        """Return the team as sprints see it, in its repository. Raises what opening it raises, such as NotReady."""
        return self._kept("team", self.reopen_team) if self.reopen_team else self.context

    def _kept(self, name: str, reopen: Callable[[], Context]) -> Context:
        """Return what was opened before, unless the files that it was made of have changed."""
        with self._lock:
            stamp, context = self._opened.get(name, ((), None))
            if context is None or stamp != self._changed(context):
                context = reopen()
                self._opened[name] = self._changed(context), context
            return context

    def own_context(self) -> Context:
        """Open the team anew, for what writes in the name of a session: that is a setting of the log itself."""
        return self.reopen()

    @property
    def human(self) -> str:
        """Who acts by the console."""
        return self.context.mailbox.directory.human

    @property
    def damage(self) -> str:
        """The sentence that commands print of a log that is known to be damaged; "" for a sound one."""
        try:
            return damage_of(self.context.home)
        except TeamMailError:  # the team cannot be opened, which whoever asks is told
            return ""

    @staticmethod
    def _changed(context: Context) -> tuple[int, ...]:
        """Return when the files that a context was made of were last changed."""
        home = context.home
        paths = [home / "team.toml", *roster_files(home, folders_of(home, context.settings.team.personas))]
        times = [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]
        return tuple(times)
