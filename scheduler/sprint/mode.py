"""The feature flag: whether a sprint runs in parallel or in sequence, and the rule that says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

from ..kinds import Mode, ModeRequest, RunStatus
from ..state.facts import Run, Sprint

_NOT_COUNTED = frozenset(  # no agent failed
    {RunStatus.OPEN, RunStatus.LOST, RunStatus.STOPPED, RunStatus.SETUP, RunStatus.LIMITED}
)
_OF_SETTINGS = frozenset({ModeRequest.AUTO, ModeRequest.CYCLE})
_SMALLEST_BATCH = 2  # a single failed run does not show that running in parallel is to blame


class ModeSettings(Protocol):
    """The settings of the `[sprint]` table that choose the mode."""

    @property
    def parallel(self) -> str | Sequence[int]:
        """Say "always", "never", "every N", or give a list of sprint numbers."""
        ...

    @property
    def sequential_only(self) -> Sequence[int]:
        """Sprints that are never parallel."""
        ...

    @property
    def rolling(self) -> str:
        """Say "always", "never" or "every N"."""
        ...

    @property
    def max_parallel(self) -> int:
        """The most runs at the same time."""
        ...

    @property
    def fallback_above(self) -> float:
        """The share of a batch that may fail before the rest of the sprint is sequential."""
        ...


class Policy(ModeSettings, Protocol):
    """The `[sprint]` table. Durations are in seconds."""

    @property
    def gather(self) -> float:
        """How long a patch waits for others, in a rolling sprint."""
        ...

    @property
    def red_base(self) -> str:
        """Whether anybody is launched although a gate fails on the base: "stop" or "go on"."""
        ...

    @property
    def max_attempts(self) -> int:
        """The most launches of one persona in one sprint."""
        ...

    @property
    def max_reviews(self) -> int:
        """The most reviews that one persona is launched for in one sprint."""
        ...

    @property
    def max_wakes(self) -> int:
        """The most launches by mail in one sprint; 0 means three for each persona."""
        ...

    @property
    def wakes_not(self) -> tuple[str, ...]:
        """The types of mail that is no reason to launch anybody."""
        ...

    @property
    def retry_backoff(self) -> float:
        """The pause before the first retry; it doubles with each further retry."""
        ...

    @property
    def deadline(self) -> float:
        """The longest a sprint may take."""
        ...


def mode_of(
    number: int, settings: ModeSettings, runs: Iterable[Run], requested: str, sprint: Sprint | None
) -> tuple[str, str]:
    """Return the mode of sprint `number` and the rule that chose it.

    `requested` is a mode, which overrides everything, or leaves it to the rest ("auto", "cycle"); `sprint` is the
    sprint if it has begun, and keeps its mode unless too many of its `runs` failed; a new sprint's mode is that of the
    settings.
    """
    if requested not in _OF_SETTINGS:
        return requested, f"--mode {requested}"
    mode, rule = (sprint.mode, sprint.rule) if sprint else _mode_in(settings, number)
    fallback = _fallback_of_last if sprint and sprint.rolling else _fallback
    if mode == Mode.PARALLEL and (why := fallback([*runs], settings)):
        return Mode.SEQUENTIAL, why
    return mode, rule


def is_rolling(number: int, settings: ModeSettings, requested: str, sprint: Sprint | None) -> bool:
    """Tell whether sprint `number` goes on as its runs end; one that has begun stays as it began.

    Where one persona runs after the other, there is nothing to wait for.
    """
    if sprint:
        return sprint.rolling
    if mode_of(number, settings, (), requested, None)[0] == Mode.SEQUENTIAL:
        return False
    match = re.fullmatch(r"every (\d+)", settings.rolling)
    return number % int(match[1]) == 0 if match else settings.rolling == "always"


def _mode_in(settings: ModeSettings, number: int) -> tuple[str, str]:
    parallel = settings.parallel
    if number in settings.sequential_only:
        return Mode.SEQUENTIAL, f"sequential_only names sprint {number}"
    if not isinstance(parallel, str):
        mode = Mode.PARALLEL if number in parallel else Mode.SEQUENTIAL
        return mode, f"parallel = {[*parallel]}, this is sprint {number}"
    if match := re.fullmatch(r"every (\d+)", parallel):
        mode = Mode.SEQUENTIAL if number % int(match[1]) else Mode.PARALLEL
        return mode, f'parallel = "{parallel}", this is sprint {number}'
    return (Mode.PARALLEL if parallel == "always" else Mode.SEQUENTIAL), f'parallel = "{parallel}"'


def _fallback_of_last(runs: Sequence[Run], settings: ModeSettings) -> str | None:
    """Say when of as many runs as may go on at once, one after the other in their ends, too many failed."""
    ended = sorted((run for run in runs if run.status not in _NOT_COUNTED), key=lambda run: run.finished or "")
    width = max(_SMALLEST_BATCH, min(settings.max_parallel, len({run.persona for run in runs})))
    failed = [run.status != RunStatus.OK for run in ended]
    for end in range(width, len(ended) + 1):
        if (count := sum(failed[end - width : end])) > settings.fallback_above * width:
            return f"fallback: {count} of {width} runs in a row failed, more than {settings.fallback_above:.0%}"
    return None


def _fallback(runs: Sequence[Run], settings: ModeSettings) -> str | None:
    """Name a batch of which too many failed; runs without an agent, lost or stopped, do not count."""
    share = settings.fallback_above
    for tick, batch in groupby(sorted(runs, key=lambda run: run.tick), key=lambda run: run.tick):
        ended = [run for run in batch if run.status not in _NOT_COUNTED]
        failed = sum(run.status != RunStatus.OK for run in ended)
        if len(ended) >= _SMALLEST_BATCH and failed > share * len(ended):
            return f"fallback: {failed} of {len(ended)} runs of tick {tick} failed, more than {share:.0%}"
    return None
