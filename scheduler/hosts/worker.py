"""Takes runs that are offered, carries them out on this machine, and returns what came of them.

A worker writes two events of a run: that it has taken it, and what it returns. Both have ids derived from the run and
its epoch, so they are written once however often that is tried; what the run itself sends is mail as on one machine.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from ...mail.errors import InDoubt, LockTimeout, LogUnavailable, TeamMailError
from ...mail.log.blobs import BlobMissing
from ...mail.log.event import Draft, Event, derived_id
from ...mail.process import alive, is_here, myself
from ...personas.agent import Outcome
from ...personas.agents.result import printed
from ...personas.kinds import OutcomeStatus
from ...personas.running.sweep import sweep
from ...personas.running.warden_process import leased
from ..context import Context
from ..kinds import Kind
from ..progress import Listener, Progress, silent
from ..runs.local import carried_out
from ..runs.run import RunResult
from ..runs.watch import Watch
from ..runs.work import Work
from .bases import fetch_base
from .board import Board
from .given import GivenMail, context_of
from .handed import Asked, Handed, NotUnderstood, Returned
from .hints import Hints
from .live import Telling
from .offers import Offer
from .queue import Hint

RETURNED, GIVEN_BACK = "returned", "given back"
_LOOK = 1.0  # seconds between two looks for what nobody told of
_PAUSE = 0.5  # seconds between two tries to write what came of a run
_PATIENCE = 300.0  # seconds for a server that is away: what a run has done must not be lost with it
_GRACE = 60.0  # seconds beyond a run's timeout in which that is tried
_DETAIL = 300  # characters
_LATE = 2.0  # seconds after which an offer is taken to which no hint leads
_SOON = 0.5  # seconds between a hint and its offer
_USELESS = 4  # hints that may lead to nothing before the log is looked at: any worker can put some there
_URGENCY = {"urgent": 0, "high": 1, "normal": 2, "low": 3}


@dataclass
class HostWorker:
    """One worker, which may be used once.

    Attributes:
        context: The team on this host.
        agents: The agents that it plays.
        labels: What it says of itself: it takes the runs that ask for no other labels.
        slots: How many runs go on at once; of one agent, as many as its table on this host says.
        drain: Whether it ends once nothing that it could take is offered.
        listener: Is told what it takes and what comes of it.
    """

    context: Context
    agents: frozenset[str]
    labels: frozenset[str] = frozenset()
    slots: int = 1
    drain: bool = False
    listener: Listener = silent
    counts: Counter[str] = field(default_factory=Counter[str])
    _stop: threading.Event = field(default_factory=threading.Event)
    _cut: threading.Event = field(default_factory=threading.Event)
    _going: dict[str, tuple[Offer, Future[None]]] = field(default_factory=dict[str, "tuple[Offer, Future[None]]"])

    def __post_init__(self) -> None:
        self._me = myself()
        self._board = Board(self.context.mailbox, self.context.clock)
        self._watch = Watch(self.context, self._cut)
        self._watch.hear(self._board.tell)
        self._watch.hear(self._heard)
        self._hints = Hints(self.context.mailbox.log, self.context.clock, self.listener)
        self._seen: dict[tuple[str, int], float] = {}  # since when an open offer is known here
        self._passed_over: set[str] = set()  # runs that are not for this worker
        self._followed: dict[str, Hint] = {}  # by run

    def run(self) -> Counter[str]:
        """Work until `end`, or with `drain` until nothing is offered; return how many runs ended how. Raises LogError.

        What a worker of this folder had taken that is gone by now is given back first.
        """
        self.context.mailbox.log.bear(_PATIENCE)
        told = {"is": "worker", "slots": self.slots, "agents": sorted(self.agents), "labels": sorted(self.labels)}
        present = self.context.mailbox.log.beat(self._me, told)
        self._telling = Telling(self.context.mailbox.log.beside(), self.context.mailbox.log.place)
        with (
            ExitStack() as last,
            present,
            self._watch,
            leased(),
            self._telling,
            ThreadPoolExecutor(self.slots, thread_name_prefix="slot") as threads,
        ):
            last.callback(self.context.mirror.settle)
            try:
                self.listener(Progress(self._takes()))
                self._give_up_own()
                self._work(threads)
            except BaseException:
                self._end_runs()
                raise
            finally:
                self._hints.leave()
        return self.counts

    def _takes(self) -> str:
        """Say what this worker takes."""
        labels = f"labels {', '.join(sorted(self.labels))}" if self.labels else "no labels"
        until = "until nothing is offered" if self.drain else "until you end it"
        return f"takes runs of {', '.join(sorted(self.agents))}, with {labels}, {self.slots} at once, {until}"

    def end(self) -> None:
        """Take nothing more; what goes on goes on to its end. A second call ends it, and gives it back."""
        if self._stop.is_set():
            self._end_runs()
        elif self._going:
            self._tell_of_waiting()
        self._stop.set()
        self._board.wake()

    def _tell_of_waiting(self) -> None:
        self.listener(Progress(f"no more runs are taken; waiting for {len(self._going)}; again to end them"))

    def _end_runs(self) -> None:
        self._stop.set()
        self._cut.set()
        self._watch.end()

    def _work(self, threads: ThreadPoolExecutor) -> None:
        while True:
            for run, (_, future) in [*self._going.items()]:
                if future.done():
                    del self._going[run]
                    if hint := self._followed.pop(run, None):
                        self._hints.done(hint)
                    future.result()
            if self._stop.is_set():
                if not self._going:
                    return
            elif not self._filled(threads) and self.drain and not self._going:
                return
            self._board.wait(_LOOK)

    def _filled(self, threads: ThreadPoolExecutor) -> bool:
        """Take what there is room for, as `_fill`; while the server is away, runs go on and nothing is taken."""
        try:
            return self._fill(threads)
        except (LogUnavailable, InDoubt, LockTimeout) as error:
            if not self._going:
                raise
            self.listener(Progress(f"nothing is taken for now: {error}"))
            return True

    def _fill(self, threads: ThreadPoolExecutor) -> bool:
        """Take what there is room for; tell whether there was anything."""
        any_taken = False
        while len(self._going) < self.slots and not self._stop.is_set() and (offer := self._next()):
            if taken := self._take(offer):
                any_taken = True
                future = threads.submit(self._carry_out, taken)
                self._going[taken.run] = taken, future
                if self._stop.is_set():  # by `end`, which did not see this one
                    self._tell_of_waiting()
                future.add_done_callback(lambda _: self._board.wake())
                self._look_at(taken.run)  # it may have been recalled before it was known here
            elif hint := self._followed.pop(offer.run, None):
                self._hints.done(hint)
        return any_taken

    def _next(self) -> Offer | None:
        """Return what to take next: what a hint names, or else the most urgent that nobody follows a hint to."""
        room = frozenset(agent for agent in self.agents if self._has_room(agent))
        for _ in range(_USELESS):
            if not room or not (hint := self._hints.next(room, self.labels)):
                break
            offer = self._named(hint)
            if offer and offer.is_open and offer.fits(room, self.labels) and offer.run not in self._passed_over:
                self._followed[offer.run] = hint
                return offer
            self._hints.done(hint)
        now, before = self.context.clock.monotonic(), self._seen
        fits = [each for each in self._board.offers() if each.is_open and each.fits(self.agents, self.labels)]
        fits = [each for each in fits if each.run not in self._passed_over]
        self._seen = {(each.run, each.epoch): before.get((each.run, each.epoch), now) for each in fits}
        late = _LATE if self._hints.are_given else 0.0
        fits = [each for each in fits if each.agent in room and now - self._seen[each.run, each.epoch] >= late]
        return min(fits, key=lambda each: (_URGENCY[each.priority], each.seq), default=None)

    def _named(self, hint: Hint) -> Offer | None:
        """Return the offer that a hint names; it may be told of before it is in the log, but not for long."""
        clock, until = self.context.clock, self.context.clock.monotonic() + _SOON
        while True:
            self._board.read()
            offer = self._board.offer(hint.run)
            if offer and offer.epoch >= hint.epoch:
                return offer if offer.epoch == hint.epoch else None
            if self._board.is_over(hint.run) or clock.monotonic() > until:
                return None
            self._board.wait(_SOON / 10)

    def _has_room(self, agent: str) -> bool:
        table = self.context.settings.agents.get(agent)
        most = table.max_parallel if table and table.max_parallel else self.slots
        return sum(offer.agent == agent for offer, _ in self._going.values()) < most

    def _take(self, offer: Offer) -> Offer | None:
        """Take an offer; None if somebody else was first, or it is no more."""
        own = derived_id("taken", offer.run, str(offer.epoch))
        data = {"epoch": offer.epoch, "worker": self._me}
        self.context.mailbox.log.append([Draft(Kind.RUN_TAKEN, _SCHEDULER, run=offer.run, data=data, id=own)])
        self._board.read()
        now = self._board.offer(offer.run)
        return now if now and self._is_mine(now) and now.epoch == offer.epoch else None

    def _is_mine(self, offer: Offer) -> bool:
        return offer.is_held and offer.worker == self._me

    def _heard(self, event: Event) -> None:
        """End a run that is recalled, offered to others, or over."""
        if event.run in self._going:
            self._look_at(event.run)

    def _look_at(self, run: str) -> None:
        offer = self._board.offer(run)
        if offer is None or not self._is_mine(offer) or offer.recalled:
            self._watch.stop_of(run).set()

    def _carry_out(self, offer: Offer) -> None:
        """Carry out a run that was taken, and return what came of it."""
        clock = self.context.clock
        until = clock.monotonic() + offer.timeout + self.context.settings.workspace.setup_timeout + _GRACE
        try:
            handed = Handed.parsed(self.context.mailbox.blobs.read(offer.job))
        except (BlobMissing, NotUnderstood) as error:
            self._passed_over.add(offer.run)  # another worker may know more
            self._give_back(offer, f"what was offered cannot be read: {error}", until)
            return
        context = context_of(self.context, handed)
        self.listener(Progress(f"{handed.launch.name}: taken (run {offer.run[:8]}, epoch {offer.epoch})"))
        mail = GivenMail(context, handed.mail)
        work = Work(context, self._watch, mail, silent, handed.launch, handed.batch, handed.reports)
        self._telling.begin(offer.run, offer.epoch, work.folder)
        result = carried_out(work, lambda: self._played(work, offer))
        self._telling.end(offer.run)
        if self._cut.is_set():
            work.remove()
            self.context.mirror.settle()  # another worker of this folder may take it at once
            self._give_back(offer, "its worker was ended", until)
        else:
            self._return(offer, lambda: self._document(work, result), until)
            self._count(RETURNED, f"{handed.launch.name}: {result.outcome.status}, {result.outcome.detail}")
            work.remove()

    def _played(self, work: Work, offer: Offer) -> RunResult:
        """Fetch what the run starts from, and let it play. Raises NotPrepared, RunLeft."""
        if offer.base:
            fetch_base(work.context, offer.base, offer.bundle)
        return work.play()

    def _document(self, work: Work, result: RunResult) -> str:
        """Store what came of a run, and return the name of the blob. Raises LogError."""
        question, blobs, output = work.question, self.context.mailbox.blobs, printed(work.output(result))
        try:
            return Returned.of(
                blobs, result, output, read=tuple(work.read), unsent=tuple(work.unsent),
                asked=Asked(question.text, question.mail, question.draft) if question else None,
                resumed=work.session, reports=tuple(work.reports(result)),
            ).put(blobs)  # fmt: skip
        except ValueError as error:  # half a character, which JSON can hold and UTF-8 cannot
            detail = f"its result cannot be kept: {error}"[:_DETAIL]
            return Returned.of(blobs, RunResult(Outcome(OutcomeStatus.FAILED, None, 0.0, detail)), output).put(blobs)

    def _give_back(self, offer: Offer, why: str, until: float) -> None:
        self._return(offer, lambda: "", until, why)
        self._count(GIVEN_BACK, f"run {offer.run[:8]}: given back, {why}")

    def _return(self, offer: Offer, result: Callable[[], str], until: float, why: str = "") -> None:
        """Write what came of a run, with the same id until the time is over: then nobody waits for it any more."""
        own, worker = derived_id("returned", offer.run, str(offer.epoch)), offer.worker or self._me
        while True:
            try:
                data: Mapping[str, Any] = {"epoch": offer.epoch, "worker": worker, "result": result(), "why": why}
                draft = Draft(Kind.RUN_RETURNED, _SCHEDULER, run=offer.run, data={**data}, id=own)
                self.context.mailbox.log.append([draft])
            except (LogUnavailable, InDoubt, LockTimeout) as error:
                if self._is_anothers(offer):
                    return
                if self.context.clock.monotonic() > until:
                    raise
                self.listener(Progress(f"run {offer.run[:8]}: {error}; tried again"))
                self._cut.wait(_PAUSE)
            else:
                return

    def _is_anothers(self, offer: Offer) -> bool:
        """Tell whether a run that was taken is over or offered again: the server then refuses what is returned."""
        with suppress(LogUnavailable, InDoubt, LockTimeout):
            self._board.read()
            now = self._board.offer(offer.run)
            return now is None or (now.epoch, now.worker) != (offer.epoch, offer.worker)
        return False

    def _give_up_own(self) -> None:
        """Give back what a worker of this folder had taken and is not there any more, and end what is left of it."""
        runs = self.context.home / "runs"
        for offer in self._board.offers():
            worker = offer.worker
            if offer.is_held and worker and is_here(worker) and not alive(worker) and (runs / offer.run).is_dir():
                sweep([offer.run], self.context.home)
                with suppress(OSError, TeamMailError):
                    self.context.mirror.remove(offer.run)
                self._give_back(offer, "its worker was killed", self.context.clock.monotonic())

    def _count(self, what: str, text: str) -> None:
        self.counts[what] += 1
        self.listener(Progress(text))


_SCHEDULER = "scheduler"
