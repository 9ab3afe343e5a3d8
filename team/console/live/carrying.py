"""Carries out an ask: a dispatch in a thread of its own, whose events go to the ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ....mail.errors import TeamMailError
from ....mail.log.event import Event
from ....scheduler.dispatch.output import DispatchOutput
from ....scheduler.progress import Progress
from ....scheduler.tasks.task import Task
from ...dispatcher import DispatchBegun, ParallelDispatcher
from .ask import Ask, Closing
from .following import Follower
from .hub import Hub

GRACE = 30.0  # seconds after which an ask ends whose viewers have all left, if it is to end with them


class Carrier:
    """The dispatch of an ask. `detached` ones outlive their viewers, and this process as far as their agents can.

    `follower` follows one that another process carries out.
    """

    def __init__(self, ask: Ask, dispatcher: ParallelDispatcher, hub: Hub, *, grace: float = GRACE) -> None:
        self.ask, self._hub, self._grace = ask, hub, grace
        self._dispatcher = dispatcher
        self._begun: Future[None] = Future()
        self._thread: threading.Thread | None = None
        self.follower: Follower | None = None
        dispatcher.listener = self._told
        ask.on_step = self._look

    @property
    def is_detached(self) -> bool:
        """Whether it goes on without viewers."""
        return self._dispatcher.leaving is not None

    @property
    def is_running(self) -> bool:
        """Whether its dispatch goes on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, tasks: Sequence[Task]) -> None:
        """Start the dispatch; return once it is on record. Raises what the dispatch raises before."""
        self._go(lambda: self._dispatcher.dispatch(tasks, self.ask.id, self._heard))

    def resume(self, *, wait: bool = True) -> None:
        """Go on with the dispatch, as `start` does; without `wait`, whatever is wrong is told by the ask."""
        if self.follower:
            self.follower.stop()
            self.follower = None
        self.ask.is_elsewhere = False
        self._go(lambda: self._dispatcher.resume(self.ask.id, self._heard), wait=wait)

    def end(self) -> None:
        """End all of its runs, and start no more."""
        self._dispatcher.end()

    def leave(self) -> None:
        """End it together with this process: what is detached goes on as far as it can."""
        self._dispatcher.leave()

    def cancel(self, task: str) -> bool:
        """Cancel a task that has not started; tell whether it is one."""
        return self._dispatcher.cancel(task)

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end of its thread."""
        if self._thread:
            self._thread.join(seconds)

    def _go(self, work: Callable[[], DispatchOutput], *, wait: bool = True) -> None:
        self._begun = Future()
        self._thread = threading.Thread(target=self._run, args=(work, wait), name=f"ask {self.ask.id[-8:]}")
        self._thread.start()
        if wait:
            self._begun.result()

    def _run(self, work: Callable[[], DispatchOutput], is_awaited: bool) -> None:
        why = ""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - who waits for the beginning, or the ask, is told
            if not self._begun.done():
                self._begun.set_exception(error)
                if is_awaited:
                    return
            why = str(error) if isinstance(error, TeamMailError) else f"{type(error).__name__}: {error}"
        left = self._dispatcher.leaving is not None and self._dispatcher.leaving.is_set()
        if not left:
            self.ask.hear([Closing(why)])
        self._hub.add(self.ask)

    def _told(self, progress: Progress) -> None:
        if isinstance(progress, DispatchBegun) and not self._begun.done():
            self._begun.set_result(None)

    def _heard(self, events: Sequence[Event]) -> None:
        self.ask.hear(events)
        self._hub.add(self.ask)

    def _look(self) -> None:
        """End a dispatch that is to end with its viewers once they have been gone for a while."""
        left = self.ask.left_at
        if left is not None and not self.is_detached and time.monotonic() - left > self._grace:
            self.ask.left_at = None
            self.end()
