"""Follows an ask that another process carries out: what that puts on record, as it comes, until it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from ....mail.errors import TeamMailError
from ....mail.log.log import Log
from ....scheduler.kinds import Kind
from ....scheduler.state.fold import fact_of
from ....scheduler.state.form import counts
from .ask import Ask, Closing
from .hub import Hub

_LOOK = 0.2  # seconds between two looks at the log; the output itself is read by the hub
_GONE = "the process that carried it out has ended; try again"


class Follower:
    """A thread that gives an ask the events of its dispatch after a seq. `is_led` tells whether any may come."""

    def __init__(self, ask: Ask, log: Log, hub: Hub, after: int, is_led: Callable[[], bool]) -> None:
        self._ask, self._log, self._hub, self._after, self._is_led = ask, log, hub, after, is_led
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"following {ask.id[-8:]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon, whatever becomes of the ask."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK):
            is_led = self._is_led()  # before the look, so that nothing it wrote last is missed
            is_over = False
            with suppress(TeamMailError, OSError):
                is_over = self._take()
            if is_over or not is_led:
                self._ask.hear([] if is_over else [Closing(_GONE)])
                self._ask.is_elsewhere = False
                self._hub.add(self._ask)
                return

    def _take(self) -> bool:
        """Give the ask what is new; tell whether its dispatch has ended."""
        if self._log.head().seq <= self._after:
            return False
        for event in self._log.read(self._after):
            self._after = event.seq
            fact = fact_of(event._asdict())
            if fact.data.get("dispatch") == self._ask.id and counts(fact):
                self._ask.hear([fact])
                if fact.kind == Kind.DISPATCH_FINISHED:
                    return True
        return False
