"""What is used while runs go on: each report of a run is held against the budgets at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime

from ...personas.spending.usage import UNKNOWN, Usage
from ..kinds import Budget
from ..state.usage import total
from .budget import NO_BUDGETS, Budgets, Overspent, Uses, is_spent


@dataclass
class Ledger:
    """The budgets of a batch. `before` is what was used before it, and `now` the moment that its day is known by.

    Its methods may be called from any thread.
    """

    budgets: Budgets = NO_BUDGETS
    before: Uses = field(default_factory=Uses)
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())
    _runs: dict[str, tuple[str, Usage]] = field(default_factory=dict[str, tuple[str, Usage]])
    _ended: set[str] = field(default_factory=set[str])
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def start(self, run: str, persona: str) -> Overspent | None:
        """Count a run that is about to start; return the budget that does not let it, and then it is not counted."""
        with self._turn:
            uses = self._uses()
            if over := uses.overspent(self.budgets, self.now) or uses.overspent_by(persona, self.budgets):
                return over
            self._runs[run] = (persona, UNKNOWN)
            return None

    def take(self, run: str, persona: str) -> None:
        """Count a run that goes on already."""
        with self._turn:
            self._runs[run] = (persona, UNKNOWN)

    def tell(self, run: str, usage: Usage, *, ended: bool = False) -> dict[str, Overspent]:
        """Take what a run has used so far; return the runs that have to end, each with the budget that is spent.

        That is the run itself if its own budget is spent, and with `hard` all that count for another one.
        """
        with self._turn:
            if run not in self._runs:
                return {}
            self._runs[run] = (self._runs[run][0], usage)
            self._ended |= {run} if ended else set()
            return self._over() if self.budgets.hard else self._own()

    def _over(self) -> dict[str, Overspent]:
        uses, going = self._uses(), self._runs.keys() - self._ended
        over = {run: spent for run in going if (spent := uses.overspent_by(self._runs[run][0], self.budgets))}
        if spent := uses.overspent(self.budgets, self.now):
            over |= dict.fromkeys(going, spent)
        return over | self._own()

    def _own(self) -> dict[str, Overspent]:
        limit = self.budgets.run
        used = {run: total([usage]) for run, (_, usage) in self._runs.items() if run not in self._ended}
        return {
            run: Overspent(Budget.RUN, limit, each) for run, each in used.items() if limit and is_spent(limit, each)
        }

    def _uses(self) -> Uses:
        rows = tuple(self._runs.values())
        return Uses((*self.before.sprint, *rows), (*self.before.day, *(usage for _, usage in rows)))
