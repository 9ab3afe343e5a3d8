"""Runs on this machine: a private clone, an agent in it, and a patch of what the agent changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import format_exception_only

from ...mail.errors import TeamMailError
from ...mail.kinds import MailKind
from ...mail.log.blobs import BlobMissing
from ...mail.log.disk import reason_of
from ...mail.log.event import Draft
from ...mail.message import Message
from ...mail.render import line
from ...personas.agent import Agent, Job, Outcome
from ...personas.agents.command import CommandAgent
from ...personas.agents.result import log_of
from ...personas.agents.stream import read_stream
from ...personas.errors import GitError, NotPrepared
from ...personas.kinds import OutcomeStatus
from ...personas.persona import Persona
from ...personas.prompt import Situation, written_prompt
from ...personas.running.folder import PREVIOUS, RunFolder
from ...personas.running.mail_process import MailProcess
from ...personas.setup.slots import Slot
from ...personas.workspace import Captured, Workspace
from ..context import Context
from ..payload import text_of
from ..progress import Listener, silent
from .judge import Evidence, judged
from .launch import Launch
from .leftover import about_kept
from .mail import RunMail
from .preparation import FOLDER as SETUP
from .preparation import Ready, RunPreparation, slot_of
from .progress import run_ended, run_started
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
        try:
            result = self._carried_out(launch, batch)
        finally:
            self._mail.release(launch)
        self.listener(run_ended(launch, result))
        return result

    def _carried_out(self, launch: Launch, batch: Batch) -> RunResult:
        """Carry a launch out; its end is on record when this returns."""
        self._record.started(launch, batch)
        self.listener(run_started(launch))
        read: list[Message] = []
        result = self._result(launch, batch, read)
        if result.outcome.status == OutcomeStatus.STOPPED and self.watch.stopped:
            result = replace(result, given_up=True)
        else:
            outcome = _with_notes(self._with_last_words(launch, result.outcome), result.captured)
            result = replace(result, outcome=outcome)
        folder = self._folder(launch)
        output = (folder / SETUP if result.outcome.status == OutcomeStatus.SETUP else folder) / "output.log"
        mails = self._mails(launch, result.captured)
        self._record.ended(launch, result, read=[message.id for message in read], output=output, mails=mails)
        return result

    def _mails(self, launch: Launch, captured: Captured | None) -> list[Draft]:
        """Write to the human about commits that are no part of the run's patch."""
        if captured is None or not captured.asks:
            return []
        mailbox = self.context.mailbox
        letter = about_kept(launch, captured, self.context.settings.team.human)
        return [letter.draft(mailbox.directory, mailbox.blobs)]

    def _result(self, launch: Launch, batch: Batch, read: list[Message]) -> RunResult:
        try:
            return self._played(launch, batch, read)
        except NotPrepared as error:
            return RunResult(Outcome(OutcomeStatus.SETUP, None, 0.0, str(error)))
        except (TeamMailError, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            return RunResult(Outcome(OutcomeStatus.FAILED, None, 0.0, why))

    def _played(self, launch: Launch, batch: Batch, read: list[Message]) -> RunResult:
        head = self.context.mailbox.log.head().seq
        if not batch.base:
            place = self._folder(launch) / "work"
            place.mkdir(parents=True, exist_ok=True)
            with slot_of(self.context, self._folder(launch)) as slot:
                outcome = self._in_workspace(launch, batch, place, read, slot)
            return RunResult(judged(launch, outcome, self._evidence(launch, batch, place, None, head)))
        workspace = self.context.mirror.workspace(launch.run, batch.base, launch.persona)
        try:
            with slot_of(self.context, self._folder(launch)) as slot:
                ready = self._prepared(launch, batch, workspace, slot)
                if ready.prepared.failed and ready.prepared.outcome:
                    return RunResult(replace(ready.prepared.outcome, seconds=0.0), prepared=ready.prepared)
                outcome = self._in_workspace(launch, batch, workspace.path, read, slot)
            result = replace(self._captured(launch, workspace, outcome, ready), prepared=ready.prepared)
            if result.captured is None:
                return result
            evidence = self._evidence(launch, batch, workspace.path, result.captured, head)
            return replace(result, outcome=judged(launch, outcome, evidence))
        finally:
            _remove(workspace)

    def _prepared(self, launch: Launch, batch: Batch, workspace: Workspace, slot: Slot) -> Ready:
        preparation, stop = RunPreparation(self.context, self.listener), self.watch.stop_of(launch.run)
        return preparation.prepare(launch, workspace, self._folder(launch), slot, batch.left, stop)

    def _in_workspace(self, launch: Launch, batch: Batch, place: Path, read: list[Message], slot: Slot) -> Outcome:
        """Have the agent play in a workspace. All mail that it leaves there is on record when this returns."""
        folder = RunFolder(place)
        folder.make()
        if launch.previous:
            with suppress(BlobMissing, OSError):  # it is done without what is lost
                (folder.path / PREVIOUS).write_bytes(self.context.mailbox.blobs.read(launch.previous.sha256))
        job = self._job(launch, batch, place, read, self.watch.stop_of(launch.run))
        job = replace(job, slot=slot.number, port=slot.port)
        with MailProcess(place, launch.persona, launch.run, job.home, job.human):
            return self._outcome(launch, job)

    def _captured(self, launch: Launch, workspace: Workspace, outcome: Outcome, ready: Ready) -> RunResult:
        """Capture what the run changed. What cannot be captured stays in the run's folder, so that it is not lost."""
        settings = self.context.settings.agents.get(launch.agent)
        try:
            captured = workspace.capture(settings.litter if settings else (), ready.apart, ready.made)
        except GitError as error:
            kept = _kept_words(workspace.keep(self._folder(launch) / "work"))
            return RunResult(replace(outcome, status=OutcomeStatus.FAILED, detail=f"{error}{kept}"))
        if captured.unread:
            kept = _kept_words(workspace.keep(self._folder(launch) / "work"))
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

    def _outcome(self, launch: Launch, job: Job) -> Outcome:
        return _storable(self.watch.judged(launch.run, _play(self.context.agents[launch.agent], job)))

    def _job(self, launch: Launch, batch: Batch, place: Path, read: list[Message], stop: threading.Event) -> Job:
        context, folder = self.context, self._folder(launch)
        persona = context.persona(launch.persona)
        folder.mkdir(parents=True, exist_ok=True)
        timeout = self._timeout(launch, persona, batch)

        def prompt() -> str:
            waiting = [context.mailbox.read(launch.persona, mail, peek=True) for mail in self._mail.of(launch)]
            situation, agent = self._situation(launch, batch, timeout), context.agents[launch.agent]
            room = agent.max_prompt if isinstance(agent, CommandAgent) else None
            written = written_prompt(persona, waiting, situation, assignment=launch.assignment, room=room)
            read[:] = written.mail
            self._mail.deliver(waiting, place)
            return written.text

        return Job(
            launch.run, launch.persona, launch.attempt, launch.sprint, prompt, place, folder, context.home,
            timeout, stop, launch.assignment, context.settings.team.human,
        )  # fmt: skip

    def _situation(self, launch: Launch, batch: Batch, timeout: float) -> Situation:
        context = self.context
        guests = context.mailbox.directory.guests
        members = [persona for persona in context.roster.personas if persona.id not in guests]
        team = tuple((persona.id, persona.description) for persona in members)
        return Situation(
            launch.sprint, launch.attempt, launch.run, batch.base, batch.branch, context.settings.team.human, team,
            context.top.name, timeout, launch.previous.why if launch.previous else "",
        )  # fmt: skip

    def _timeout(self, launch: Launch, persona: Persona, batch: Batch) -> float:
        """Return how long a run may take: as its launch says, else its persona, else its agent; at most the sprint."""
        settings = self.context.settings.agents.get(launch.agent)
        timeout = launch.timeout or persona.timeout or (settings.timeout if settings else _TIMEOUT)
        return timeout if batch.left is None else min(timeout, batch.left)

    def _with_last_words(self, launch: Launch, outcome: Outcome) -> Outcome:
        """Add to the outcome of a run that failed the last line it printed, which usually says why."""
        if outcome.status != OutcomeStatus.FAILED:
            return outcome
        transcript = read_stream(log_of(self._folder(launch)))
        text = transcript.stray or transcript.text
        last = text.strip().rpartition("\n")[2].strip()[-_LAST_WORDS:]
        return replace(outcome, detail=f"{outcome.detail}: {last}") if last and last not in outcome.detail else outcome

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


def _remove(workspace: Workspace) -> None:
    with suppress(OSError, TeamMailError):  # what cannot be removed costs room, not a patch
        workspace.remove()


def _kept_words(kept: bool) -> str:
    return "; its files are in the folder `work` of the run" if kept else ""


def _with_notes(outcome: Outcome, captured: Captured | None) -> Outcome:
    """Add to a run's outcome what is peculiar about its patch, and what of its work could not be captured."""
    if captured is None:
        return outcome
    words = [outcome.detail, *captured.notes]
    words += [f"not captured: {'; '.join(captured.trouble)}"] if captured.trouble else []
    return replace(outcome, detail="; ".join(words))
