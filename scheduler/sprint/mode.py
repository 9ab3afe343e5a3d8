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
    def fallback_above(self) -> float:
        """The share of a batch that may fail before the rest of the sprint is sequential."""
        ...


def mode_of(
    number: int, settings: ModeSettings, runs: Iterable[Run], requested: str, sprint: Sprint | None
) -> tuple[str, str]:
    """Return the mode of sprint `number` and the rule that chose it.

    `requested` is "auto" or a mode, which overrides everything; `sprint` is the sprint if it has begun, and keeps its
    mode unless too many of its `runs` failed; a new sprint's mode is that of the settings.
    """
    if requested != ModeRequest.AUTO:
        return requested, f"--mode {requested}"
    mode, rule = (sprint.mode, sprint.rule) if sprint else _mode_in(settings, number)
    if mode == Mode.PARALLEL and (fallback := _fallback(runs, settings.fallback_above)):
        return Mode.SEQUENTIAL, fallback
    return mode, rule


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


def _fallback(runs: Iterable[Run], share: float) -> str | None:
    """Name a batch of which more than `share` failed; runs without an agent, lost or stopped, do not count."""
    for tick, batch in groupby(sorted(runs, key=lambda run: run.tick), key=lambda run: run.tick):
        ended = [run for run in batch if run.status not in _NOT_COUNTED]
        failed = sum(run.status != RunStatus.OK for run in ended)
        if len(ended) >= _SMALLEST_BATCH and failed > share * len(ended):
            return f"fallback: {failed} of {len(ended)} runs of tick {tick} failed, more than {share:.0%}"
    return None
