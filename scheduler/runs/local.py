"""Runs on this machine: a private clone, an agent in it, and a patch of what the agent changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ...mail.errors import TeamMailError
from ...mail.letter import Letter
from ...mail.log.disk import reason_of
from ...mail.log.event import Draft
from ...personas.agent import Outcome
from ...personas.errors import NotPrepared, RunLeft
from ...personas.kinds import OutcomeStatus
from ...personas.running.folder import Unsent
from ...personas.workspace import Captured
from ..answers.questions import Question
from ..context import Context
from ..limits.budget import Overspent
from ..progress import Listener, Progress, silent
from .launch import Launch
from .leftover import about_kept, about_unsent
from .mail import RunMail
from .progress import run_ended, run_left, run_started, run_taken_over
from .record import RunRecord
from .run import Batch, Runner, RunResult
from .watch import Watch
from .work import Work

RunnerFactory = Callable[[Context, Watch, Listener], Runner]


class RunWork(Protocol):
    """The work of one run, wherever it is done; see `Work` for what its attributes mean."""

    @property
    def launch(self) -> Launch:
        """What was launched."""
        ...

    @property
    def read(self) -> Sequence[str]:
        """The ids of the mail that it was given."""
        ...

    @property
    def unsent(self) -> Sequence[Unsent]:
        """The mail that could not be sent."""
        ...

    @property
    def question(self) -> Question | None:
        """What it asks at its end."""
        ...

    @property
    def session(self) -> str:
        """The session that it went on with."""
        ...

    def play(self) -> RunResult:
        """Have it done. Raises RunLeft."""
        ...

    def harvest(self) -> RunResult:
        """Wait for the end of what another scheduler had begun. Raises RunLeft."""
        ...

    def output(self, result: RunResult) -> Path:
        """Return the file with what it printed."""
        ...

    def reports(self, result: RunResult) -> list[Draft]:
        """Return the events of what it reported."""
        ...

    def keep(self) -> str:
        """Keep its files, because they could not be captured; return words for that."""
        ...

    def remove(self) -> None:
        """Remove its workspace: its end is on record."""
        ...


@dataclass
class LocalRunner:
    """The Runner that starts agents as the context says. `watch` ends runs; `listener` is told of starts and ends."""

    context: Context
    watch: Watch
    listener: Listener = silent
    _record: RunRecord = field(init=False)
    _mail: RunMail = field(init=False)

    def __post_init__(self) -> None:
        self._record = RunRecord(self.context.append, self.context.mailbox.blobs)
        self._mail = RunMail(self.context)

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        """Carry out a launch, as `Runner.run` says."""
        if self.watch.stopped:
            return None
        if over := self.watch.refused(launch.run, launch.persona, launch.agent):
            return self._refuse(launch, over)
        begun = list[int]()
        self._mail.choose(launch, lambda mail: begun.append(self._record.started(launch, batch, mail)))
        if over := self.watch.withdrawn(launch.run):
            self._record.withdrawn(launch, over)
            self._mail.forget(launch)
            return self._refuse(launch, over)
        self.listener(run_started(launch))
        work = self._work(launch, batch, begun[-1])
        return self._to_its_end(work, work.play)

    def harvest(self, launch: Launch, batch: Batch, *, stop: bool = False) -> RunResult | None:
        """Take over a run whose scheduler is gone, as `Runner.harvest` says."""
        if stop:
            self.watch.stop_of(launch.run).set()
        self.watch.take_over(launch.run, launch.persona, launch.agent)
        self.listener(run_taken_over(launch))
        self.listener(run_started(launch))
        work = self._work(launch, batch)
        return self._to_its_end(work, work.harvest)

    def _refuse(self, launch: Launch, over: Overspent) -> None:
        self.listener(Progress(f"{launch.name} (attempt {launch.attempt}): not started, {over.text}"))

    def _work(self, launch: Launch, batch: Batch, head: int = 0) -> RunWork:
        """Return what carries out a run. `head` is the seq of the last event before it, 0 if that is not known."""
        reporter = launch.persona in self.context.settings.reporters
        return Work(self.context, self.watch, self._mail, self.listener, launch, batch, reporter, head=head)

    def _to_its_end(self, work: RunWork, how: Callable[[], RunResult]) -> RunResult | None:
        """Do the work of a run and put its end on record; only then is its workspace removed."""
        launch = work.launch
        try:
            result = self._result(work, how)
            self.watch.tell(launch.run, result.outcome.usage, ended=True)
            mails = [*self._mails(work, result.captured), *work.reports(result)]
            asked = work.question.mail if work.question else ""
            self._record.ended(
                launch, result, read=work.read, output=work.output(result), mails=mails, asked=asked,
                resumed=work.session,
            )  # fmt: skip
        except RunLeft:
            self.listener(run_left(launch))
            return None
        finally:
            self._mail.forget(launch)
        work.remove()
        self.listener(run_ended(launch, result))
        return result

    def _result(self, work: RunWork, how: Callable[[], RunResult]) -> RunResult:
        result = carried_out(work, how)
        if result.outcome.status == OutcomeStatus.STOPPED and self.watch.stopped:
            return replace(result, given_up=True)
        if result.given_up:
            return result
        return replace(result, outcome=_with_notes(result.outcome, result.captured))

    def _mails(self, work: RunWork, captured: Captured | None) -> list[Draft]:
        """Write about what the run left: to the human about commits, to its persona about unsent mail; what it asks."""
        mailbox, letters = self.context.mailbox, list[Letter]()
        if captured and captured.asks:
            letters.append(about_kept(work.launch, captured, self.context.settings.team.human))
        if work.unsent and work.launch.persona in mailbox.directory.names:
            letters.append(about_unsent(work.launch, work.unsent))
        drafts = [letter.draft(mailbox.directory, mailbox.blobs) for letter in letters]
        return [*drafts, work.question.draft] if work.question and work.question.draft else drafts


def carried_out(work: RunWork, how: Callable[[], RunResult]) -> RunResult:
    """Return what comes of a run, also of one that could not be prepared or captured. Raises RunLeft."""
    try:
        return how()
    except RunLeft:
        raise
    except NotPrepared as error:
        return RunResult(Outcome(OutcomeStatus.SETUP, None, 0.0, str(error)))
    except (TeamMailError, OSError) as error:
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        return RunResult(Outcome(OutcomeStatus.FAILED, None, 0.0, f"{why}{work.keep()}"))


def _with_notes(outcome: Outcome, captured: Captured | None) -> Outcome:
    """Add to a run's outcome what is peculiar about its patch, and what of its work could not be captured."""
    if captured is None:
        return outcome
    words = [outcome.detail, *captured.notes]
    words += [f"not captured: {'; '.join(captured.trouble)}"] if captured.trouble else []
    return replace(outcome, detail="; ".join(words))
