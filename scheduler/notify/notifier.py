"""Sends notices beside whatever else goes on: one thread follows the log, and each endpoint has a thread of its own.

So an endpoint that does not answer delays no other one, and nothing of the team's work. One process does it at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

from ...mail.errors import TeamMailError
from ..context import Context
from ..errors import NotLeader
from ..leader import Companion, Leader
from .endpoint import Endpoint, checked_channel, open_endpoints
from .outbox import GATHER

_LOOK = 5.0  # seconds between two looks at whose process is gone
_PATIENCE = 20.0  # seconds after an error that a person may mend
_TAKEN = "another process sends the notices of this team"
_JOIN = 1.0  # seconds for a thread to end; one that waits for an endpoint is left behind, and its notice sent again


class Sent(NamedTuple):
    """What one endpoint was sent: how many notices it took, why attempts failed, and how many notices wait."""

    name: str
    taken: int
    failed: tuple[str, ...]
    waiting: int


def sending(context: Context) -> Leader:
    """Return the lock of the one process that sends notices. Raises NotLeader where it is entered."""
    return Leader(context.home / "work" / "notify", _TAKEN)


def send_due(context: Context) -> list[Sent]:
    """Send what is due, or will be within five seconds, to all endpoints at once; return what came of it.

    Raises NotLeader while another process sends them, SettingsError, LogError.
    """
    with sending(context):
        endpoints, _ = open_endpoints(context)
        if not endpoints:
            return []
        with ThreadPoolExecutor(len(endpoints)) as threads:
            return [*threads.map(_drained, endpoints)]


def _drained(endpoint: Endpoint) -> Sent:
    """Send to one endpoint until nothing is due soon."""
    taken, failed, clock = 0, list[str](), endpoint.context.clock
    until = clock.monotonic() + GATHER.total_seconds()
    while True:
        answer, wait = endpoint.step()
        if answer is not None:
            taken += not answer.why
            failed += [answer.why] if answer.why else []
        elif wait is None or clock.monotonic() + wait > until:
            return Sent(endpoint.name, taken, tuple(failed), endpoint.outbox.waiting)
        else:
            clock.sleep(wait)


class Notifier(Companion):
    """A context in which notices are sent as things happen. `say` is told, in one line for people, what hinders it.

    To enter it raises SettingsError with the line of what would keep an endpoint from working.
    """

    def __enter__(self) -> Self:
        for name in self._context.settings.notify:
            checked_channel(self._context, name)
        return super().__enter__()

    def settings_of(self, context: Context) -> object:
        """Return the tables of all endpoints."""
        return context.settings.notify

    def start(self, context: Context) -> _Running:
        """Begin to send."""
        return _Running(context, self._say)


class _Running:
    """The threads that send to the endpoints of one version of the settings."""

    def __init__(self, context: Context, say: Callable[[str], object]) -> None:
        self.context, self._say = context, say
        self._stop = threading.Event()
        self._said = ""
        self._woken: dict[str, threading.Event] = {}
        self._threads = [threading.Thread(target=self._lead, name="notices", daemon=True)]
        self._threads[0].start()

    def end(self) -> None:
        """Start nothing more."""
        self._stop.set()
        for woken in self._woken.copy().values():
            woken.set()
        for thread in self._threads:
            thread.join(_JOIN)

    def _lead(self) -> None:
        """Wait until no other process sends notices, then follow the log."""
        while not self._stop.is_set():
            try:
                with sending(self.context):
                    self._follow()
            except NotLeader:
                self._stop.wait(1)
            except (TeamMailError, OSError) as error:
                if (why := f"no notices are sent: {error}") != self._said:
                    self._say(why)
                self._said = why
                self._stop.wait(_PATIENCE)

    def _follow(self) -> None:
        endpoints, last = open_endpoints(self.context)
        self._woken = {endpoint.name: threading.Event() for endpoint in endpoints}
        threads = [
            threading.Thread(target=self._send, args=(each,), name=f"notices to {each.name}", daemon=True)
            for each in endpoints
        ]
        self._threads += threads
        for thread in threads:
            thread.start()
        for event in self.context.mailbox.log.follow(last, self._stop):
            for endpoint in endpoints:
                endpoint.add(event)
                self._woken[endpoint.name].set()

    def _send(self, endpoint: Endpoint) -> None:
        woken = self._woken[endpoint.name]
        while not self._stop.is_set():
            woken.clear()
            try:
                answer, wait = endpoint.step()
            except (TeamMailError, OSError) as error:
                self._say(f"notices to {endpoint.name}: {error}")
                self._stop.wait(_PATIENCE)
                continue
            if answer and answer.why:
                self._say(f"a notice to {endpoint.name} failed: {answer.why}")
            elif answer is None:
                woken.wait(min(_LOOK if wait is None else wait, _LOOK))
