"""The seam between what launches runs and what carries one out: only values cross it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...personas.agent import Outcome
from ...personas.setup.preparation import Prepared
from ...personas.workspace import Captured
from ..limits.budget import NOTHING_USED, Uses
from .launch import Launch


@dataclass(frozen=True)
class Batch:
    """What the runs of one tick have in common.

    `base` is the full id of the commit to start from; where it is empty, because there is no repository, a run works
    in an empty folder and leaves no patch. `left` is the time that the sprint has left, in seconds, and
    `uses` what counts for the budgets before this batch.
    """

    sprint: int
    tick: int
    base: str
    branch: str
    left: float | None = None
    uses: Uses = NOTHING_USED


@dataclass(frozen=True)
class RunResult:
    """How a run ended and what it changed. `given_up`: it was ended together with its scheduler, not on its own.

    `lost` says why it was given up if that was not the orderly end of its scheduler. `prepared` is what its workspace
    was given, None if it had none. `base` is the commit that its patch is made against, if that is none of its batch.
    """

    outcome: Outcome
    captured: Captured | None = None
    given_up: bool = False
    lost: str = ""
    prepared: Prepared | None = None
    base: str = ""

    @property
    def has_patch(self) -> bool:
        """Whether the run changed anything."""
        return bool(self.captured and self.captured.patch)


class Runner(Protocol):
    """Carries out launches, one in each thread that calls it."""

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        """Carry out a launch until its end is on record; return None if it was stopped before it began.

        `run.started` is durable before anything of the run exists; its listener is told `RunStarted` then, for which a
        rolling sprint waits before it starts another run. One append holds all that its end means: the patch,
        `run.finished` or `run.lost`, the mail it has read, and the end of its task where this run decides that.

        What goes wrong with the run itself, its workspace or its agent is a result with status `failed`. Raises
        LogError where the log cannot be written; the run is then given up by the next scheduler.
        """
        ...

    def harvest(self, launch: Launch, batch: Batch, *, stop: bool = False) -> RunResult | None:
        """Take over a run whose scheduler is gone: wait for its end if it goes on, and put that on record.

        With `stop`, it is ended. A run of whose end nothing is known is lost; what it changed is kept with its end.
        Returns None if it goes on, because this scheduler ends as well. Raises LogError.
        """
        ...
