"""Follows an ask that another process carries out: what that puts on record, as it comes, until it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ....mail.errors import TeamMailError
from ....mail.log.log import Log
from ....scheduler.kinds import Kind
from ....scheduler.liveness import is_led
from ....scheduler.state.fold import fact_of
from ....scheduler.state.form import counts
from .ask import Ask
from .hub import Hub

_LOOK = 0.2  # seconds between two looks at the log; the output itself is read by the hub


class Follower:
    """A thread that gives an ask the events of its dispatch after a seq.

    `gone` is called when the process that carries it out, `supervisor`, has ended before the dispatch.
    """

    def __init__(
        self, ask: Ask, log: Log, hub: Hub, *, after: int, supervisor: Mapping[str, Any], gone: Callable[[], object]
    ) -> None:
        self._ask, self._log, self._hub, self._after = ask, log, hub, after
        self._supervisor, self._gone = supervisor, gone
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"following {ask.id[-8:]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon, whatever becomes of the ask."""
        self._stop.set()

    def _run(self) -> None:
        is_over = False
        while not is_over and not self._stop.wait(_LOOK):
            is_gone = not is_led(self._supervisor)  # before the look, so that nothing it wrote last is missed
            with suppress(TeamMailError, OSError):
                is_over = self._take()
            if is_gone and not is_over and not is_led(self._supervisor) and not self._stop.is_set():
                self._gone()
                return
        self._ask.is_elsewhere = False

    def _take(self) -> bool:
        """Give the ask what is new; tell whether its dispatch has ended."""
        if self._log.head().seq <= self._after:
            return False
        for event in self._log.read(self._after):
            self._after = event.seq
            fact = fact_of(event._asdict())
            if fact.data.get("dispatch") != self._ask.id or not counts(fact):
                continue
            self._ask.hear([fact])
            self._hub.add(self._ask)
            if fact.kind == Kind.DISPATCH_FINISHED:
                return True
            if fact.kind == Kind.DISPATCH_RESUMED:
                self._supervisor = fact.data["supervisor"]
        return False
