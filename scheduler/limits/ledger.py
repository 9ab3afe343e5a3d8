"""What is used while runs go on: each report of a run is held against the budgets at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from ...personas.spending.amount import Amount, Unit
from ...personas.spending.usage import UNKNOWN, Usage
from ..kinds import Budget
from ..state.usage import Used, total
from .budget import NO_BUDGETS, NOTHING_USED, Budgets, Overspent, Uses, day_began, is_spent

_STALE = timedelta(seconds=5)  # of what is known of other processes


class Today(Protocol):
    """Reads what the runs of the whole team used that count for this day, by their ids, see `Context.used_today`."""

    def __call__(self, before: str | None = None) -> Mapping[str, Used]:
        """Read it; of the runs that go on, only those that started before a run."""
        ...


@dataclass
class Ledger:
    """The budgets of a batch. `before` is what was used before it, and `now` tells the moment, and so the day.

    With `today`, other processes count for the budget of the day as well: the log is read before each launch, and with
    `hard` every few seconds while runs go on. Its methods may be called from any thread.
    """

    budgets: Budgets = NO_BUDGETS
    before: Uses = field(default_factory=Uses)
    now: Callable[[], datetime] = field(default=lambda: datetime.now().astimezone())
    today: Today | None = None
    _runs: dict[str, Used] = field(default_factory=dict[str, Used])
    _ended: dict[str, datetime] = field(default_factory=dict[str, datetime])
    _read: tuple[datetime, Mapping[str, Used]] | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, before: Uses) -> None:
        """Set what was used before, unless runs are counted already."""
        with self._turn:
            if not self._runs:
                self.before = before

    def own(self) -> dict[str, Usage]:
        """Return what the runs that were counted here have used so far."""
        with self._turn:
            return {run: used.usage for run, used in self._runs.items()}

    def uses(self) -> Uses:
        """Return what counts for the budgets now, with what others used up to a few seconds ago."""
        with self._turn:
            self._look_again()
            return self._uses()

    def start(self, run: str, persona: str, agent: str = "") -> Overspent | None:
        """Count a run that is about to start; return the budget that does not let it, and then it is not counted."""
        with self._turn:
            self._look()
            uses = self._uses()
            over = uses.overspent(self.budgets, self.now()) or uses.overspent_by(persona, self.budgets)
            if over := over or uses.overspent_on(agent, self.budgets):
                return over
            self._runs[run] = Used(UNKNOWN, persona, agent)
            return None

    def withdraw(self, run: str) -> Overspent | None:
        """Return the day's budget of runs if others used it up that started first; then the run is not counted.

        Its own start is in the log by now, which is the same for all processes: so never more begin than may.
        """
        agent = self._runs[run].agent
        limits = Budgets(day=_in_runs(self.budgets.day))
        if own := _in_runs(self.budgets.agents.get(agent)):
            limits = replace(limits, agents={agent: own})
        if self.today is None or not limits.daily:
            return None
        uses = Uses(day=tuple(self.today(run).values()))
        over = uses.overspent(limits, self.now()) or uses.overspent_on(agent, limits)
        if over:
            with self._turn:
                del self._runs[run]
                self._look()  # what is chosen instead must not rest on what was read before
        return over

    def take(self, run: str, persona: str, agent: str = "") -> None:
        """Count a run that goes on already."""
        with self._turn:
            self._runs[run] = Used(UNKNOWN, persona, agent)

    def tell(self, run: str, usage: Usage, *, ended: bool = False) -> dict[str, Overspent]:
        """Take what a run has used so far; return the runs that have to end, each with the budget that is spent.

        That is the run itself if its own budget is spent, and with `hard` all that count for another one.
        """
        with self._turn:
            if run not in self._runs:
                return {}
            self._runs[run] = self._runs[run]._replace(usage=usage)
            if ended:
                self._ended[run] = self.now()
            if self.budgets.hard:
                self._look_again()
            return self._over() if self.budgets.hard else self._own()

    def _over(self) -> dict[str, Overspent]:
        uses, going = self._uses(), self._runs.keys() - self._ended.keys()
        over = {run: spent for run in going if (spent := uses.overspent_by(self._runs[run].persona, self.budgets))}
        over |= {run: spent for run in going if (spent := uses.overspent_on(self._runs[run].agent, self.budgets))}
        if spent := uses.overspent(self.budgets, self.now()):
            over |= dict.fromkeys(going, spent)
        return over | self._own()

    def _own(self) -> dict[str, Overspent]:
        limit = self.budgets.run
        if limit is None:
            return {}
        used = {run: total([each.usage]) for run, each in self._runs.items() if run not in self._ended}
        return {run: Overspent(Budget.RUN, limit, each) for run, each in used.items() if is_spent(limit, each)}

    def _look(self) -> None:
        """Read what the others used, if a budget asks for it."""
        if self.today and self.budgets.daily:
            self._read = self.now(), self.today()

    def _look_again(self) -> None:
        """Read it if what is known of others is not of the last seconds: many tasks may wait for an answer."""
        if self._read is None or self.now() - self._read[0] > _STALE:
            self._look()

    def _uses(self) -> Uses:
        """Return what counts; without a limit nothing does, and a dispatch may have thousands of runs."""
        if not self.budgets.bounded:
            return NOTHING_USED
        began = day_began(self.now())
        own = {run: used for run, used in self._runs.items() if self._ended.get(run, began) >= began}
        others = {run: used for run, used in self._read[1].items() if run not in self._runs} if self._read else {}
        before = () if self.today else self.before.day
        return Uses((*self.before.sprint, *self._runs.values()), (*before, *others.values(), *own.values()))


def _in_runs(limit: Amount | None) -> Amount | None:
    """Return a limit if it counts runs."""
    return limit if limit and limit.unit == Unit.RUNS else None
