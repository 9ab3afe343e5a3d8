"""The Runner of a team whose runs go on wherever a worker is: it offers each, waits in the log, and records its end.

All that a worker does to a run is to take it and to return what came of it. The leader alone writes how it ended, as of
a run of its own machine; so whatever a worker that was given up does later changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...mail.errors import UsageError
from ...mail.kinds import MailKind
from ...mail.log.blobs import BlobMissing
from ...mail.log.event import PRIORITIES, Draft, derived_id
from ...mail.process import shown
from ...personas.agent import Outcome
from ...personas.errors import RunLeft
from ...personas.kinds import OutcomeStatus
from ...personas.persona import Persona
from ...personas.running.folder import Unsent
from ...personas.spending.usage import Usage
from ..answers.questions import Question
from ..context import Context
from ..kinds import Kind
from ..progress import Listener, Progress
from ..runs.launch import Launch
from ..runs.local import LocalRunner, RunWork
from ..runs.preparation import timeout_of
from ..runs.progress import run_offered, run_taken, run_used
from ..runs.run import Batch, RunResult
from ..runs.watch import Watch
from .bases import offer_base
from .board import Board
from .handed import Handed, NotUnderstood, Returned
from .hints import Hints
from .live import Heard, put_whole
from .offers import Offer, offer_of

MOST_EPOCHS = 5  # workers that may be lost with one run, which may be what ends them
_LOOK = 0.5  # seconds between two looks whether a worker is there
_LATE = 30.0  # seconds for a worker beyond a run's timeout, in which it makes a workspace and captures the patch
_SCHEDULER = "scheduler"
_NOT_RETURNED = "its worker has not returned it in time"
LOCAL_ONLY = "given"  # the name of an agent that a program supplied, which is a function of this process


@dataclass
class RemoteRunner(LocalRunner):
    """The Runner that offers runs to workers; `watch` ends them, `listener` is told of starts and ends.

    An agent that a program supplied plays here all the same.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._board = Board(self.context.mailbox, self.context.clock)
        self.watch.hear(self._board.tell)
        self._hints = Hints(self.context.mailbox.log, self.context.clock, self.listener)
        self._record = replace(self._record, offered=_is_offered)
        self.watch.at_end(self._hints.leave)
        self._waits: dict[str, Launch] = {}
        self._listens = threading.Lock()
        self._is_listening = False

    def _work(self, launch: Launch, batch: Batch, head: int = 0) -> RunWork:
        if not _is_offered(launch):
            return super()._work(launch, batch, head)
        mail = tuple(self._mail.of(launch))
        self._listen(launch)
        return OfferedWork(self.context, self.watch, self._board, self._hints, self.listener, launch, batch, mail)

    def _to_its_end(self, work: RunWork, how: Callable[[], RunResult]) -> RunResult | None:
        """Put the end of a run on record; if what its worker returned cannot be, that it is lost."""
        try:
            return super()._to_its_end(work, how)
        except (UsageError, ValueError, OverflowError) as error:
            if not isinstance(work, OfferedWork):
                raise
            why = f"what its worker returned cannot be put on record: {error}"
            return super()._to_its_end(work, lambda: work.refused(why))

    def _listen(self, launch: Launch) -> None:
        """Have what this run prints and uses kept in its folder here, while it goes on."""
        with self._listens:
            self._waits[launch.run] = launch
            if not self._is_listening and (beside := self.context.mailbox.log.beside()):
                self._is_listening = True
                home, place = self.context.home, self.context.mailbox.log.place
                self.watch.at_end(Heard(home, place, self._epoch, self._take_usage).listen(beside))

    def _epoch(self, run: str) -> int | None:
        offer = self._board.offer(run) if run in self._waits else None
        return offer.epoch if offer else None

    def _take_usage(self, run: str, usage: Usage) -> None:
        """Hold what a run has used so far against the budgets."""
        launch = self._waits[run]
        usage = self.context.estimated(usage, launch.agent)
        self.listener(run_used(launch, usage))
        self.watch.tell(run, usage)


@dataclass
class OfferedWork:
    """One run that others do. `mail` are the ids of the messages for its prompt."""

    context: Context
    watch: Watch
    board: Board
    hints: Hints
    listener: Listener
    launch: Launch
    batch: Batch
    mail: tuple[str, ...] = ()
    _returned: Returned | None = field(default=None, init=False)
    _is_told: bool = field(default=False, init=False)
    _epoch: int = field(default=0, init=False)
    _is_held: bool = field(default=False, init=False)
    _since: float = field(default=0.0, init=False)  # by the clock of this host: since when that is so
    _asked: float | None = field(default=None, init=False)

    @property
    def folder(self) -> Path:
        """The folder that keeps the run's files here: `.team/runs/<run>`."""
        return self.context.home / "runs" / self.launch.run

    @property
    def read(self) -> tuple[str, ...]:
        """The ids of the mail that it was given."""
        return self._returned.read if self._returned else ()

    @property
    def unsent(self) -> tuple[Unsent, ...]:
        """The mail that could not be sent."""
        return self._returned.unsent if self._returned else ()

    @property
    def session(self) -> str:
        """The session of an earlier run that it went on with."""
        return self._returned.resumed if self._returned else ""

    @property
    def question(self) -> Question | None:
        """What it asks at its end: a mail of its own persona, or none."""
        asked = self._returned.asked if self._returned else None
        if asked is None or (asked.draft and not self._is_own(asked.draft, MailKind.SENT, self.launch.persona)):
            return None
        return Question(asked.text, asked.mail, asked.draft)

    def play(self) -> RunResult:
        """Offer it, and wait until it is returned. Raises RunLeft, LogError."""
        offer = self.board.offer(self.launch.run) or self._offer(1)
        self.listener(run_offered(self.launch))
        return self._waited(offer)

    def harvest(self) -> RunResult:
        """Go on waiting for what another leader has offered, or was about to offer. Raises as `play`."""
        self.board.read()
        return self.play()

    def refused(self, why: str) -> RunResult:
        """Return that it is lost; nothing of what its worker returned counts."""
        self._returned = None
        return _lost(why)

    def output(self, result: RunResult) -> Path:
        """Return the file with what it printed, as far as its worker told it."""
        del result
        return self.folder / "output.log"

    def reports(self, result: RunResult) -> list[Draft]:
        """Return the events of what it reported."""
        del result
        drafts = self._returned.reports if self._returned else ()
        return [draft for draft in drafts if self._is_own(draft, Kind.REPORT_GIVEN, _SCHEDULER)]

    def keep(self) -> str:
        """Return no words: its files are where it went on."""
        return ""

    def remove(self) -> None:
        """Remove nothing: its worker does."""

    def _is_own(self, draft: Draft, kind: str, sender: str) -> bool:
        """Tell whether an event that a worker would have written is one that its run may have."""
        return (draft.kind, draft.sender, draft.run) == (kind, sender, self.launch.run)

    def _offer(self, epoch: int, before: Offer | None = None) -> Offer | None:
        """Offer the run, and return what counts then, which may be what an earlier epoch returned."""
        launch, batch, context = self.launch, self.batch, self.context
        timeout = timeout_of(context, launch, batch.left)
        persona = context.roster.get(launch.persona)
        job = before.job if before else Handed.of(
            replace(launch, timeout=timeout), batch, mail=self.mail, team=context.roster.personas,
            settings=context.settings, session=context.session,
        ).put(context.mailbox.blobs)  # fmt: skip
        data: dict[str, Any] = {
            "persona": launch.persona, "epoch": epoch, "base": batch.base, "agent": launch.agent,
            "labels": [*(persona.labels if persona else ())], "priority": _priority(launch, persona),
            "timeout": timeout, "job": job, "bundle": before.bundle if before else self._bundle(),
        }  # fmt: skip
        self.hints.give(offer_of(launch.run, data))
        self._append(Kind.RUN_OFFERED, epoch, data)
        return self.board.offer(launch.run)

    def _bundle(self) -> str:
        """Make the commit that it starts from available to other hosts, if there are any. Raises NotPrepared."""
        if not self.batch.base or self.context.mailbox.log.beside() is None:
            return ""
        return offer_base(self.context, self.batch.base)

    def _append(self, kind: Kind, epoch: int, data: dict[str, Any]) -> None:
        """Write an event of an epoch, which is written once, and read what counts then."""
        own = derived_id(kind.removeprefix("run."), self.launch.run, str(epoch))
        self.context.append([Draft(kind, _SCHEDULER, run=self.launch.run, data=data, id=own)])
        self.board.read()

    def _waited(self, offer: Offer | None) -> RunResult:
        """Wait for the end of the run, and see to it that it comes. Raises RunLeft, LogError."""
        stop = self.watch.stop_of(self.launch.run, may_leave=True)
        while True:
            if offer is None:
                return _lost("its end was on record before")
            if offer.result:
                return self._taken_in(offer)
            if self.watch.leave and self.watch.leave.is_set() and not stop.is_set():
                raise RunLeft(self.launch.run)
            if stop.is_set() and not offer.recalled:
                self._recall(offer, "its scheduler ends it")
            elif result := self._looked_at(offer):
                return result
            else:
                self.board.wait(_LOOK)
            offer = self.board.offer(self.launch.run)

    def _looked_at(self, offer: Offer) -> RunResult | None:
        """Do what is due about an offer; return how the run ended if nobody returns it any more."""
        now = self.context.clock.monotonic()
        self.hints.tend(self.board.offers)
        if offer.epoch != self._epoch or offer.is_held != self._is_held:
            self._epoch, self._is_held, self._since = offer.epoch, offer.is_held, now
            if offer.is_held and offer.worker:
                self.listener(run_taken(self.launch, offer.worker))
        if offer.recalled and not offer.is_held:
            return self._ended(offer)
        if offer.why:
            return self._again(offer, offer.why)
        if offer.worker is None:
            self._tell_untaken(now - self._since)
        elif not self.board.is_present(offer.worker):
            gone = f"its worker is gone ({shown(offer.worker)})"
            return self._ended(offer) if offer.recalled else self._again(offer, gone)
        elif offer.recalled:
            self._asked = self._asked or now
            return self._ended(offer) if now - self._asked > _LATE else None
        elif now - self._since > self._longest(offer):
            self._recall(offer, _NOT_RETURNED)
        return None

    def _longest(self, offer: Offer) -> float:
        """Return the seconds after which a worker that has a run should have returned it."""
        return offer.timeout + self.context.settings.workspace.setup_timeout + _LATE

    def _recall(self, offer: Offer, why: str) -> None:
        self._append(Kind.RUN_RECALLED, offer.epoch, {"epoch": offer.epoch, "why": why})

    def _again(self, offer: Offer, why: str) -> RunResult | None:
        """Offer the run once more, unless too many workers have failed it."""
        name = f"{self.launch.name} (attempt {self.launch.attempt})"
        if offer.epoch >= MOST_EPOCHS:
            return _lost(f"{offer.epoch} workers did not return it; of the last one: {why}")
        self.listener(Progress(f"{name}: {why}; it is offered again"))
        self._offer(offer.epoch + 1, offer)
        return None

    def _tell_untaken(self, seconds: float) -> None:
        """Say once that nobody takes the run, and what would."""
        if self._is_told or seconds < self.context.settings.workers.patience:
            return
        self._is_told = True
        launch, persona = self.launch, self.context.roster.get(self.launch.persona)
        labels = ",".join(persona.labels) if persona else ""
        needed = f"agent {launch.agent}" + (f" and labels {labels}" if labels else "")
        command = f"team worker --agents {launch.agent}" + (f" --labels {labels}" if labels else "")
        text = f"{launch.name} (attempt {launch.attempt}): no worker with {needed} has taken it; it waits: {command}"
        self.listener(Progress(text))

    def _ended(self, offer: Offer) -> RunResult:
        """Return the end of a run that was recalled, and that nobody returns."""
        if offer.recalled == _NOT_RETURNED:
            return _lost(_NOT_RETURNED)
        outcome = Outcome(OutcomeStatus.STOPPED, None, 0.0, "ended from outside; its worker returned nothing")
        return RunResult(self.watch.judged(self.launch.run, outcome))

    def _taken_in(self, offer: Offer) -> RunResult:
        """Return what a worker returned, judged by what only the leader knows. Raises LogError."""
        blobs = self.context.mailbox.blobs
        try:
            self._returned = returned = Returned.parsed(blobs.read(offer.result))
            result, printed = returned.whole(blobs), blobs.read(returned.output) if returned.output else None
        except (BlobMissing, NotUnderstood) as error:
            return self.refused(f"what its worker returned cannot be read: {error}")
        if printed is not None:
            put_whole(self.folder, printed)
        usage = self.context.estimated(result.outcome.usage, self.launch.agent)
        return replace(result, outcome=self.watch.judged(self.launch.run, replace(result.outcome, usage=usage)))


def _is_offered(launch: Launch) -> bool:
    return launch.agent != LOCAL_ONLY


def _priority(launch: Launch, persona: Persona | None) -> str:
    """Return how soon a worker is to take a run: as its most urgent mail, if that is, else as its persona says."""
    normal = PRIORITIES.index("normal")
    mail = max((PRIORITIES.index(each.priority) for each in launch.mail), default=normal)
    own = persona.priority if persona else 0
    return PRIORITIES[mail if mail > normal else normal + (own > 0) - (own < 0)]


def _lost(why: str) -> RunResult:
    return RunResult(Outcome(OutcomeStatus.STOPPED, None, 0.0, f"lost: {why}"), given_up=True, lost=why)
