"""Cleans up what crashes and time leave: ends that nobody put on record, clones, folders. Mail is never touched.

Whatever is alive is left alone: a run that goes on, what a scheduler leads, a dispatch under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..mail.archive.witness import NoWitness
from ..mail.errors import LedElsewhere, TeamMailError
from ..personas.errors import GitError
from ..scheduler.claims.claims import Claims
from ..scheduler.context import Context
from ..scheduler.errors import NotLeader
from ..scheduler.hosts.choice import runner_for
from ..scheduler.leader import Leader, leading
from ..scheduler.liveness import is_led, liveness
from ..scheduler.overview.leftovers import (
    Leftover,
    left_by_dispatches,
    left_by_runs,
    old_records,
    old_runs,
    remove,
)
from ..scheduler.overview.old_refs import drop, old_refs
from ..scheduler.overview.tasks import StaleClaim, claimed_work
from ..scheduler.runs.batch import BatchRunner
from ..scheduler.sprint.loop import put_ends_on_record
from ..scheduler.sprint.tick import Ticker
from ..scheduler.state.dispatches import DispatchState, read_unfinished
from ..scheduler.state.sprints import dead_of
from .dispatcher import ParallelDispatcher


@dataclass(frozen=True)
class Freed:
    """A run that the log had as open and that has no process any more."""

    run: str
    persona: str


@dataclass
class Cleaning:
    """One clean-up of a team. With `keep`, nothing is changed.

    Folders of runs, records of sessions and refs are removed that are `older` than that, and dispatches that were cut
    off so long ago are given up; None leaves these. `repository` tells whether the team has one. `troubles` are what
    could not be done.
    """

    context: Context
    repository: bool
    keep: bool = False
    older: timedelta | None = None
    troubles: list[str] = field(default_factory=list[str])
    staying: int = 0

    def free(self) -> list[Freed]:
        """Put on record the ends of the runs that have no process any more."""
        return [*self.free_dispatches(), *(self._of_sprint() if self.repository else ())]

    def free_dispatches(self) -> Iterator[Freed]:
        """Put on record the ends of those of dispatches that were cut off, and remove their clones."""
        for state in read_unfinished(self.context.mailbox.projections):
            if is_led(state.supervisor) or any(liveness(self.context.home, run).goes_on for run in state.open_runs):
                continue
            freed = [Freed(run.id, run.persona) for run in state.open_runs]
            if not self.keep and (freed or self._is_old(state)):
                try:
                    ParallelDispatcher(home=self.context.home).put_away(state.id, finish=self._is_old(state))
                except (NotLeader, LedElsewhere):  # somebody goes on with it
                    continue
                except (TeamMailError, OSError) as error:
                    self.troubles.append(str(error))
                    continue
            yield from freed

    def claims(self) -> tuple[StaleClaim, ...]:
        """Put on record which claims are over."""
        stale = claimed_work(self.context).stale
        if stale and not self.keep:
            Claims(self.context.mailbox, self.context.clock).clean(self.context.settings.team.human)
        return stale

    def _is_old(self, state: DispatchState) -> bool:
        """Tell whether a dispatch was cut off so long ago that it is given up."""
        return self.older is not None and datetime.fromisoformat(state.last) < self._before

    def _of_sprint(self) -> list[Freed]:
        """Put on record the ends of the open sprint's runs; a scheduler that leads does so by itself."""
        if self.keep:
            lost, left = dead_of(self.context.state(whole=False))
            runs = [run for run in (*lost, *left) if not liveness(self.context.home, run).goes_on]
            return [] if leading(self.context.home / "work") else [Freed(run.id, run.persona) for run in runs]
        with suppress(NotLeader, LedElsewhere), Leader(self.context.home / "work"):
            runs = [*put_ends_on_record(Ticker(self.context, BatchRunner(self.context, runner=runner_for)))]
            return [Freed(run.id, run.persona) for run in runs]
        return []

    def leftovers(self) -> list[Leftover]:
        """List the folders that nobody needs, and remove them."""
        removed = self._removed(self._of_age())
        if self.repository:
            keep = {f"dispatch-{state.short}" for state in self._unsettled()}
            removed += self._removed(left_by_dispatches(self.context, keep))
            removed += self._clones()
        return removed

    def refs(self) -> tuple[str, ...]:
        """List the sprints and dispatches whose refs nobody needs any more, and delete these."""
        if self.older is None or not self.repository:
            return ()
        unfinished = [state.branch for state in read_unfinished(self.context.mailbox.projections)]
        sprint = self.context.state(whole=False).sprint
        try:
            old = old_refs(self.context, self._before, [*unfinished, *([sprint.branch] if sprint else [])])
            if old and not self.keep:
                drop(self.context, [row for rows in old.values() for row in rows])
        except (GitError, NoWitness) as error:
            self.troubles.append(str(error))
            return ()
        return tuple(old)

    @property
    def _before(self) -> datetime:
        """Before which everything is old."""
        return self.context.clock.now() - (self.older or timedelta())

    def _unsettled(self) -> Iterator[DispatchState]:
        """Yield the dispatches whose clones hold what is not on record yet."""
        for state in read_unfinished(self.context.mailbox.projections):
            if is_led(state.supervisor) or (state.open_runs and not self.keep):
                yield state

    def _of_age(self) -> tuple[Leftover, ...]:
        if self.older is None:
            return ()
        old = old_runs(self.context, self.context.clock.now(), self.older)
        self.staying = old.staying
        unfinished = {state.id for state in read_unfinished(self.context.mailbox.projections)}
        return (*old.removable, *old_records(self.context, self._before, unfinished))

    def _clones(self) -> list[Leftover]:
        """Remove the clones of sprints under the leader's lock: a new run may have the place of an old one."""
        if self.keep:
            return [] if leading(self.context.home / "work") else [*left_by_runs(self.context)]
        with suppress(NotLeader), Leader(self.context.home / "work"):
            return self._removed(left_by_runs(self.context))
        return []

    def _removed(self, leftovers: Iterable[Leftover]) -> list[Leftover]:
        listed = [*leftovers]
        if self.keep:
            return listed
        try:
            return remove(self.context, listed)
        except (TeamMailError, OSError) as error:
            self.troubles.append(str(error))
            return [each for each in listed if not each.path.exists()]
