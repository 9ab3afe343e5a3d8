"""Services that take no more for now: who is parked until when, and how many runs of an agent may go on at once.

The width of an agent is halved by each refusal and grows by one with each success, as TCP treats a congested line: of
the runs that were under way at a refusal no other one halves it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..kinds import RunStatus
from ..state.facts import Run
from ..state.windows import window_of

MOST_REFUSALS = 10  # of one persona in a row that are no failures of its agent
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=10)


class Parked(NamedTuple):
    """Until when a persona waits for the service of an agent, or for its budget, and what was said."""

    until: datetime
    why: str
    agent: str


def parked_until(agent: str, own: Sequence[Run], served: Sequence[Run], now: datetime) -> tuple[datetime, str] | None:
    """Return until when a persona is parked that an agent is to play, and what its service said; None if it is not.

    A service that named a time parks everybody whom the agent plays, unless a run of it ended well since. Whom it
    refused is parked for a minute at least, and twice as long with each further refusal in a row. `own` are the
    persona's runs in a sprint; `served` are all that count for the time.
    """
    waits = (window_of(agent, served, now), _pause([run for run in own if run.agent == agent], now))
    return max(filter(None, waits), key=lambda parked: parked[0], default=None)


def moment_text(until: datetime, now: datetime) -> str:
    """Write a time that is to come: with its day, if that is not today."""
    day = "" if until.date() == now.astimezone(UTC).date() else f"{until:%Y-%m-%d} "
    return f"{day}{until:%H:%M:%S}Z"


def excess(runs: Iterable[Run]) -> int:
    """Return how many runs of a persona, the oldest first, count as failures although its service refused them.

    After so many refusals without a success nobody believes that it is the service, or that it will take more.
    """
    row = count = 0
    for run in runs:
        row = 0 if run.status == RunStatus.OK else row + (run.status == RunStatus.LIMITED)
        count += run.status == RunStatus.LIMITED and row > MOST_REFUSALS
    return count


def pause_after(refusals: int) -> timedelta:
    """Return the least pause after so many refusals in a row, from 1."""
    return min(_FIRST_PAUSE * 2 ** min(refusals - 1, 10), _LONGEST_PAUSE)


def _pause(own: Sequence[Run], now: datetime) -> tuple[datetime, str] | None:
    refused = 0
    for run in reversed(own):
        if run.status != RunStatus.LIMITED:
            break
        refused += 1
    if not refused:
        return None
    due = datetime.fromisoformat(own[-1].finished or own[-1].started) + pause_after(refused)
    return (due, own[-1].detail) if due > now else None


@dataclass
class Width:
    """How many runs of an agent may go on at once: `most` at first and at most."""

    most: int
    now: int = 0
    _halved: str = ""  # when it was halved the last time

    def __post_init__(self) -> None:
        self.now = self.now or self.most

    def ended(self, status: str, started: str, finished: str) -> None:
        """Take how a run ended, with its times as in the log; runs are given in the order of their ends."""
        if status == RunStatus.LIMITED and started > self._halved:
            self.now, self._halved = max(1, self.now // 2), finished
        elif status == RunStatus.OK:
            self.now = min(self.most, self.now + 1)


def width_of(agent: str, runs: Iterable[Run], most: int) -> Width:
    """Return the width of an agent after the runs of a sprint."""
    width = Width(most)
    ended = [(run.finished, run) for run in runs if run.agent == agent and run.finished]
    for finished, run in sorted(ended, key=lambda pair: pair[0]):
        width.ended(run.status, run.started, finished)
    return width
