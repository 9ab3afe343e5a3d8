"""An agent that is a session of Jules: a program of ours that speaks to it, run below a keeper as any other command."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from ..agent import Job, Outcome
from ..agents.command import CommandAgent
from ..hidden import given
from ..kinds import OutcomeStatus
from ..running.folder import RunFolder
from ..running.process import RunLimits
from .orders import CHANGED, RESULT, VARIABLE, Orders

_PROGRAM = ("-P", "-m", "team_mail.personas.jules.play")
_MOST = 1 << 16  # bytes of what a run says of its session


@dataclass(frozen=True)
class JulesAgent(CommandAgent):
    """A command that plays personas by sessions of Jules; its outcome tells what the session came to.

    The API key is `JULES_API_KEY`, from the scheduler's environment or from `env_file`, and is masked in the output.
    """

    def trouble(self) -> str | None:
        """Return what is wrong with the command or the env_file, or that there is no key, and what to do."""
        if why := super().trouble():
            return why
        if ({**given(), **self._secrets()}).get(VARIABLE):
            return None
        return f"agent {self.name}: {VARIABLE} is not set; set it, or write it into the file that env_file names"

    def _words(self, job: Job) -> tuple[str, ...]:
        return (*super()._words(job), "--answers", job.answers) if job.answers else super()._words(job)

    def _concluded(self, job: Job, outcome: Outcome, masked: Collection[str]) -> Outcome:
        """Add to the outcome what the session came to, and the commit that its change is a change of."""
        outcome, told = super()._concluded(job, outcome, masked), _told(job.workspace)
        if outcome.status != OutcomeStatus.OK or not told:
            return outcome
        came = "completed" if told.get("outcome") == CHANGED else "completed without a change set"
        detail = f"{outcome.detail}; session {told.get('session')} {came}"
        return replace(outcome, detail=detail, base=str(told.get("base") or ""))


def jules_agent(
    name: str, orders: Orders, env_file: Path | None = None, limits: RunLimits | None = None
) -> JulesAgent:  # fmt: skip
    """Return the agent whose sessions follow these orders."""
    own = ("--sprint", "{sprint}", "--timeout", "{timeout}", "{prompt_file}")
    words = (sys.executable, *_PROGRAM, "--orders", json.dumps(asdict(orders)), *own)
    return JulesAgent(name, words, "file", (VARIABLE,), env_file, limits or RunLimits())


def _told(workspace: Path) -> dict[str, Any]:
    """Return what a run said of its session, nothing if it said nothing."""
    with suppress(OSError, ValueError):
        value: Any = json.loads(RunFolder(workspace).read("", RESULT, _MOST))
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return {}
