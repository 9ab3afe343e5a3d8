"""One line of diagnostics made of a progress report: its level, its event, and the values in it."""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

from ...personas.agent import Outcome
from ...personas.kinds import OutcomeStatus
from ...personas.spending.usage import Usage
from ...scheduler.progress import Progress
from ...scheduler.runs.launch import Launch
from ...scheduler.runs.progress import RunPlaced, RunUsed, SetUpFailed

_WELL = frozenset({OutcomeStatus.OK, OutcomeStatus.STOPPED})
_DETAILED = (RunPlaced, RunUsed)  # several a second


class Entry(NamedTuple):
    """A level of `logging`, the name of what happened, and the fields of the line."""

    level: int
    event: str
    fields: dict[str, Any]


def entry_of(progress: Progress) -> Entry:
    """Return the line of a progress report: `RunStarted` is the event `run.started`."""
    fields: dict[str, Any] = {}
    launch, outcome, usage, summary = (
        getattr(progress, name, None) for name in ("launch", "outcome", "usage", "summary")
    )
    if isinstance(launch, Launch):
        fields |= _of_launch(launch)
    if isinstance(outcome, Outcome):
        fields |= {"status": str(outcome.status), "seconds": round(outcome.seconds, 3)} | _of_usage(outcome.usage)
        fields |= {} if outcome.status in _WELL else {"error": outcome.detail}
    if isinstance(usage, Usage):
        fields |= _of_usage(usage)
    if summary is not None:
        fields |= {"sprint": summary.sprint, "status": summary.outcome, "seconds": summary.seconds}
    level = logging.WARNING if "error" in fields or isinstance(progress, SetUpFailed) else logging.INFO
    return Entry(logging.DEBUG if isinstance(progress, _DETAILED) else level, _name(progress), fields)


def _of_launch(launch: Launch) -> dict[str, Any]:
    fields: dict[str, Any] = {"run": launch.run, "persona": launch.persona, "agent": launch.agent}
    fields["attempt"] = launch.attempt
    if launch.assignment:
        return fields | {"dispatch": launch.assignment.dispatch, "task": launch.assignment.task}
    return fields | {"sprint": launch.sprint}


def _of_usage(usage: Usage) -> dict[str, Any]:
    figures = {"usd": usage.usd, "input_tokens": usage.input, "output_tokens": usage.output}
    return {name: value for name, value in figures.items() if value is not None}


def _name(progress: Progress) -> str:
    words = re.findall(r"[A-Z][a-z]+", type(progress).__name__)
    return ".".join(words).lower() if type(progress) is not Progress else "progress"
