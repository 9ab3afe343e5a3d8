"""Follows the log while runs are active, to end a run that a person stopped, sent too much mail, or used too much.

It has what tells these runs of others and brings them mail, which lives as long.

All watches of a process on one log share one thread and one file watcher: a user may have no more than 128 inotify
instances, and a program may carry out more dispatches than that at once.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ...mail.kinds import MailKind
from ...mail.log.disk import make_folder
from ...mail.log.event import Event
from ...mail.mailbox import Mailbox
from ...personas.agent import Outcome
from ...personas.kinds import OutcomeStatus
from ...personas.spending.usage import Usage
from ..answers.delivery import Delivery
from ..context import Context
from ..foretell.foreteller import Foreteller
from ..kinds import Budget, Kind, is_writer
from ..limits.budget import Overspent, Uses
from ..limits.ledger import Ledger


class Watch:
    """Follows the log for the runs of a batch, held as a context manager.

    `stop` ends the whole batch. Where there is `leave`, runs may outlive this process: once that is set too, those go
    that can, and the others are ended. `news` is called when something has come that may be a reason to start more,
    `on_stop` with the id of a dispatch whose end somebody asks for.
    """

    def __init__(
        self,
        context: Context,
        stop: threading.Event,
        leave: threading.Event | None = None,
        ledger: Ledger | None = None,
        news: Callable[[], object] = lambda: None,
        *,
        on_stop: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._most = context.settings.sprint.max_mails
        self._mailbox = context.mailbox
        self._key = (os.getpid(), context.home)  # a fork has none of the threads
        self.stop = stop
        self.leave = leave
        self._news, self._on_stop = news, on_stop
        self._stops: dict[str, threading.Event] = {}
        self._leaving: set[str] = set()  # runs that go on when this process ends
        self._flooded: set[str] = set()
        self._ledger = ledger or Ledger()
        self._overspent: dict[str, Overspent] = {}
        self._mails: Counter[str] = Counter()
        self._turn = threading.Lock()
        self._listeners: list[Callable[[Event], object]] = []
        self.foreteller, self.delivery = Foreteller(context), Delivery(context)
        self._ends: list[Callable[[], object]] = []
        self.refusals = threading.Event()  # set once a service has named a time, here or in another process

    def __enter__(self) -> Self:
        make_folder(self._key[1] / "mail")  # what is not there cannot be watched
        with _turn:
            if self._key not in _followers:
                _followers[self._key] = _Follower(self._mailbox)
            _followers[self._key].watches.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in self._ends:
            end()
        self.foreteller.close()
        with _turn:
            follower = _followers[self._key]
            follower.watches.remove(self)
            if not follower.watches:
                follower.stop.set()
                del _followers[self._key]

    def hear(self, listener: Callable[[Event], object]) -> None:
        """Have a listener told of each event, too, in the order of the log and before these runs are."""
        self._listeners.append(listener)

    def at_end(self, end: Callable[[], object]) -> None:
        """Have something done when it watches no more."""
        self._ends.append(end)

    @property
    def stopped(self) -> bool:
        """Whether the whole batch is to end."""
        return self.stop.is_set()

    def stop_of(self, run: str, *, may_leave: bool = False) -> threading.Event:
        """Return the event that ends a run; it is set when the whole batch is to end, too, unless the run may go on."""
        with self._turn:
            stop = self._stops.setdefault(run, threading.Event())
            if may_leave and self.leave:
                self._leaving.add(run)
        if self.stop.is_set():
            self.end()
        return stop

    def uses(self) -> Uses:
        """Return what counts for the budgets now."""
        return self._ledger.uses()

    def refused(self, run: str, persona: str, agent: str) -> Overspent | None:
        """Return the budget that does not let a run start; None counts it as started."""
        if over := self._ledger.start(run, persona, agent):
            self._overspent[run] = over
        return over

    def withdrawn(self, run: str) -> Overspent | None:
        """Return the budget by which a run must not begin though its start is on record, see `Ledger.withdraw`."""
        if over := self._ledger.withdraw(run):
            self._overspent[run] = over
        return over

    def refusal(self, run: str) -> Overspent | None:
        """Return the budget by which a run was refused, or ended."""
        return self._overspent.get(run)

    def take_over(self, run: str, persona: str, agent: str) -> None:
        """Hold a run that goes on already against the budgets."""
        self._ledger.take(run, persona, agent)

    def tell(self, run: str, usage: Usage, *, ended: bool = False) -> None:
        """Take what a run has used so far, and end those whose budget is spent."""
        over = self._ledger.tell(run, usage, ended=ended)
        with self._turn:
            self._overspent = over | self._overspent
            stops = [stop for run, stop in self._stops.items() if run in over]
        for stop in stops:
            stop.set()

    def judged(self, run: str, outcome: Outcome) -> Outcome:
        """Return a run's outcome, with status `quota` if it was stopped because it exceeded its quota.

        That of its agent for the day is no fault of the run: it is `limited`.
        """
        if run in self._flooded and outcome.status == OutcomeStatus.STOPPED:
            detail = f"more than {self._most} mails in one run (max_mails)"
            return replace(outcome, status=OutcomeStatus.QUOTA, detail=detail)
        over = self._overspent.get(run)
        if over and outcome.status == OutcomeStatus.STOPPED and not self.stopped:
            if over.budget == Budget.AGENT:  # another agent may go on with it
                return replace(outcome, status=OutcomeStatus.LIMITED, detail=over.text)
            own = over.budget == Budget.RUN  # another try would be ended in the same way
            detail = f"{over.text}; raise [budget] run in team.toml" if own else over.text
            return replace(outcome, status=OutcomeStatus.QUOTA, detail=detail, hopeless=own)
        return outcome

    def end(self) -> None:
        """End the batch: all of its runs, or with `leave` set, those that cannot go on without this process."""
        self.stop.set()
        self._news()
        left = self._leaving if self.leave and self.leave.is_set() else ()
        with self._turn:
            for run, stop in self._stops.items():
                if run not in left:
                    stop.set()

    def on_event(self, event: Event) -> None:
        """Stop a run if this event asks for its end, or is one mail too many; note that a service takes no more."""
        for listener in self._listeners:
            listener(event)
        self.foreteller.on_event(event)
        self.delivery.on_event(event)
        if event.kind in _NEWS or (event.kind in _ENDS and event.data.get("task")):
            self._news()
        if event.kind == Kind.RUN_STOPPED and event.ref and is_writer(event.kind, event.sender, event.run):
            self.stop_of(event.ref).set()
        elif event.kind == Kind.DISPATCH_STOPPED and is_writer(event.kind, event.sender, event.run):
            self._on_stop(str(event.data.get("dispatch")))
        elif event.kind == Kind.RUN_FINISHED and event.data.get("until"):
            self.refusals.set()
        elif event.kind == MailKind.SENT and event.run in self._stops:
            self.count(str(event.run))

    def count(self, run: str, mails: int = 1) -> None:
        """Count mails of a run, also those that it sent before this process watched."""
        self._mails[run] += mails
        if self._most and self._mails[run] > self._most:
            self._flooded.add(run)
            self._stops[run].set()


@dataclass
class _Follower:
    """One thread that follows a log and tells its watches of each event, until `stop` is set."""

    mailbox: Mailbox
    watches: list[Watch] = field(default_factory=list[Watch])
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        events = self.mailbox.log.follow(stop=self.stop)  # from here on, so that no event falls before the thread

        def follow() -> None:
            for event in events:
                for watch in [*self.watches]:
                    watch.on_event(event)

        threading.Thread(target=follow, name="watch", daemon=True).start()


_NEWS = {
    MailKind.SENT, Kind.RUN_STOPPED, Kind.PATCH_APPROVED, Kind.SCHEDULER_PAUSED, Kind.SCHEDULER_RESUMED,
    Kind.CLAIM_RELEASED, Kind.CLAIM_EXPIRED, Kind.GITHUB_PULL,
}  # fmt: skip
_ENDS = {Kind.RUN_FINISHED, Kind.RUN_LOST}  # of a task, which may have left mail unread that was in its prompt
_turn = threading.Lock()
_followers: dict[tuple[int, Path], _Follower] = {}
