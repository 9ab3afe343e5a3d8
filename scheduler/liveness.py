"""Whether a run that the log leaves open goes on: the one place that asks the system, and the server, who is there.

A killed scheduler writes nothing, so what the log says of its runs is old; a process that is gone holds no lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..mail.process import is_there
from ..personas.running.left import is_left
from ..personas.running.process import is_going
from .state.facts import Run


class Liveness(NamedTuple):
    """What is alive of a run: who supervises it (`led`), or its own processes alone (`going`).

    `left` tells that it goes on, or has ended with a report, so that the next scheduler takes it over; one that is
    neither led nor left is lost.
    """

    led: bool
    going: bool = False
    left: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether anybody works on it."""
        return self.led or self.going

    @property
    def is_lost(self) -> bool:
        """Whether nothing comes of it any more."""
        return not (self.led or self.left)


LED = Liveness(led=True)


def is_led(supervisor: Mapping[str, Any]) -> bool:
    """Tell whether the process that supervises a run or a dispatch, as `myself` named it, is there, on any host."""
    return is_there(supervisor)


def liveness(home: Path, run: Run) -> Liveness:
    """Return what is alive of a run of the team in `home` that is open on record."""
    if is_led(run.supervisor):
        return LED
    if run.offered:  # whoever leads next waits for it, or offers it again
        return Liveness(led=False, going=not run.returned and (not run.worker or is_led(run.worker)), left=True)
    folder = home / "runs" / run.id
    return Liveness(led=False, going=is_going(folder), left=is_left(folder))


def unled(home: Path, runs: Iterable[Run]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of the open runs without a supervisor, and of those among them that can be taken over."""
    seen = {run.id: liveness(home, run) for run in runs}
    dead = frozenset(run for run, each in seen.items() if not each.led)
    return dead, frozenset(run for run in dead if seen[run].left)
