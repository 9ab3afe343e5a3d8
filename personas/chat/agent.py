"""An agent that is a chat model: a program of ours that speaks to its server, run below a keeper as any command."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...mail.clock import SystemClock
from ...mail.errors import UsageError
from ..agent import Job, Outcome
from ..agents.command import CommandAgent
from ..environment import reaching
from ..hidden import SECRET, given
from ..kinds import OutcomeStatus
from ..running.folder import RunFolder
from ..running.process import RunLimits
from ..web.exchange import resolve
from .about import ServerFacts
from .orders import HOPELESS, RESULT, Orders, pack

_PROGRAM = ("-P", "-m", "team_mail.personas.chat.play")
_MOST = 1 << 16  # bytes of what a run says of its end


@dataclass(frozen=True)
class ChatAgent(CommandAgent):
    """A command that plays personas by a chat model.

    The key of its server is the first variable of `env`, or else of `env_file`, that is set and has the name of a
    secret; it is masked in the output.
    """

    orders: Orders = field(default_factory=lambda: Orders("", ""))

    def look(self) -> str:
        """Ask the server about itself; return what it says. Raises ChatError, and UsageError for the env_file."""
        key, value = self._key()
        return ServerFacts(replace(self.orders, key=key), value, SystemClock(), resolve).check()

    def _play(self, job: Job) -> Outcome:
        rules = pack([job.rules.paths, job.rules.commands])
        orders = replace(self.orders, key=self._key()[0]).packed()
        model = ("--model", job.model) if job.model else ()
        own = ("--orders", orders, "--rules", rules, *model, "--timeout", "{timeout}", "{prompt_file}")
        agent = replace(self, command=(*self.command, *own))
        return CommandAgent._play(agent, job)  # noqa: SLF001

    def _concluded(self, job: Job, outcome: Outcome, masked: Collection[str]) -> Outcome:
        """Add to the outcome whether the next run would fail in the same way."""
        outcome = super()._concluded(job, outcome, masked)
        failed = outcome.status == OutcomeStatus.FAILED
        return replace(outcome, hopeless=outcome.hopeless or (failed and _is_hopeless(job.workspace)))

    def _key(self) -> tuple[str, str]:
        """Return the name of the variable with the key, and the key; both are empty if there is none."""
        own = self._secrets()
        variables = {**given(), **own}
        names = [*reaching(self.env, variables), *own]
        return next(
            ((name, variables[name]) for name in names if SECRET.search(name) and variables.get(name)), ("", "")
        )


def chat_agent(
    name: str, orders: Orders, env: tuple[str, ...] = (), env_file: Path | None = None, limits: RunLimits | None = None
) -> ChatAgent:  # fmt: skip
    """Return the agent that follows these orders."""
    words = (sys.executable, *_PROGRAM)
    return ChatAgent(name, words, "stdin", env, env_file, limits or RunLimits(), orders=orders)


def _is_hopeless(workspace: Path) -> bool:
    with suppress(OSError, ValueError, UsageError, AttributeError):
        value: Any = json.loads(RunFolder(workspace).read("", RESULT, _MOST))
        return value.get(HOPELESS) is True
    return False
