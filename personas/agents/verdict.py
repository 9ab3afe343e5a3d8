"""How a run of a command ended: what its process and its stream of events say, together.

A run is `ok` only if its process ended well and, where it prints events, the final one came and says success. What
depends on what the run changed is left open here, in `Outcome.unless_changed` and `Outcome.unless_heard`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from ..agent import Outcome
from ..kinds import OutcomeStatus
from ..streams.transcript import Transcript, headline

BadExit = Literal["failed", "ok"]
_LAST_WORDS = 200  # characters
_BROKE_OFF = "its stream broke off without its final event"


def verdict(outcome: Outcome, transcript: Transcript, bad_exit: BadExit = "failed") -> Outcome:
    """Return the outcome of a run, judged by its transcript.

    `bad_exit` is what an exit code other than 0 makes of a run whose final event says success.
    """
    if outcome.status == OutcomeStatus.OK:
        return _ended_well(outcome, transcript)
    if outcome.status == OutcomeStatus.STOPPED:
        return outcome
    detail = outcome.detail
    if transcript.failed or transcript.complaint:
        return replace(
            outcome, detail=f"{detail}; the agent reported an error: {transcript.failed or transcript.complaint}"
        )
    if outcome.status == OutcomeStatus.FAILED and outcome.exit and transcript.known and transcript.finished:
        after = replace(outcome, detail=f"{detail}, after a final event that says success")
        return _doubted(replace(after, status=OutcomeStatus.OK), transcript) if bad_exit == "ok" else after
    return outcome


def _ended_well(outcome: Outcome, transcript: Transcript) -> Outcome:
    """Judge by the stream alone."""
    if transcript.failed:
        return failed(outcome, f"the agent reported an error: {transcript.failed}")
    if transcript.known and not transcript.finished:
        return failed(outcome, f"{_BROKE_OFF}: {transcript.complaint}" if transcript.complaint else _BROKE_OFF)
    return _doubted(outcome, transcript)


def _doubted(outcome: Outcome, transcript: Transcript) -> Outcome:
    denied = f"it was not allowed to use {transcript.denied}, and changed nothing" if transcript.denied else ""
    empty = (
        "its result is empty, and it neither changed a file nor sent mail"
        if transcript.known and not transcript.text
        else ""
    )
    return replace(outcome, unless_changed=denied, unless_heard=empty)


def failed(outcome: Outcome, reason: str) -> Outcome:
    """Return the outcome of a run whose process ended well, and which failed all the same."""
    return replace(outcome, status=OutcomeStatus.FAILED, detail=f"{outcome.detail}, but {reason}", output=None)


def with_last_words(outcome: Outcome, transcript: Callable[[], Transcript]) -> Outcome:
    """Add the last line that a run printed to how it failed or timed out, unless its stream says why."""
    late = outcome.status == OutcomeStatus.TIMEOUT
    if not late and (outcome.status != OutcomeStatus.FAILED or not outcome.exit):
        return outcome
    said = transcript()
    if said.failed or said.complaint:
        return outcome
    text = said.stray or ("" if said.finished or (late and said.known) else said.text)
    last = headline(text.split("\n"))[-_LAST_WORDS:]
    how, mark, notes = outcome.detail.partition("; ")
    words = f"; the last that it printed: {last}" if late else f": {last}"
    return replace(outcome, detail=f"{how}{words}{mark}{notes}") if last else outcome
