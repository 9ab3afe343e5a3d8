"""What only shows once a run's changes are captured: whether it did anything, and made what was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from traceback import format_exception_only
from typing import Any, cast

from ...mail.errors import TeamMailError
from ...mail.render import line, listed
from ...personas.agent import Agent, Job, Outcome
from ...personas.kinds import OutcomeStatus
from ...personas.spending.throttle import throttled
from ...personas.streams.transcript import Transcript
from ...personas.workspace import Captured
from ..payload import text_of
from .conflict import ConflictFiles
from .launch import Launch

_STRICT = "strict"
_LAST_LINES = 3  # in which an agent without a known stream says why it failed


@dataclass(frozen=True)
class Evidence:
    """What is known of a run that has ended, besides its outcome.

    `place` is its workspace, and `captured` what it changed there, None without a repository. `in_base` tells whether a
    path is in the commit that the run started from, `sent` whether it sent mail. `conflict` is what it was given of a
    conflict of its earlier patch, and `question` what it asks at its end, "" if nothing.
    """

    place: Path
    captured: Captured | None
    in_base: Callable[[str], bool]
    sent: Callable[[], bool]
    conflict: ConflictFiles
    question: str = ""


def judged(launch: Launch, outcome: Outcome, evidence: Evidence) -> Outcome:
    """Return the outcome of a run, failed if it ended well and yet did not do what it was for."""
    if outcome.status != OutcomeStatus.OK:
        return outcome
    why = _without_effect(outcome, evidence) or _unsettled(evidence) or _undelivered(launch, outcome, evidence)
    why = why or _unanswered(launch, outcome, evidence)
    if not why:
        return outcome
    return replace(outcome, status=OutcomeStatus.FAILED, detail=f"{outcome.detail}, but {why}")


def _without_effect(outcome: Outcome, evidence: Evidence) -> str:
    if evidence.captured and evidence.captured.patch and not evidence.conflict.untouched(evidence.captured):
        return ""
    return outcome.unless_changed or ("" if not outcome.unless_heard or evidence.sent() else outcome.unless_heard)


def _unsettled(evidence: Evidence) -> str:
    files = evidence.conflict.unsettled(evidence.captured)
    return f"it left conflict markers in {listed([line(file) for file in files])}" if files else ""


def _undelivered(launch: Launch, outcome: Outcome, evidence: Evidence) -> str:
    """Say what is wrong with the output that a task declares."""
    given: Mapping[str, Any] = launch.assignment.input if launch.assignment else {}
    path = given.get("output_path")
    if isinstance(path, str) and path and (why := _unmade(path, evidence)):
        return f"output_path {line(path)[:200]} {why}"
    result = cast("dict[str, Any]", outcome.output) if isinstance(outcome.output, dict) else {}
    if given.get("validation_level") == _STRICT and result.get("validation_passed") is False:
        return "validation_passed is false, and its validation_level is strict"
    return ""


def _unanswered(launch: Launch, outcome: Outcome, evidence: Evidence) -> str:
    """Say that a task ended in a question: it changed nothing and has no result but what it asks."""
    result = cast("dict[str, Any]", outcome.output) if isinstance(outcome.output, dict) else {}
    is_done = bool(evidence.captured and evidence.captured.patch) or (
        outcome.output is not None and {*result} != {"text"}
    )
    return "" if is_done or not (launch.assignment and evidence.question) else f"it asks: {evidence.question}"


def _unmade(path: str, evidence: Evidence) -> str:
    """Say why a path was not made; an absolute one was allowed to be outside of the workspace."""
    if os.path.isabs(path):  # noqa: PTH117 - a text, which the task gave
        return "" if os.path.lexists(path) else "was not made"
    inside = os.path.normpath(path)
    if not os.path.lexists(evidence.place / inside):
        return "was not made"
    if evidence.captured is None or evidence.in_base(inside):
        return ""
    made = any(name == inside or name.startswith(f"{inside}/") for name in evidence.captured.files)
    return "" if made else "was made where git ignores it, so nothing of it is kept"


def limited(outcome: Outcome, is_command: bool, transcript: Callable[[], Transcript], now: datetime) -> Outcome:
    """Tell a run whose service took no more from one that failed."""
    if outcome.status not in {OutcomeStatus.FAILED, OutcomeStatus.TIMEOUT}:
        return outcome
    refused = throttled(_complaint(transcript()) if is_command else outcome.detail, now)
    return replace(outcome, status=OutcomeStatus.LIMITED, until=refused.until) if refused else outcome


def _complaint(transcript: Transcript) -> str:
    """Return what an agent passed on of an error: what it wrote of its work is none of its service's words."""
    if why := transcript.failed or transcript.complaint:
        return why
    if transcript.known:
        return "" if transcript.finished else transcript.stray
    return "\n".join(transcript.text.rstrip().split("\n")[-_LAST_LINES:])


def play(agent: Agent, job: Job) -> Outcome:
    """Let the agent play. An exception raised by an agent that a program supplied fails only this run."""
    try:
        return agent.play(job)
    except (TeamMailError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - see above
        return Outcome(OutcomeStatus.FAILED, None, 0.0, line("".join(format_exception_only(error)).strip()))


def storable(outcome: Outcome) -> Outcome:
    """Fail a run whose result is not JSON: it could neither be stored nor passed to other tasks."""
    try:
        text_of(outcome.output)
    except ValueError as error:
        detail = f"its result cannot be kept: {error}"
        return replace(outcome, status=OutcomeStatus.FAILED, detail=detail, output=None)
    return outcome
