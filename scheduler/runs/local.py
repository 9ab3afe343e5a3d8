"""Runs on this machine: a private clone, an agent in it, and a patch of what the agent changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import format_exception_only

from ...mail.errors import TeamMailError
from ...mail.kinds import MailKind
from ...mail.log.blobs import BlobMissing
from ...mail.log.disk import reason_of
from ...mail.log.event import Draft
from ...mail.render import line
from ...personas.agent import Agent, Job, Outcome
from ...personas.agents.command import CommandAgent
from ...personas.agents.result import log_of
from ...personas.agents.stream import read_stream
from ...personas.errors import GitError, RunLeft
from ...personas.kinds import OutcomeStatus
from ...personas.prompt import Situation, written_prompt
from ...personas.running.folder import PREVIOUS, RunFolder
from ...personas.running.left import read_left, write_left
from ...personas.running.mail_process import MailProcess
from ...personas.running.sweep import sweep
from ...personas.workspace import Captured, Workspace
from ..context import Context
from ..payload import text_of
from ..progress import Listener, silent
from ..state.sprints import SCHEDULER_GONE
from .judge import Evidence, judged
from .launch import Launch
from .leftover import about_kept
from .mail import RunMail
from .progress import run_ended, run_left, run_started, run_taken_over
from .record import RunRecord
from .run import Batch, Runner, RunResult
from .watch import Watch

_TIMEOUT = 1_800.0  # seconds, for agents that no table of the settings describes
_LAST_WORDS = 200  # characters

RunnerFactory = Callable[[Context, Watch, Listener], Runner]


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
        self._mail = RunMail(self.context.mailbox)

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        """Carry out a launch, as `Runner.run` says."""
        if self.watch.stopped:
            return None
        self._record.started(launch, batch)
        self.listener(run_started(launch))
        return self._to_its_end(launch, batch, lambda read: self._played(launch, batch, read))

    def harvest(self, launch: Launch, batch: Batch, *, stop: bool = False) -> RunResult | None:
        """Take over a run whose scheduler is gone, as `Runner.harvest` says."""
        if stop:
            self.watch.stop_of(launch.run).set()
        self.listener(run_taken_over(launch))
        self.listener(run_started(launch))
        return self._to_its_end(launch, batch, lambda read: self._harvested(launch, batch, read))

    def _to_its_end(self, launch: Launch, batch: Batch, work: Callable[[list[str]], RunResult]) -> RunResult | None:
        """Do the work of a run and put its end on record; only then is its workspace removed.

        `work` adds to a list the ids of the mail that the run was given.
        """
        read: list[str] = []
        try:
            result = self._result(launch, work, read)
            self._put_on_record(launch, result, read)
        except RunLeft:
            self.listener(run_left(launch))
            return None
        finally:
            self._mail.release(launch)
        if batch.base:
            with suppress(OSError, TeamMailError):  # what cannot be removed costs room, not a patch
                self.context.mirror.remove(launch.run)
        self.listener(run_ended(launch, result))
        return result

    def _put_on_record(self, launch: Launch, result: RunResult, read: Sequence[str]) -> None:
        mails = self._mails(launch, result.captured)
        self._record.ended(launch, result, read=read, output=self._folder(launch) / "output.log", mails=mails)

    def _mails(self, launch: Launch, captured: Captured | None) -> list[Draft]:
        """Write to the human about commits that are no part of the run's patch."""
        if captured is None or not captured.asks:
            return []
        mailbox = self.context.mailbox
        letter = about_kept(launch, captured, self.context.settings.team.human)
        return [letter.draft(mailbox.directory, mailbox.blobs)]

    def _result(self, launch: Launch, work: Callable[[list[str]], RunResult], read: list[str]) -> RunResult:
        try:
            result = work(read)
        except RunLeft:
            raise
        except (TeamMailError, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            result = RunResult(Outcome(OutcomeStatus.FAILED, None, 0.0, f"{why}{self._kept_words(launch)}"))
        if result.outcome.status == OutcomeStatus.STOPPED and self.watch.stopped:
            return replace(result, given_up=True)
        if result.given_up:
            return result
        return replace(result, outcome=_with_notes(self._with_last_words(launch, result.outcome), result.captured))

    def _played(self, launch: Launch, batch: Batch, read: list[str]) -> RunResult:
        place = self._folder(launch) / "work"
        if batch.base:
            place = self.context.mirror.workspace(launch.run, batch.base, launch.persona).path
        else:
            place.mkdir(parents=True, exist_ok=True)
        folder = RunFolder(place)
        folder.make()
        if launch.previous:
            with suppress(BlobMissing, OSError):  # it is done without what is lost
                (folder.path / PREVIOUS).write_bytes(self.context.mailbox.blobs.read(launch.previous.sha256))
        head = self.context.mailbox.log.head().seq
        job, mail = self._job(launch, batch, place, read, head)
        agent = self.context.agents[launch.agent]
        if isinstance(agent, CommandAgent):
            outcome = _play(agent, replace(job, mail=mail.command))
        else:
            with mail:
                outcome = _play(agent, job)
        return self._concluded(launch, batch, outcome, head)

    def _harvested(self, launch: Launch, batch: Batch, read: list[str]) -> RunResult:
        """Wait for the end of a run that another scheduler started, and take what it left.

        A run that ended because its scheduler did is given up; so is one of whose end nobody knows.
        """
        folder, agent = self._folder(launch), self.context.agents.get(launch.agent)
        place = self.context.mirror.left(launch.run, batch.base).path if batch.base else folder / "work"
        left, outcome = read_left(folder), None
        job, mail = self._job(launch, batch, place, read, left.head if left else 0)
        if left and isinstance(agent, CommandAgent):
            outcome = agent.rejoin(job)
        sweep([launch.run], self.context.home)
        if place.is_dir():
            mail.finish()
        result = self._concluded(launch, batch, outcome or Outcome.not_begun(), left.head if left else 0)
        if outcome is None or (outcome.status == OutcomeStatus.STOPPED and not job.stop.is_set()):
            return replace(result, given_up=True, lost=SCHEDULER_GONE)
        read[:] = left.read if left else ()
        return result

    def _concluded(self, launch: Launch, batch: Batch, outcome: Outcome, head: int) -> RunResult:
        """Capture what a run changed, and judge the run by it; `head` is the seq of the last event before it began."""
        outcome = _storable(self.watch.judged(launch.run, outcome))
        if not batch.base:
            place = self._folder(launch) / "work"
            return RunResult(judged(launch, outcome, self._evidence(launch, batch, place, None, head)))
        workspace = self.context.mirror.left(launch.run, batch.base)
        if not workspace.exists and outcome.status == OutcomeStatus.STOPPED:
            return RunResult(outcome)
        result = self._captured(launch, workspace, outcome)
        if result.captured is None:
            return result
        evidence = self._evidence(launch, batch, workspace.path, result.captured, head)
        return replace(result, outcome=judged(launch, outcome, evidence))

    def _captured(self, launch: Launch, workspace: Workspace, outcome: Outcome) -> RunResult:
        """Capture what the run changed. What cannot be captured stays in the run's folder, so that it is not lost."""
        settings = self.context.settings.agents.get(launch.agent)
        try:
            captured = workspace.capture(settings.litter if settings else ())
        except GitError as error:
            detail = f"{error}{self._kept_words(launch)}"
            return RunResult(replace(outcome, status=OutcomeStatus.FAILED, detail=detail))
        if captured.unread:
            kept = self._kept_words(launch)
            captured = captured._replace(trouble=(*captured.trouble[:-1], captured.trouble[-1] + kept))
        return RunResult(outcome, captured)

    def _evidence(self, launch: Launch, batch: Batch, place: Path, captured: Captured | None, head: int) -> Evidence:
        """Gather what a run is judged by; `head` is the seq of the last event before it began."""

        def in_base(path: str) -> bool:
            return self.context.git.run("cat-file", "-e", f"{batch.base}:{path}").returncode == 0

        def sent() -> bool:
            since = self.context.mailbox.log.read(head)
            return any(event.kind == MailKind.SENT and event.run == launch.run for event in since)

        return Evidence(place, captured, self.context.top, in_base, sent)

    def _job(self, launch: Launch, batch: Batch, place: Path, read: list[str], head: int) -> tuple[Job, MailProcess]:
        """Return the run's job and its mail. When the prompt is written, so is what the next scheduler needs."""
        context, folder = self.context, self._folder(launch)
        folder.mkdir(parents=True, exist_ok=True)
        timeout, human = self._timeout(launch, batch), context.settings.team.human

        def prompt() -> str:
            waiting = [context.mailbox.read(launch.persona, mail, peek=True) for mail in self._mail.of(launch)]
            situation, agent = self._situation(launch, batch, timeout), context.agents[launch.agent]
            room = agent.max_prompt if isinstance(agent, CommandAgent) else None
            persona = context.persona(launch.persona)
            written = written_prompt(persona, waiting, situation, assignment=launch.assignment, room=room)
            read[:] = [message.id for message in written.mail]
            self._mail.deliver(waiting, place)
            write_left(folder, head, read)
            return written.text

        is_process = isinstance(context.agents.get(launch.agent), CommandAgent)
        job = Job(
            launch.run, launch.persona, launch.attempt, launch.sprint, prompt, place, folder, context.home, timeout,
            self.watch.stop_of(launch.run, may_leave=is_process), launch.assignment, human, leave=self.watch.leave,
        )  # fmt: skip
        return job, MailProcess(place, launch.persona, launch.run, context.home, human)

    def _situation(self, launch: Launch, batch: Batch, timeout: float) -> Situation:
        context = self.context
        guests = context.mailbox.directory.guests
        members = [persona for persona in context.roster.personas if persona.id not in guests]
        team = tuple((persona.id, persona.description) for persona in members)
        return Situation(
            launch.sprint, launch.attempt, launch.run, batch.base, batch.branch, context.settings.team.human, team,
            context.top.name, timeout, launch.previous.why if launch.previous else "",
        )  # fmt: skip

    def _timeout(self, launch: Launch, batch: Batch) -> float:
        """Return how long a run may take: as its launch says, else its persona, else its agent; at most the sprint."""
        settings, persona = self.context.settings.agents.get(launch.agent), self.context.roster.get(launch.persona)
        own = persona.timeout if persona else None
        timeout = launch.timeout or own or (settings.timeout if settings else _TIMEOUT)
        return timeout if batch.left is None else min(timeout, batch.left)

    def _with_last_words(self, launch: Launch, outcome: Outcome) -> Outcome:
        """Add to the outcome of a run that failed the last line it printed, which usually says why."""
        if outcome.status != OutcomeStatus.FAILED:
            return outcome
        transcript = read_stream(log_of(self._folder(launch)))
        text = transcript.stray or transcript.text
        last = text.strip().rpartition("\n")[2].strip()[-_LAST_WORDS:]
        return replace(outcome, detail=f"{outcome.detail}: {last}") if last and last not in outcome.detail else outcome

    def _kept_words(self, launch: Launch) -> str:
        """Move a clone into the run's folder because what is in it could not be captured; say so."""
        kept = self.context.mirror.keep(launch.run, self._folder(launch) / "work")
        return "; its files are in the folder `work` of the run" if kept else ""

    def _folder(self, launch: Launch) -> Path:
        return self.context.home / "runs" / launch.run


def _play(agent: Agent, job: Job) -> Outcome:
    """Let the agent play. An exception raised by an agent that a program supplied fails only this run."""
    try:
        return agent.play(job)
    except (TeamMailError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - see above
        return Outcome(OutcomeStatus.FAILED, None, 0.0, line("".join(format_exception_only(error)).strip()))


def _storable(outcome: Outcome) -> Outcome:
    """Fail a run whose result is not JSON: it could neither be stored nor passed to other tasks."""
    try:
        text_of(outcome.output)
    except ValueError as error:
        detail = f"its result cannot be kept: {error}"
        return replace(outcome, status=OutcomeStatus.FAILED, detail=detail, output=None)
    return outcome


def _with_notes(outcome: Outcome, captured: Captured | None) -> Outcome:
    """Add to a run's outcome what is peculiar about its patch, and what of its work could not be captured."""
    if captured is None:
        return outcome
    words = [outcome.detail, *captured.notes]
    words += [f"not captured: {'; '.join(captured.trouble)}"] if captured.trouble else []
    return replace(outcome, detail="; ".join(words))
