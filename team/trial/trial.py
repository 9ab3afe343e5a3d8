"""A trial: the run of an agent that must write a file, send a mail, read one, settle a conflict, and end.

All of it is real: the sprint, the weaver's conflict mail, the private clone, the keeper, the mail process.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...mail.kinds import MailKind
from ...mail.log.event import Event
from ...personas.agents.presets.preset import Preset
from ...personas.setup.trees import remove_tree
from ...personas.spending.usage import Usage, usage_of
from ...personas.streams.stream import read_stream
from ...scheduler.context import Context
from ...scheduler.errors import NotReady, Stopped
from ...scheduler.kinds import Kind
from ...scheduler.runs.batch import BatchRunner
from ...scheduler.settings.settings import AgentSettings, Settings
from ...scheduler.sprint.decide import ASKED, StartRequest
from ...scheduler.sprint.loop import run_tick
from ...scheduler.sprint.tick import Ticker
from ..place import state_folder
from .scene import POEM, TRIED, Scene
from .steps import RunFacts, Step, steps

Interrupts = Callable[[Callable[[], object]], AbstractContextManager[Sequence[int]]]
_RUNS = 2  # of its persona: one prepares the conflict, the other is the agent's
_BRANCH = "team/sprint-1"


@dataclass(frozen=True)
class Trial:
    """How the run of an agent went. `usage` is what its output tells of tokens and money, or its prices.

    Where a step was not seen, the scratch repository is kept, and with it `output`, what the agent printed.
    """

    agent: str
    preset: str | None
    version: str
    steps: tuple[Step, ...]
    seconds: float
    detail: str
    usage: Usage
    output: Path | None = None

    @property
    def works(self) -> bool:
        """Whether every step was seen but those that the agent is known not to do."""
        return all(step.seen or step.known for step in self.steps)

    def document(self) -> dict[str, Any]:
        """Return the trial as a JSON object."""
        return {
            "agent": self.agent, "preset": self.preset, "version": self.version or None, "works": self.works,
            "steps": [step.document() for step in self.steps], "seconds": self.seconds, "detail": self.detail,
            "money_usd": self.usage.usd, "money_estimated": self.usage.estimated, "tokens_in": self.usage.input,
            "tokens_out": self.usage.output, "output": str(self.output) if self.output else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """An agent to be tried: its name, its settings, its version, and whether a key or a login of it was found.

    `preset` is what is known of its program; None for one that nothing is known of.
    """

    name: str
    settings: AgentSettings
    version: str = ""
    login: bool = True
    preset: Preset | None = None


def try_agent(candidate: Candidate, team: Settings, interrupts: Interrupts) -> Trial:
    """Make the run of a trial. Raises NotReady if the agent cannot be started, and Stopped.

    Args:
        candidate: The agent.
        team: The settings that say below which folder the scratch repository lies, and what tokens cost.
        interrupts: Ends the run early, and with it the trial; Stopped is raised then.
    """
    place = state_folder(team.workspace.root)
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"try-{candidate.name}-", dir=place))
    kept = False
    try:
        scene = Scene(folder, candidate.name, candidate.settings, secrets.token_hex(4), team.prices)
        trial = _tried(scene, candidate, interrupts)
        kept = not trial.works
        return trial
    finally:
        if not kept:
            remove_tree(folder)


def _tried(scene: Scene, candidate: Candidate, interrupts: Interrupts) -> Trial:
    scene.make()
    context = scene.open(real=True)
    if troubles := context.troubles([candidate.name]):
        raise NotReady("; ".join(troubles))
    prepared = scene.open(real=False)
    _tick(prepared, interrupts)
    scene.write_mail(prepared)
    _tick(context, interrupts)
    _tick(prepared, interrupts)
    events = [*context.mailbox.log.read()]
    ends = [event for event in events if event.kind == Kind.RUN_FINISHED and event.data["persona"] == TRIED]
    if len(ends) < _RUNS:
        raise Stopped("the run of the trial was lost; nothing is left of it")
    ended = ends[-1]
    facts, output = _facts(scene, context, events, ended), context.home / "runs" / str(ended.run) / "output.log"
    done = steps(facts, candidate.preset, login=candidate.login)
    trial = Trial(
        candidate.name, candidate.preset.name if candidate.preset else None, candidate.version, done,
        float(ended.data["seconds"]), facts.detail, usage_of(ended.data["usage"]),
    )  # fmt: skip
    return trial if trial.works else replace(trial, output=output)


def _tick(context: Context, interrupts: Interrupts) -> None:
    """Carry out the next tick of the trial's sprint. Raises Stopped if it was ended early."""
    dispatcher = BatchRunner(context)
    with interrupts(dispatcher.end) as reasons:
        run_tick(Ticker(context, dispatcher), StartRequest(ASKED))
    if reasons:
        raise Stopped("the trial was interrupted; nothing is left of it")


def _facts(scene: Scene, context: Context, events: Sequence[Event], ended: Event) -> RunFacts:
    """Read from the log how the run went."""
    run, data = ended.run, ended.data
    changed = next((event.data for event in events if event.kind == Kind.PATCH_CAPTURED and event.run == run), None)
    changed = changed or data.get("partial") or {}
    sent = [event for event in events if event.kind == MailKind.SENT and event.run == run]
    landed = any(event.kind == Kind.PATCH_LANDED and event.data["persona"] == TRIED for event in events)
    poem = context.git.run("show", f"{_BRANCH}:{POEM}").stdout.decode(errors="replace") if landed else ""
    log = _blob(context, data.get("output"))
    return RunFacts(
        scene.word, data["status"], data["exit"], data["detail"], changed.get("files", ()),
        _blob(context, changed.get("patch")).decode(errors="replace"),
        [f"{event.subject}\n{event.body}" for event in sent if "bob" in event.recipients], poem, read_stream(log),
    )  # fmt: skip


def _blob(context: Context, named: Mapping[str, Any] | None) -> bytes:
    """Return what an event has stored; nothing if it stored nothing."""
    if not named:
        return b""
    return context.mailbox.blobs.read(named["sha256"])
