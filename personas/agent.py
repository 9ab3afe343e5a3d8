"""What brings a persona to life: given a job, an agent plays it to its end and tells how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Assignment:
    """The task that a run is for, where a dispatch gave it one: its id, what to do, and its input as JSON has it."""

    dispatch: str
    task: str
    description: str
    input: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Job:
    """What an agent is given: who it is to be, with which words, where, and for how long.

    `words` are its prompt, or write it when it is first asked for. `timeout` is in seconds. `workspace` is the run's
    private clone, `folder` is where its papers go (`.team/runs/<run>`), `home` is the `.team` folder. Whoever wants the
    run to end before its time sets `stop`; `assignment` is the task of a run that a dispatch started. `human` is the id
    of the team's human, which a flag may have set, so that mail within the run knows it.
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

    @cached_property
    def prompt(self) -> str:
        """What the agent is told. Raises PersonaError for a template that cannot be rendered."""
        return self.words if isinstance(self.words, str) else self.words()

    def write_prompt(self) -> Path:
        """Keep the prompt among the run's papers, as `prompt.md`, for the agent and for people."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "prompt.md"
        file.write_text(self.prompt, errors="replace", newline="")
        return file


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `exit` is None if it never ran or a signal ended it; `detail` is one line for people.

    `status` is "ok", "failed", "timeout", "stopped" or "quota"; `cut` says that not all output was kept. `output` is
    what the run gave as its result, as JSON has it; None if it gave none.
    """

    status: str
    exit: int | None
    seconds: float
    detail: str
    cut: bool = False
    output: Any = None


class Agent(Protocol):
    """Whoever can play a persona."""

    def trouble(self) -> str | None:
        """Say why no run can be started at all, and what to do about it; None if all is well."""
        ...

    def play(self, job: Job) -> Outcome:
        """Play the persona. Returns when it has ended and nothing of it is alive any more."""
        ...
