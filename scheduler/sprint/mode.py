"""The feature flag: whether a sprint runs all at once or one after the other, and the rule that says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

from ..kinds import Mode
from ..state.facts import LOST, OPEN, Run, Sprint

_SMALLEST_BATCH = 2  # one run that fails is no sign that running at once is to blame


class ModeSettings(Protocol):
    """What of the `[sprint]` table chooses the mode."""

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


def mode_of(number: int, flag: ModeSettings, runs: Iterable[Run], asked: str, sprint: Sprint | None) -> tuple[str, str]:
    """Return a sprint's mode and the rule that chose it: by hand, as it began, a fallback, or the flag."""
    if asked != "auto":
        return asked, f"--mode {asked}"
    mode, rule = (sprint.mode, sprint.rule) if sprint else _flagged(number, flag)
    if mode == Mode.PARALLEL and (fell := _fallback(runs, flag.fallback_above)):
        return Mode.SEQUENTIAL, fell
    return mode, rule


def _flagged(number: int, flag: ModeSettings) -> tuple[str, str]:
    told = flag.parallel
    if number in flag.sequential_only:
        return Mode.SEQUENTIAL, f"sequential_only names sprint {number}"
    if not isinstance(told, str):
        return (Mode.PARALLEL if number in told else Mode.SEQUENTIAL), f"parallel = {[*told]}, this is sprint {number}"
    if match := re.fullmatch(r"every (\d+)", told):
        return (
            Mode.SEQUENTIAL if number % int(match[1]) else Mode.PARALLEL
        ), f'parallel = "{told}", this is sprint {number}'
    return (Mode.PARALLEL if told == "always" else Mode.SEQUENTIAL), f'parallel = "{told}"'


def _fallback(runs: Iterable[Run], share: float) -> str | None:
    """Find a batch of which more failed than may; runs lost with their scheduler say nothing of the batch."""
    for tick, batch in groupby(sorted(runs, key=lambda run: run.tick), key=lambda run: run.tick):
        ended = [run for run in batch if run.status not in {OPEN, LOST, "stopped"}]
        failed = sum(run.status != "ok" for run in ended)
        if len(ended) >= _SMALLEST_BATCH and failed > share * len(ended):
            return f"fallback: {failed} of {len(ended)} runs of tick {tick} failed, more than {share:.0%}"
    return None
