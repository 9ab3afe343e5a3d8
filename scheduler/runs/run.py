"""One run, from its start to its end on record: a private clone, an agent, a patch; every step is an event.

`run.started` is durable before anything is started, and what a run leaves is written in one go with its end: the
patch, `run.finished`, the mail it has now read. Cut off before its end is on record, a run is given up by whoever goes
on, and its mail is unread; cut off after it, some mail may be told a second time, to another run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import format_exception_only
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.log.disk import reason_of
from ...mail.log.event import Draft, derived_id
from ...mail.message import Message
from ...mail.render import line
from ...personas.agent import Agent, Job, Outcome
from ...personas.agents.result import log_of
from ...personas.agents.stream import read_stream
from ...personas.persona import Persona
from ...personas.prompt import Situation, fitting, write_prompt
from ...personas.workspace import Captured, Workspace
from ..context import Context
from ..leader import myself
from ..payload import kept, text_of
from .launch import Launch
from .watch import Watch

_TIMEOUT = 1_800.0  # seconds, for agents that no table of the settings describes
_LAST_WORDS = 200  # characters
_MOST_FILES = 500  # names in an event; the patch itself has them all


@dataclass(frozen=True)
class Batch:
    """What the runs of one tick have in common. `base` is a full commit id, `left` how many seconds the sprint has.

    Without a base, for there is no repository, a run works in an empty folder and leaves no patch.
    """

    sprint: int
    tick: int
    base: str
    branch: str
    left: float | None = None


@dataclass(frozen=True)
class News:
    """What is told of a run while it goes on: `outcome` is None when it starts."""

    launch: Launch
    outcome: Outcome | None = None
    files: int = 0


@dataclass(frozen=True)
class RunResult:
    """What came of a run. `given_up` says that it was ended from outside, which is no failure of its own."""

    outcome: Outcome
    captured: Captured | None = None
    given_up: bool = False


@dataclass
class LocalRunner:
    """Plays launches, one in each thread that calls it. `tell` hears of each run's start and end.

    `mail_of` lists the mail for a run when its agent asks for its prompt; `closing` adds facts to those that are
    written with a run's end.
    """

    context: Context
    watch: Watch
    stop: threading.Event
    tell: Callable[[News], object] = lambda _: None
    mail_of: Callable[[Launch], Sequence[str]] = lambda launch: [one.id for one in launch.mail]
    closing: Callable[[Launch, RunResult], Sequence[Draft]] = lambda _launch, _played: ()
    supervisor: dict[str, Any] = field(default_factory=myself)

    def play(self, launch: Launch, batch: Batch) -> RunResult | None:
        """Play a launch to its end, which is on record when this returns; None if it was stopped before it began."""
        if self.stop.is_set():
            return None
        self.context.append([self._started(launch, batch)])
        self.tell(News(launch))
        told: list[Message] = []
        try:
            played = self._played(launch, batch, told)
        except (TeamMailError, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            played = RunResult(Outcome("failed", None, 0.0, why))
        if played.outcome.status == "stopped" and self.stop.is_set():
            played = replace(played, given_up=True)
            self._give_up(launch, played)
        else:
            outcome = _with_trouble(self._with_words(launch, played.outcome), played.captured)
            played = replace(played, outcome=outcome)
            self._finish(launch, played, told)
        self.tell(News(launch, played.outcome, len(played.captured.files) if played.captured else 0))
        return played

    def _played(self, launch: Launch, batch: Batch, told: list[Message]) -> RunResult:
        agent = self.context.agents[launch.agent]
        stop = self.watch.stop_of(launch.run)
        if not batch.base:
            place = self.context.home / "runs" / launch.run / "work"
            place.mkdir(parents=True, exist_ok=True)
            outcome = _acted(agent, self._job(launch, batch, place, told, stop))
            return RunResult(_as_json(self.watch.judged(launch.run, outcome)))
        workspace = self.context.mirror.workspace(launch.run, batch.base, launch.persona)
        try:
            outcome = _acted(agent, self._job(launch, batch, workspace.path, told, stop))
            return RunResult(_as_json(self.watch.judged(launch.run, outcome)), workspace.capture())
        finally:
            _removed(workspace)

    def _job(self, launch: Launch, batch: Batch, place: Path, told: list[Message], stop: threading.Event) -> Job:
        context = self.context
        persona = context.persona(launch.persona)
        folder = context.home / "runs" / launch.run
        folder.mkdir(parents=True, exist_ok=True)
        timeout = self._timeout(launch, persona, batch)

        def words() -> str:
            waiting = self.mail_of(launch)
            told[:] = fitting([context.mailbox.read(launch.persona, mail, peek=True) for mail in waiting])
            return write_prompt(persona, told, self._situation(launch, batch, timeout), assignment=launch.assignment)

        return Job(
            launch.run, launch.persona, launch.attempt, launch.sprint, words, place, folder, context.home,
            timeout, stop, launch.assignment, context.settings.team.human,
        )  # fmt: skip

    def _situation(self, launch: Launch, batch: Batch, timeout: float) -> Situation:
        context = self.context
        guests = context.mailbox.directory.guests
        team = tuple((one.id, one.description) for one in context.roster.personas if one.id not in guests)
        return Situation(
            launch.sprint, launch.attempt, launch.run, batch.base, batch.branch, context.settings.team.human, team,
            context.top.name, timeout,
        )  # fmt: skip

    def _timeout(self, launch: Launch, persona: Persona, batch: Batch) -> float:
        """Return how long a run may take: what was said for it, the persona's own word, its agent's, its sprint's."""
        told = self.context.settings.agents.get(launch.agent)
        timeout = launch.timeout or persona.timeout or (told.timeout if told else _TIMEOUT)
        return timeout if batch.left is None else min(timeout, batch.left)

    def _started(self, launch: Launch, batch: Batch) -> Draft:
        data: dict[str, Any] = {
            "sprint": batch.sprint,
            "persona": launch.persona,
            "attempt": launch.attempt,
            "tick": batch.tick,
            "base": batch.base,
            "agent": launch.agent,
            "reason": launch.reason,
            "mail": [mail.id for mail in launch.mail],
            "supervisor": self.supervisor,
        }
        if launch.assignment:
            data |= _tags(launch) | kept(self.context.mailbox.blobs, "input", launch.assignment.input)
        return _fact("run.started", launch, data)

    def _give_up(self, launch: Launch, played: RunResult) -> None:
        data = {"persona": launch.persona, "why": "the scheduler was stopped", "orderly": True, **_tags(launch)}
        self.context.append([_fact("run.lost", launch, data), *self.closing(launch, played)])

    def _finish(self, launch: Launch, played: RunResult, told: Sequence[Message]) -> None:
        drafts: list[Draft] = []
        if played.captured and played.captured.patch:
            drafts.append(self._captured(launch, played.captured))
        drafts.append(self._finished(launch, played.outcome))
        if played.outcome.status == "ok":
            drafts += [_read(launch, mail.id) for mail in told]
        self.context.append([*drafts, *self.closing(launch, played)])

    def _with_words(self, launch: Launch, outcome: Outcome) -> Outcome:
        """Add to the outcome of a run that failed the last line it printed, which as a rule says why."""
        if outcome.status != "failed":
            return outcome
        text = read_stream(log_of(self.context.home / "runs" / launch.run)).text
        said = text.strip().rpartition("\n")[2].strip()[-_LAST_WORDS:]
        return replace(outcome, detail=f"{outcome.detail}: {said}") if said and said not in outcome.detail else outcome

    def _captured(self, launch: Launch, captured: Captured) -> Draft:
        blob = self.context.mailbox.blobs.put(captured.patch)
        data: dict[str, Any] = {
            "sprint": launch.sprint,
            "persona": launch.persona,
            "patch": blob._asdict(),
            "files": [*captured.files[:_MOST_FILES]],
            "insertions": captured.insertions,
            "deletions": captured.deletions,
            **_tags(launch),
        }
        own = None if launch.assignment else derived_id("patch", launch.run)
        return Draft("patch.captured", "scheduler", run=launch.run, data=data, id=own)

    def _finished(self, launch: Launch, outcome: Outcome) -> Draft:
        blobs = self.context.mailbox.blobs
        data: dict[str, Any] = {
            "sprint": launch.sprint,
            "persona": launch.persona,
            "status": outcome.status,
            "exit": outcome.exit,
            "seconds": round(outcome.seconds, 3),
            "detail": outcome.detail[:500],
            "cut": outcome.cut,
        }
        if launch.assignment:
            data |= _tags(launch) | kept(blobs, "result", outcome.output)
        output = self.context.home / "runs" / launch.run / "output.log"
        with suppress(FileNotFoundError):
            data["output"] = blobs.put(output.read_bytes())._asdict()
        return _fact("run.finished", launch, data)


def _tags(launch: Launch) -> dict[str, Any]:
    """Name the task of a run in its events, where it has one."""
    told = launch.assignment
    return {"dispatch": told.dispatch, "task": told.task} if told else {}


def _fact(kind: str, launch: Launch, data: dict[str, Any]) -> Draft:
    """Make an event of a run, its id derived, so that it is never there twice.

    A dispatch reads its events before it goes on, so it need not have the log searched for each one.
    """
    own = None if launch.assignment else derived_id(kind, launch.run)
    return Draft(kind, "scheduler", run=launch.run, data=data, id=own)


def _acted(agent: Agent, job: Job) -> Outcome:
    """Have an agent play. What a program's own agent raises is how its run ended, and no reason to end others."""
    try:
        return agent.play(job)
    except (TeamMailError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - see above
        return Outcome("failed", None, 0.0, line("".join(format_exception_only(error)).strip()))


def _as_json(outcome: Outcome) -> Outcome:
    """Fail a run whose result is no JSON: it could be neither kept nor handed on."""
    try:
        text_of(outcome.output)
    except ValueError as error:
        return replace(outcome, status="failed", detail=f"its result cannot be kept: {error}", output=None)
    return outcome


def _removed(workspace: Workspace) -> None:
    with suppress(OSError, TeamMailError):  # what cannot be removed costs room, not a patch
        workspace.remove()


def _with_trouble(outcome: Outcome, captured: Captured | None) -> Outcome:
    """Say in a run's outcome what of its work could not be captured."""
    if captured is None or not captured.trouble:
        return outcome
    return replace(outcome, detail=f"{outcome.detail}; not captured: {'; '.join(captured.trouble)}")


def _read(launch: Launch, mail: str) -> Draft:
    return Draft("mail.read", launch.persona, ref=mail, run=launch.run, id=derived_id("read", launch.run, mail))
