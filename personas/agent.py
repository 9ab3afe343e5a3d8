"""The contract of an agent: it is given a job, runs the persona to its end and returns the outcome."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..mail.home import RUN_FOLDER
from ..mail.log.disk import replace_file
from .kinds import OutcomeStatus
from .running.rules import Rules
from .spending.usage import UNKNOWN, Usage

MOST_SAID = 10_000_000  # bytes that a function may add to its output
_NO_MORE = b"\n[output cut here: no more of it is kept]\n"


@dataclass(frozen=True)
class Assignment:
    """The task of a run that a dispatch started: its id, its description, and its input as a JSON object."""

    dispatch: str
    task: str
    description: str
    input: Mapping[str, Any] = field(default_factory=dict[str, Any])


class MailCommand(NamedTuple):
    """The command that sends the mail of a run: its words, its environment, and the workspace it is for."""

    argv: Sequence[str]
    env: Mapping[str, str]
    workspace: Path


@dataclass(frozen=True)
class Job:
    """One run, as its agent sees it: which persona to play, with which prompt, where, and for how long.

    `words` is the prompt, or a function that writes it when it is first needed. `timeout` is in seconds. `workspace`
    is the run's private clone, `folder` keeps the run's files (`.team/runs/<run>`), and `home` is the `.team` folder.
    Set `stop` to end the run early. A job with `leave` may outlive its scheduler: once that is set, the run goes on
    without it, as far as its agent is a process. `mail` is the command that sends the mail of a run whose agent is a
    process. `assignment` is the task, for a run that a dispatch started. `human` is the id of the team's human, which
    a flag may have set, so that mail within the run knows it. `slot` is the number that no other run of the team has
    while this one lives, and `port` the first of the ports that it may listen on. `on_usage` is called with what
    the run has used so far, whenever its stream tells more. `session` is the one in whose name it writes. `rules` are
    what an agent that asks is allowed, `model` is the one that its persona asks for, and `resume` the agent's own
    session that is to go on; both are empty if that is left to the agent. `answers` is who answers what the run asks.
    """

    run: str
    persona: str
    attempt: int
    sprint: int
    words: str | Callable[[], str]
    workspace: Path
    folder: Path
    home: Path
    timeout: float
    stop: threading.Event = field(default_factory=threading.Event)
    assignment: Assignment | None = None
    human: str = ""
    mail: MailCommand | None = None
    leave: threading.Event | None = None
    slot: int = 0
    port: int = 0
    on_usage: Callable[[Usage], object] | None = None
    session: str | None = None
    rules: Rules = field(default_factory=Rules)
    model: str = ""
    resume: str = ""
    answers: str = ""

    @cached_property
    def prompt(self) -> str:
        """The text of the prompt. Raises PersonaError if its template cannot be rendered."""
        return self.words if isinstance(self.words, str) else self.words()

    def say(self, text: str) -> None:
        """Add a text to the run's output, `output.log`, which others may be reading: for agents that are functions.

        Beyond `MOST_SAID` bytes nothing is added but one line that says so. Raises OSError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(self.folder / "output.log", flags, 0o600)
        try:
            data, room = text.encode(errors="replace"), MOST_SAID - os.fstat(file).st_size
            if len(data) > room:
                data = data[:room] + _NO_MORE if room > 0 else b""
            os.write(file, data)
        finally:
            os.close(file)

    def write_prompt(self) -> Path:
        """Write the prompt to `prompt.md`: in the run's folder for people, in the workspace for the agent.

        Returns the path in the workspace.
        """
        text = self.prompt.encode(errors="replace")
        for folder in (self.folder, self.workspace / RUN_FOLDER):
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / "prompt.md", text)  # whatever stands there is not written to
        return self.workspace / RUN_FOLDER / "prompt.md"


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    `exit` is the exit code: None if the agent never started or was ended by a signal. `seconds` is how long it ran,
    and `detail` is one line for people. `cut` is true if part of the output was dropped. `output` is the run's result
    as a JSON value, or None if it has none. `unless_changed` says why it is no success if it changed no file,
    `unless_heard` the same for a run that sent no mail either; both are empty where that makes no difference. `usage`
    is what it used of a model, and `until` when a service that took no more will take more, if it said so.
    `hopeless` tells that the agent never started, or was ended by its budget, and the next time would be the same.
    `base` is the commit that its files are to be compared with, empty for the one that the run started from.
    """

    status: OutcomeStatus
    exit: int | None
    seconds: float
    detail: str
    cut: bool = False
    output: Any = None
    unless_changed: str = ""
    unless_heard: str = ""
    usage: Usage = UNKNOWN
    until: datetime | None = None
    hopeless: bool = False
    base: str = ""

    def __post_init__(self) -> None:
        """Take the status of an agent that wrote it as plain text. Raises ValueError for one that does not exist."""
        object.__setattr__(self, "status", OutcomeStatus(self.status))

    @classmethod
    def not_begun(cls) -> Outcome:
        """Return the outcome of a run that was stopped before it began."""
        return cls(OutcomeStatus.STOPPED, None, 0.0, "stopped before it began")


class Agent(Protocol):
    """Anything that can play a persona."""

    def trouble(self) -> str | None:
        """Return why no run can start at all, and what to do about it; None if all is well."""
        ...

    def play(self, job: Job) -> Outcome:
        """Play the persona. Return once the run has ended and none of its processes is alive."""
        ...
