"""What templates do with a value: words of a tone, figures and moments for people, queries of links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from ....mail.text.escape import clean
from ....scheduler.kinds import (
    AgentStatus,
    ClaimState,
    DeployOutcome,
    DispatchStatus,
    PatchStatus,
    RunStatus,
    ScheduleOutcome,
    SessionStatus,
    SprintOutcome,
    TaskStatus,
)
from .diff import files_of

_SHORT = 8
_MINUTE, _HOUR = 60, 3600
_GOOD = (
    RunStatus.OK, PatchStatus.LANDED, PatchStatus.PRESENT, TaskStatus.SUCCESS, SprintOutcome.CONVERGED, ClaimState.DONE,
    DeployOutcome.DEPLOYED, AgentStatus.AVAILABLE, SessionStatus.ACTIVE, "passed",
)  # fmt: skip
_BUSY = (
    RunStatus.OPEN, RunStatus.LIMITED, PatchStatus.PENDING, AgentStatus.BUSY, ClaimState.CLAIMED, ClaimState.WAITING,
    "under way", "running", "queued",
)  # fmt: skip
_WARN = (
    PatchStatus.HELD, PatchStatus.CONFLICTED, RunStatus.LOST, RunStatus.QUOTA, RunStatus.STOPPED, TaskStatus.BLOCKED,
    DispatchStatus.PARTIAL, ClaimState.ASIDE, AgentStatus.STALE, SprintOutcome.SPENT, SprintOutcome.BUDGET,
    SprintOutcome.DEADLINE, SprintOutcome.UNJUDGED, SessionStatus.PAUSED, DeployOutcome.SKIPPED_POLICY,
    ScheduleOutcome.CUT_OFF,
)  # fmt: skip
_BAD = (
    RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.SETUP, PatchStatus.REFUSED, PatchStatus.REJECTED,
    PatchStatus.DROPPED, TaskStatus.ERROR, DispatchStatus.FAILURE, SprintOutcome.BROKEN,
)  # fmt: skip
_TONES = {"good": _GOOD, "busy": _BUSY, "warn": _WARN, "bad": _BAD}
_TONE = {str(word): tone for tone, words in _TONES.items() for word in words}


def tone(word: Any) -> str:
    """Return the tone of a status: good, busy, warn, bad, or plain for any other word."""
    return _TONE.get(str(word), "plain")


def short(run: Any) -> str:
    """Return the beginning of an id, as commands print it."""
    return str(run)[:_SHORT]


def moment(text: Any) -> str:
    """Return a moment of the log in short, in UTC: `2026-01-02 03:04Z`; another text as it is."""
    try:
        return f"{datetime.fromisoformat(str(text)):%Y-%m-%d %H:%M}Z"
    except ValueError:
        return str(text)


def span(seconds: float) -> str:
    """Return a time span in the two largest units: `4.2 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


def money(usd: float) -> str:
    """Return an amount of US dollars; below a cent with all digits that matter."""
    return f"${usd:.2f}" if usd >= 0.01 or not usd else f"${usd:.4f}"  # noqa: PLR2004


def segment(text: Any) -> str:
    """Return a text as it stands in an address, as one part of a path or as a value of a query."""
    return quote(str(text), safe="")


def without(query: Mapping[str, str], name: str) -> str:
    """Return a query without one of its variables."""
    return urlencode({key: value for key, value in query.items() if key != name})


def with_(query: Mapping[str, str], name: str, value: Any) -> str:
    """Return a query with one of its variables set."""
    return urlencode({**query, name: str(value)})


FILTERS: dict[str, Any] = {
    "clean": clean, "files_of": files_of, "money": money, "moment": moment, "segment": segment, "short": short,
    "span": span, "tone": tone, "with_": with_, "without": without,
}  # fmt: skip
