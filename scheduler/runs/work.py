"""One run on this machine: its workspace, its agent in it, and what is captured and judged at its end."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ...mail.errors import TeamMailError
from ...mail.log.blobs import BlobMissing
from ...mail.log.event import Draft, Event
from ...personas.agent import Job, Outcome
from ...personas.agents.command import CommandAgent
from ...personas.agents.result import log_of
from ...personas.agents.verdict import with_last_words
from ...personas.errors import GitError, RunCut
from ...personas.kinds import OutcomeStatus
from ...personas.prompt import Situation, written_prompt
from ...personas.running.folder import PREVIOUS, RunFolder, Unsent
from ...personas.running.left import LeftRun, has_left, read_left, write_left
from ...personas.running.mail_process import MailProcess
from ...personas.running.process import read_usage
from ...personas.running.sweep import sweep
from ...personas.setup.slots import Slot
from ...personas.spending.usage import UNKNOWN, Usage, whole
from ...personas.streams.stream import read_stream
from ...personas.workspace import Captured, Workspace
from ..answers.delivery import taken_into_account
from ..answers.questions import Asker, Question, asked_of, last_question, own_question, sent_by
from ..answers.resuming import FRESH, Resumption, resumption
from ..claims.barring import of_others
from ..context import Context
from ..foretell.looker import OpenRun
from ..foretell.taking import base_of, taken_in
from ..progress import Listener, Progress
from ..state.sprints import SCHEDULER_GONE
from .conflict import ConflictFiles
from .judge import Evidence, judged, limited, play, storable
from .launch import Launch
from .leftover import reports
from .mail import RunMail, quiet_type
from .preparation import FOLDER as SETUP
from .preparation import UNPREPARED, Ready, RunPreparation, not_prepared, slot_of, timeout_of
from .progress import run_placed, run_used
from .run import Batch, RunResult
from .watch import Watch


@dataclass
class Work:
    """One run.

    `read` are the ids of the mail that it was given, `head` is the seq of the last event before it, `ready` what its
    workspace was prepared with, `conflict` what it was given of a conflict, `resumption` the session it goes on with,
    and `reporter` tells whether what it finds is a report; once it has ended, `unsent` is the mail in its outbox that
    was not sent, and `question` what it asks.
    """

    context: Context
    watch: Watch
    mail: RunMail
    listener: Listener
    launch: Launch
    batch: Batch
    reporter: bool = False
    read: list[str] = field(default_factory=list[str])
    head: int = 0
    ready: Ready = UNPREPARED
    unsent: list[Unsent] = field(default_factory=list[Unsent])
    question: Question | None = None
    resumption: Resumption = FRESH
    conflict: ConflictFiles = field(init=False)

    def __post_init__(self) -> None:
        self.conflict = ConflictFiles(self.context, None)

    @cached_property
    def folder(self) -> Path:
        """The folder that keeps the run's files: `.team/runs/<run>`."""
        return self.context.home / "runs" / self.launch.run

    @property
    def session(self) -> str:
        """The session of an earlier run that it goes on with, "" if none."""
        return self.resumption.session

    def output(self, result: RunResult) -> Path:
        """Return the file with what the run printed; if it came no further than its set-up, that is what this did."""
        folder = self.folder / SETUP if result.outcome.status == OutcomeStatus.SETUP else self.folder
        return folder / "output.log"

    def play(self) -> RunResult:
        """Make a workspace and let the agent play in it. Raises RunLeft if the run goes on without this process."""
        workspace = self._made()
        with slot_of(self.context, self.folder) as slot:
            if workspace:
                self._prepare(workspace, slot)
                if self.ready.prepared.failed and (failure := self.ready.prepared.outcome):
                    return RunResult(replace(failure, seconds=0.0), prepared=self.ready.prepared)
            try:
                outcome = self._played(workspace, slot)
            except RunCut as cut:
                return self._lost(workspace, str(cut), read_usage(self.folder))
        return self._concluded(workspace, outcome)

    def _lost(self, workspace: Workspace | None, why: str, used: Usage) -> RunResult:
        """Give up a run that did not end by itself, with what it changed, and used as far as that is known."""
        self.read.clear()
        used = whole(used, read_stream(log_of(self.folder)).usage)
        least = used if used == UNKNOWN else replace(used, partial=True)
        result = self._concluded(workspace, Outcome(OutcomeStatus.STOPPED, None, 0.0, f"lost: {why}", usage=least))
        return replace(result, given_up=True, lost="" if self.watch.stopped else why)

    def _prepare(self, workspace: Workspace, slot: Slot) -> None:
        preparation, stop = RunPreparation(self.context, self.listener), self.watch.stop_of(self.launch.run)
        self.ready = preparation.prepare(self.launch, workspace, self.folder, slot, self.batch.left, stop)

    def _played(self, workspace: Workspace | None, slot: Slot) -> Outcome:
        place = self._place(workspace)
        (folder := RunFolder(place)).make()
        if self.launch.previous:
            with suppress(BlobMissing, OSError):  # it is done without what is lost
                (folder.path / PREVIOUS).write_bytes(self.context.mailbox.blobs.read(self.launch.previous.sha256))
        self.head = self.head or self.context.mailbox.log.head().seq
        self._resume(self.mail.of(self.launch))
        job = replace(self._job(place), slot=slot.number, port=slot.port, resume=self.resumption.session)
        mail, agent = self._mail_process(place), self.context.agents[self.launch.agent]
        with self._reached(workspace):
            if isinstance(agent, CommandAgent):
                return play(agent, replace(job, mail=mail.command))
            with mail:
                return play(agent, job)

    def _resume(self, given: Sequence[str]) -> None:
        """Find out which session the run goes on with; say so if there is one, and it cannot."""
        if (launch := self.launch).assignment or self.context.settings.sprint.resume == "never":
            return
        mail = [self.context.mailbox.read(launch.persona, mail, peek=True) for mail in given]
        self.resumption = resumption(self.context, launch.persona, launch.agent, launch.sprint, mail)
        if self.resumption.why_not:
            self.listener(Progress(f"{launch.name}: starts without its earlier session: {self.resumption.why_not}"))

    @contextmanager
    def _reached(self, workspace: Workspace | None) -> Generator[None]:
        """Have mail brought to the run while it goes on, and the run of a sprint told whom it meets."""
        delivery = self.watch.delivery
        delivery.begin(self.launch.run, self.launch.persona, self._place(workspace))
        try:
            with self._foretold(workspace):
                yield
        finally:
            delivery.end(self.launch.run)

    @contextmanager
    def _foretold(self, workspace: Workspace | None) -> Generator[None]:
        launch, foreteller = self.launch, self.watch.foreteller
        if workspace is None or not self._is_foretold:
            yield
            return
        table = self.context.settings.agents.get(launch.agent)
        foreteller.begin(
            OpenRun(
                launch.run, launch.persona, workspace, self.folder, table.litter if table else (), self.ready.apart,
                self.ready.made, lambda places: self.listener(run_placed(launch, places)),
            )
        )  # fmt: skip
        try:
            yield
        finally:
            foreteller.end(launch.run)

    def harvest(self) -> RunResult:
        """Wait for the end of a run that another scheduler started, and take what it left.

        A run that ended because its scheduler did is given up; so is one of whose end nobody knows. Raises RunLeft.
        """
        launch, base, sparse = self.launch, self.batch.base, self.context.sparse_of(self.launch.persona)
        workspace = self.context.mirror.left(launch.run, base, sparse) if base else None
        self.conflict = ConflictFiles(self.context, workspace)
        name, left, outcome = launch.agent, read_left(self.folder), None
        agent = self.context.agents.get(name)
        if not isinstance(agent, CommandAgent):  # it was renamed since: what it is doing goes on all the same
            agent = CommandAgent(name, (name,))
        place = self._place(workspace)
        job = self._job(place)
        why = SCHEDULER_GONE
        if left and self._restore(left):
            self.watch.count(self.launch.run, sum(1 for _ in self._sent()))
            self._resume(self.read)
            with suppress(RunCut), self._reached(workspace):
                outcome = agent.rejoin(job)
        elif has_left(self.folder):
            why = f"{SCHEDULER_GONE}, and was of another version"
        sweep([self.launch.run], self.context.home)
        if place.is_dir():
            self._mail_process(place).finish()
        if outcome is None or (outcome.status == OutcomeStatus.STOPPED and not job.stop.is_set()):
            return self._lost(workspace, why, whole(outcome.usage if outcome else UNKNOWN, read_usage(self.folder)))
        return self._concluded(workspace, outcome)

    def keep(self) -> str:
        """Move the clone into the run's folder because what is in it could not be captured; return words for that."""
        kept = self.batch.base and self.context.mirror.keep(self.launch.run, self.folder / "work")
        return "; its files are in the folder `work` of the run" if kept else ""

    def remove(self) -> None:
        """Remove the workspace: all that counts is on record."""
        if self.batch.base:
            with suppress(OSError, TeamMailError):  # what cannot be removed costs room, not a patch
                self.context.mirror.remove_soon(self.launch.run)

    def _made(self) -> Workspace | None:
        """Make the workspace; without a repository it is an empty folder. All that is known of the run is of it.

        Raises NotPrepared if it cannot be made, which is no fault of the agent.
        """
        launch, workspace = self.launch, None
        if self.batch.base:
            try:
                sparse = self.context.sparse_of(launch.persona)
                workspace = self.context.mirror.workspace(launch.run, self.batch.base, launch.persona, sparse)
            except (TeamMailError, OSError) as error:
                raise not_prepared(error) from None
        else:
            self._place(None).mkdir(parents=True, exist_ok=True)
        self.conflict = ConflictFiles(self.context, workspace)
        return workspace

    def _place(self, workspace: Workspace | None) -> Path:
        return workspace.path if workspace else self._empty

    @cached_property
    def _empty(self) -> Path:
        return self.folder / "work"

    def _mail_process(self, place: Path) -> MailProcess:
        human, session = self.context.settings.team.human, self.context.session
        return MailProcess(place, self.launch.persona, self.launch.run, self.context.home, human, session=session)

    def _restore(self, left: LeftRun) -> bool:
        """Take back what another scheduler knew of the run; tell whether it can be understood."""
        self.head, self.read[:] = left.head, left.read
        try:
            self.ready = Ready.restored(left.ready)
            self.conflict.restore(left.conflict)
        except (KeyError, TypeError, ValueError):
            return False
        return True

    def _concluded(self, workspace: Workspace | None, outcome: Outcome) -> RunResult:
        """Capture what the run changed, and judge it by that."""
        usage = self.resumption.own(outcome.usage)
        outcome = replace(outcome, usage=self.context.estimated(usage, self.launch.agent))
        outcome = storable(self.watch.judged(self.launch.run, outcome))
        outcome = with_last_words(outcome, lambda: read_stream(log_of(self.folder)))
        outcome = limited(outcome, self._is_command, lambda: read_stream(log_of(self.folder)), self.context.clock.now())
        folder = RunFolder(self._place(workspace))
        self.unsent = folder.unsent()
        if self.watch.delivery.is_on(self.launch.persona):
            self.read += taken_into_account(self.context, folder, self.launch.persona, self.read)
        if workspace is None:
            return RunResult(self._judged(outcome, self._place(None), None))
        if not workspace.exists and outcome.status == OutcomeStatus.STOPPED:
            return RunResult(outcome)
        result = self._captured(workspace, outcome)
        if result.captured is None:
            return result
        outcome = self._judged(outcome, workspace.path, result.captured)
        if self.launch.answer_only:
            return RunResult(outcome, prepared=result.prepared)
        return replace(result, outcome=outcome, captured=self.conflict.own(outcome, result.captured))

    def _judged(self, outcome: Outcome, place: Path, captured: Captured | None) -> Outcome:
        self.question = self._asked(captured) if outcome.status == OutcomeStatus.OK else None
        return judged(self.launch, outcome, self._evidence(place, captured))

    def _asked(self, captured: Captured | None) -> Question | None:
        """Return what the run asks at its end. One that only answers has nobody to be asked."""
        launch, task, since = self.launch, self.launch.assignment, [*self.context.mailbox.log.read(self.head)]
        question = own_question(launch.persona, launch.run, since)
        if question or launch.answer_only or not self.context.settings.sprint.questions:
            return question
        work = (task.dispatch, task.task) if task else (launch.run,)
        files = captured.files if captured else ()
        asker = Asker(launch.persona, launch.run, work, files, any(sent_by(launch.run, since)))
        return last_question(self.context, asker, read_stream(log_of(self.folder)))

    def _captured(self, workspace: Workspace, outcome: Outcome) -> RunResult:
        """Capture what the run changed. What cannot be captured stays in the run's folder, so that it is not lost."""
        settings = self.context.settings.agents.get(self.launch.agent)
        workspace, moved = self._moved(workspace, outcome.base)
        try:
            captured = workspace.capture(settings.litter if settings else (), self.ready.apart, self.ready.made)
        except GitError as error:
            return RunResult(replace(outcome, status=OutcomeStatus.FAILED, detail=f"{error}{self.keep()}"))
        if captured.unread:
            captured = captured._replace(trouble=(*captured.trouble[:-1], captured.trouble[-1] + self.keep()))
        return RunResult(outcome, captured, prepared=self.ready.prepared, base=moved)

    @property
    def _is_command(self) -> bool:
        return isinstance(self.context.agents.get(self.launch.agent), CommandAgent)

    @property
    def _is_foretold(self) -> bool:
        """Whether the run is told while it goes on whom it meets: one of a sprint, if the settings want it."""
        return bool(self.batch.base) and not self.launch.assignment and self.context.settings.sprint.foretell != "off"

    def _moved(self, workspace: Workspace, own: str) -> tuple[Workspace, str]:
        """Return the workspace as one of the base with what the run has taken in, and that commit; "" if nothing.

        `own` is the commit that the agent says its change is a change of, if it is not the one it was given.
        """
        context = self.context
        if own and context.git.has_commit(own):
            return (workspace, "") if own == workspace.base else (replace(workspace, base=own), own)
        if not self._is_foretold:
            return workspace, ""
        try:
            files = taken_in(lambda: context.state(whole=False), self.launch.run, workspace.path)
            base = base_of(context.git, workspace.base, files)
        except GitError:  # it is compared with what it started from
            return workspace, ""
        return (workspace, "") if base == workspace.base else (replace(workspace, base=base), base)

    def _evidence(self, place: Path, captured: Captured | None) -> Evidence:
        """Gather what the run is judged by."""

        def in_base(path: str) -> bool:
            return self.context.git.run("cat-file", "-e", f"{self.batch.base}:{path}").returncode == 0

        question = self.question.text if self.question else ""
        return Evidence(place, captured, in_base, lambda: any(self._sent()), self.conflict, question)

    def _sent(self) -> Iterator[Event]:
        """Yield the mails that the run has sent."""
        return sent_by(self.launch.run, self.context.mailbox.log.read(self.head))

    def reports(self, result: RunResult) -> list[Draft]:
        """Return the events of what the run reported, if it is one that reports: of one that failed, only its mail."""
        launch = self.launch
        if launch.assignment or not self.batch.base or not self.reporter:
            return []
        ok = result.outcome.status == OutcomeStatus.OK and not result.given_up
        agent = self.context.agents.get(launch.agent)
        place = self.context.mirror.folder / launch.run if ok else Path(os.devnull)
        with suppress(TeamMailError):
            secrets = agent.masked() if isinstance(agent, CommandAgent) else ()
            return reports(self.context.git, launch, self.batch.base, self._sent(), place, secrets)
        return []

    def _job(self, place: Path) -> Job:
        """Return the run's job. When its prompt is written, so is what the next scheduler needs."""
        context, launch = self.context, self.launch
        self.folder.mkdir(parents=True, exist_ok=True)
        timeout = timeout_of(context, launch, self.batch.left)
        return Job(
            launch.run, launch.persona, launch.attempt, launch.sprint, lambda: self._prompt(place, timeout), place,
            self.folder, context.home, timeout, self.watch.stop_of(launch.run, may_leave=self._is_command),
            launch.assignment, context.settings.team.human, leave=self.watch.leave, on_usage=self._take_usage,
            session=context.session, **asked_of(context, launch.persona),
        )  # fmt: skip

    def _take_usage(self, usage: Usage) -> None:
        """Hold what the run has used so far against the budgets."""
        usage = self.context.estimated(usage, self.launch.agent)
        self.listener(run_used(self.launch, usage))
        self.watch.tell(self.launch.run, usage)

    def _prompt(self, place: Path, timeout: float) -> str:
        context, launch = self.context, self.launch
        persona, agent = context.persona(launch.persona), context.agents[launch.agent]
        waiting = [context.mailbox.read(launch.persona, mail, peek=True) for mail in self.mail.of(launch)]
        self.conflict.lay(persona, waiting)
        room = agent.max_prompt if isinstance(agent, CommandAgent) else None
        situation = self._situation(timeout)
        written = written_prompt(persona, waiting, situation, assignment=launch.assignment, room=room)
        self.read[:] = [message.id for message in written.mail]
        self.mail.deliver(waiting, place)
        write_left(self.folder, LeftRun(self.head, tuple(self.read), self.conflict.saved(), self.ready.saved()))
        return written.text

    def _situation(self, timeout: float) -> Situation:
        context, launch, batch = self.context, self.launch, self.batch
        guests = context.mailbox.directory.guests
        members = [persona for persona in context.roster.personas if persona.id not in guests]
        team = tuple((persona.id, persona.description) for persona in members)
        return Situation(
            launch.sprint, launch.attempt, launch.run, batch.base, batch.branch, context.settings.team.human, team,
            context.top.name, timeout, launch.previous.why if launch.previous else "", merged=self.conflict.laid,
            quiet=quiet_type(context.settings.sprint.wakes_not), foretold=self._is_foretold,
            channels=context.mailbox.directory.channels_with(launch.persona),
            claimed=of_others(context.claims.moment(), launch.persona),
            delivered=self.watch.delivery.is_on(launch.persona), sparse=context.sparse_of(launch.persona),
            resumed=bool(self.resumption.session),
        )  # fmt: skip
