"""Commands that a program has run in the checkout, as far as `[webhooks]` of the settings names them.

They are run without a shell, under a keeper as an agent is, so that nothing of them outlives their time, and with the
harmless part of the environment alone. Start and end are on record.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ....mail.errors import KeyReused, UsageError
from ....mail.log.event import Draft, Event, derived_id, new_id
from ....mail.text.escape import clean
from ....mail.text.nearest import nearest, suggestion
from ....personas.agent import Job, Outcome
from ....personas.agents.command import CommandAgent
from ....personas.agents.result import log_of
from ....personas.environment import harmless
from ....personas.git import reader
from ....personas.hidden import SECRET, given
from ....personas.kinds import OutcomeStatus
from ....personas.running.process import RunLimits, keep
from ....scheduler.context import Context
from ....scheduler.errors import CommandCutOff, NotAllowed, NotReady
from ....scheduler.kinds import Kind
from ....scheduler.payload import held, kept
from ....scheduler.settings.webhooks import READING, WebhookSettings, git_words, wrong_git_words
from ....scheduler.sprint.control import by_people_only

GIT, SHELL = "git", "shell"
MOST_OUTPUT = 64 << 10  # bytes that are kept of what a command prints
_LIMITS = RunLimits(output=MOST_OUTPUT, workspace=0, settle=None)
_MIN_SECRET = 8  # characters; what is shorter stands in many words


@dataclass(frozen=True)
class CommandRequest:
    """A command that a program asks for: of git, or one that is named in the settings. A `key` has it run once."""

    type: Literal["git", "shell"]
    words: Sequence[str]
    key: str | None = None


@dataclass(frozen=True)
class CommandResult:
    """How a command ended; `repeated` tells that it did before. `event` is the seq of its end in the log."""

    event: int
    fields: Mapping[str, Any]
    output: str
    repeated: bool = False

    def document(self) -> dict[str, Any]:
        """Return all of it as a JSON object; `exit` is null for one that did not end by itself."""
        shown = {name: self.fields[name] for name in ("type", "words", "exit", "detail", "seconds", "cut")}
        return shown | {"output": self.output, "event": self.event, "repeated": self.repeated}


def run_command(context: Context, sender: str, request: CommandRequest) -> CommandResult:
    """Run a command in the checkout, and return how it ended.

    Raises NotAllowed, UsageError where there is no repository, KeyReused, and CommandCutOff for a key whose command
    has begun and not ended.
    """
    by_people_only("team command", context.home)
    check_allowed(context.settings.webhooks, request)
    key = request.key or new_id()
    started = derived_id(Kind.COMMAND_STARTED, sender, key)
    data = {"type": str(request.type), "words": [*request.words], "key": key}
    repeats: list[Event] = []
    begun = Draft(Kind.COMMAND_STARTED, sender, data=data, id=started)
    argv, env = _prepared(context.top, request)
    (event,) = context.mailbox.log.append([begun], repeats)
    folder = context.home / "runs" / f"command-{started}"
    if repeats:
        return _before(context, event, data)
    outcome, output = _run(context, argv, env, folder)
    fields = data | {
        "exit": outcome.exit, "detail": outcome.detail, "seconds": round(outcome.seconds, 3), "cut": outcome.cut,
    }  # fmt: skip
    done = fields | kept(context.mailbox.blobs, "output", output)
    draft = Draft(Kind.COMMAND_FINISHED, sender, ref=started, data=done, id=derived_id(Kind.COMMAND_FINISHED, started))
    (ended,) = context.mailbox.log.append([draft])
    return CommandResult(ended.seq, fields, output)


def check_allowed(settings: WebhookSettings, request: CommandRequest) -> None:
    """Raise NotAllowed unless the settings name a command; the message says what to add to them, or the nearest."""
    words = [*request.words]
    if not words or any("\0" in word for word in words):
        raise UsageError('\'words\' must be the list of a command\'s words, as in ["status", "--short"]')
    if request.type == SHELL:
        if tuple(words) not in settings.shell:
            raise NotAllowed(f"{shlex.join(words)!r} may not be run; {_instead(settings, words)}")
        return
    name = words[0]
    if name not in READING:
        raise NotAllowed(
            f"git {name} is never run for a program: it must be a command that only reads{suggestion(name, READING)}"
        )
    if name not in settings.git:
        close = nearest(name, settings.git, most=1)
        named = f"did you mean {close[0]}? T" if close else "t"
        raise NotAllowed(
            f'git {name} may not be run; {named}o allow it, add "{name}" to git in [webhooks] of team.toml'
        )
    if why := wrong_git_words(words):
        raise NotAllowed(why)


def _instead(settings: WebhookSettings, words: Sequence[str]) -> str:
    """Say which command is allowed that resembles one that is not, and how this one would be."""
    known = {shlex.join(command): command for command in settings.shell}
    close = nearest(shlex.join(words), known, most=1)
    named = f"did you mean {json.dumps(known[close[0]])}? T" if close else "t"
    return f"{named}o allow it, add {json.dumps([*words])} to shell in [webhooks] of team.toml"


def _prepared(top: Path, request: CommandRequest) -> tuple[Sequence[str], dict[str, str]]:
    """Return the words and the environment of a command. Raises NotReady outside of a repository, GitError."""
    if not (top / ".git").exists():
        raise NotReady(f"{top} is not the top of a git repository; commands are run there")
    if request.type == GIT:
        return reader(top).command(*git_words(request.words))
    return [*request.words], harmless() | {"TERM": "dumb", "NO_COLOR": "1"}


def _run(context: Context, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> tuple[Outcome, str]:
    """Run a command under a keeper; return how it ended and what it printed, fit to be shown."""
    folder.mkdir(parents=True)
    timeout = context.settings.webhooks.timeout
    job = Job(folder.name, "command", 1, 0, "", context.top, folder, context.home, timeout)
    try:
        outcome = keep(job, argv, env, secrets=_secrets(context), stdin=Path(os.devnull), limits=_LIMITS)
    except OSError as error:
        outcome = Outcome(OutcomeStatus.FAILED, None, 0.0, f"cannot start: {error}")
    return outcome, clean(log_of(folder).decode(errors="replace"))


def _secrets(context: Context) -> Iterable[str]:
    """Return what is masked: the secrets of the team's agents, and those in the environment by their names."""
    agents = (agent for agent in context.agents.values() if isinstance(agent, CommandAgent))
    named = (value for name, value in given().items() if SECRET.search(name) and len(value) >= _MIN_SECRET)
    return {*named, *(secret for agent in agents for secret in agent.masked())}


def _before(context: Context, started: Event, data: Mapping[str, Any]) -> CommandResult:
    """Return how a command ended that was asked for before by its key."""
    if differing := [name for name in ("type", "words") if started.data.get(name) != data[name]]:
        raise KeyReused(data["key"], started.seq, differing)
    blobs = context.mailbox.blobs
    for event in context.mailbox.log.read(started.seq):
        if event.kind == Kind.COMMAND_FINISHED and event.ref == started.id:
            return CommandResult(event.seq, event.data, held(blobs, event.data, "output"), repeated=True)
    raise CommandCutOff(
        f"{shlex.join(data['words'])!r} began at {started.ts}, and its end is not on record: it goes on, or was "
        "cut off; ask again with the same key, and if nothing comes of that, look how far it came and use another key"
    )
