"""What ended sprints came to, kept by a process that is asked again: once nothing of one is open, it never changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import takewhile

from ..kinds import PatchStatus, RunStatus
from .reading import Span
from .sprints import State
from .summary import Summary, summary

_MOST = 1000


class EndedSprints:
    """Summaries of sprints that can change no more, the last ones that were asked for. Threads may share it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._kept: dict[Span, Summary] = {}

    def summed(
        self, spans: Sequence[Span], read: Callable[[Sequence[Span]], State], now: datetime
    ) -> tuple[Summary, ...]:
        """Sum up sprints in a row, those from the first one on that is not kept by what `read` says of them.

        `now` stands in for the end of one that is open.
        """
        with self._turn:
            known = tuple(self._kept[span] for span in takewhile(self._kept.__contains__, spans))
        left = spans[len(known) :]
        if not left:
            return known
        state, numbers = read(left), {span.number for span in left}
        found = tuple(summary(state, sprint, now) for sprint in state.sprints if sprint.number in numbers)
        self._keep(left, state, found)
        return (*known, *found)

    def _keep(self, spans: Sequence[Span], state: State, found: Sequence[Summary]) -> None:
        waiting = _waiting(state)
        sums = {each.sprint: each for each in found if each.outcome and not each.decision}  # one may be deployed later
        with self._turn:
            for span in spans:
                if span.until is not None and span.number in sums and span.number not in waiting:
                    self._kept[span] = sums[span.number]
            for span in [*self._kept][:-_MOST]:
                del self._kept[span]


def _waiting(state: State) -> set[int]:
    """Return the numbers of the sprints with a run or a patch of which something may become later."""
    undecided = {PatchStatus.HELD, PatchStatus.PENDING}
    runs = {run.sprint for run in state.runs if run.status == RunStatus.OPEN}
    return runs | {patch.sprint for patch in state.patches if patch.status in undecided}
