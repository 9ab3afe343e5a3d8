"""Bringing a batch of runs to its end: one thread each, as many at once as allowed; every step is an event.

`run.started` is durable before anything is started, and what a run leaves is written in one go with its end: the
patch, `run.finished`, the mail it has now read. Cut off before its end is on record, a run is given up by the next
tick, and its mail is unread; cut off after it, some mail may be told a second time, to another run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..mail.disk import reason_of
from ..mail.errors import TeamMailError
from ..mail.event import Draft, derived_id
from ..mail.message import Message
from ..personas.agent import Job, Outcome
from ..personas.persona import Persona
from ..personas.prompt import Situation, fitting, write_prompt
from ..personas.workspace import Captured, Workspace
from .leader import myself
from .plan import Launch
from .watch import Watch
from .workshop import Workshop

_TIMEOUT = 1_800.0  # seconds, for agents that no table of the settings describes
_LAST_WORDS = 200  # bytes
_MOST_FILES = 500  # names in an event; the patch itself has them all


@dataclass(frozen=True)
class Batch:
    """What the runs of one tick have in common. `base` is a full commit id, `left` how many seconds the sprint has."""

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


@dataclass
class Dispatcher:
    """Runs batches of launches on an executor, threads as a rule. `end` gives them up, which is no failure of theirs.

    `tell` hears of each run's start and end; `executor` makes one of as many workers as may run at once.
    """

    workshop: Workshop
    tell: Callable[[News], object] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    watch: Watch | None = None
    executor: Callable[[int], Executor] = ThreadPoolExecutor

    def end(self) -> None:
        """End all runs and start no more; may be called from a signal's handler."""
        self.stop.set()
        if self.watch:
            self.watch.end()

    def run(self, launches: Sequence[Launch], batch: Batch) -> None:
        """Launch all; wait until every run has ended and its end is on record."""
        if not launches:
            return
        self.workshop.mirror.update(batch.base)
        settings, supervisor = self.workshop.settings.sprint, myself()
        with Watch(self.workshop, self.stop) as watch, self.executor(settings.max_parallel) as threads:
            self.watch = watch
            futures: list[Future[None]] = []
            for launch in launches:
                if futures and settings.pace:
                    self.stop.wait(settings.pace)
                futures.append(threads.submit(self._one, launch, batch, watch, supervisor))
            for future in futures:
                future.result()

    def _one(self, launch: Launch, batch: Batch, watch: Watch, supervisor: Mapping[str, Any]) -> None:
        if self.stop.is_set():
            return
        self.workshop.append([_started(launch, batch, supervisor)])
        self.tell(News(launch))
        captured: Captured | None = None
        told: list[Message] = []
        try:
            told += fitting([self.workshop.mailbox.read(launch.persona, one.id, peek=True) for one in launch.mail])
            outcome, captured = self._played(launch, batch, watch, told)
        except (TeamMailError, OSError) as error:
            outcome = Outcome("failed", None, 0.0, reason_of(error) if isinstance(error, OSError) else str(error))
        if outcome.status == "stopped" and self.stop.is_set():
            self._give_up(launch)
        else:
            outcome = _with_trouble(self._with_words(launch, outcome), captured)
            self._finish(launch, outcome, captured, told)
        self.tell(News(launch, outcome, len(captured.files) if captured else 0))

    def _played(self, launch: Launch, batch: Batch, watch: Watch, mail: Sequence[Message]) -> tuple[Outcome, Captured]:
        workspace = self.workshop.mirror.workspace(launch.run, batch.base, launch.persona)
        try:
            job = self._job(launch, batch, workspace, mail, watch.stop_of(launch.run))
            outcome = self.workshop.agents[launch.agent].play(job)
            return watch.judged(launch.run, outcome), workspace.capture()
        finally:
            with suppress(OSError, TeamMailError):  # what cannot be removed costs room, not a patch
                workspace.remove()

    def _job(
        self, launch: Launch, batch: Batch, workspace: Workspace, mail: Sequence[Message], stop: threading.Event
    ) -> Job:
        shop = self.workshop
        persona = shop.persona(launch.persona)
        folder = shop.home / "runs" / launch.run
        folder.mkdir(parents=True, exist_ok=True)
        timeout = self._timeout(launch, persona, batch)
        team = tuple((one.id, one.description) for one in shop.roster.personas)
        situation = Situation(
            launch.sprint, launch.attempt, launch.run, batch.base, batch.branch, shop.settings.team.human, team,
            shop.top.name, timeout,
        )  # fmt: skip
        prompt = write_prompt(persona, mail, situation)
        return Job(
            launch.run, launch.persona, launch.attempt, launch.sprint, prompt, workspace.path, folder, shop.home,
            timeout, stop,
        )  # fmt: skip

    def _timeout(self, launch: Launch, persona: Persona, batch: Batch) -> float:
        """Return how long a run may take: the persona's own word, else its agent's, within what the sprint has left."""
        told = self.workshop.settings.agents.get(launch.agent)
        timeout = persona.timeout or (told.timeout if told else _TIMEOUT)
        return timeout if batch.left is None else min(timeout, batch.left)

    def _give_up(self, launch: Launch) -> None:
        data = {"persona": launch.persona, "why": "the scheduler was stopped", "orderly": True}
        own = derived_id("run.lost", launch.run)
        self.workshop.append([Draft("run.lost", "scheduler", run=launch.run, data=data, id=own)])

    def _finish(self, launch: Launch, outcome: Outcome, captured: Captured | None, told: Sequence[Message]) -> None:
        drafts: list[Draft] = []
        if captured and captured.patch:
            drafts.append(self._captured(launch, captured))
        drafts.append(self._finished(launch, outcome))
        if outcome.status == "ok":
            drafts += [_read(launch, mail.id) for mail in told]
        self.workshop.append(drafts)

    def _with_words(self, launch: Launch, outcome: Outcome) -> Outcome:
        """Add to the outcome of a run that failed the last line it printed, which as a rule says why."""
        log = self.workshop.home / "runs" / launch.run / "output.log"
        if outcome.status != "failed" or not log.exists():
            return outcome
        said = log.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip().rpartition("\n")[2].strip()
        return replace(outcome, detail=f"{outcome.detail}: {said}") if said else outcome

    def _captured(self, launch: Launch, captured: Captured) -> Draft:
        blob = self.workshop.mailbox.blobs.put(captured.patch)
        data = {
            "sprint": launch.sprint,
            "persona": launch.persona,
            "patch": blob._asdict(),
            "files": [*captured.files[:_MOST_FILES]],
            "insertions": captured.insertions,
            "deletions": captured.deletions,
        }
        return Draft("patch.captured", "scheduler", run=launch.run, data=data, id=derived_id("patch", launch.run))

    def _finished(self, launch: Launch, outcome: Outcome) -> Draft:
        data: dict[str, Any] = {
            "sprint": launch.sprint,
            "persona": launch.persona,
            "status": outcome.status,
            "exit": outcome.exit,
            "seconds": round(outcome.seconds, 3),
            "detail": outcome.detail[:500],
            "cut": outcome.cut,
        }
        output = self.workshop.home / "runs" / launch.run / "output.log"
        with suppress(FileNotFoundError):
            data["output"] = self.workshop.mailbox.blobs.put(output.read_bytes())._asdict()
        return Draft("run.finished", "scheduler", run=launch.run, data=data, id=derived_id("run.finished", launch.run))


def _started(launch: Launch, batch: Batch, supervisor: Mapping[str, Any]) -> Draft:
    data = {
        "sprint": batch.sprint,
        "persona": launch.persona,
        "attempt": launch.attempt,
        "tick": batch.tick,
        "base": batch.base,
        "agent": launch.agent,
        "reason": launch.reason,
        "mail": [mail.id for mail in launch.mail],
        "supervisor": {**supervisor},
    }
    return Draft("run.started", "scheduler", run=launch.run, data=data, id=derived_id("run.started", launch.run))


def _with_trouble(outcome: Outcome, captured: Captured | None) -> Outcome:
    """Say in a run's outcome what of its work could not be captured."""
    if captured is None or not captured.trouble:
        return outcome
    return replace(outcome, detail=f"{outcome.detail}; not captured: {'; '.join(captured.trouble)}")


def _read(launch: Launch, mail: str) -> Draft:
    return Draft("mail.read", launch.persona, ref=mail, run=launch.run, id=derived_id("read", launch.run, mail))
