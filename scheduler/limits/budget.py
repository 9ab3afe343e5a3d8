"""Budgets: how much a sprint, a day, a persona or a run may use, and whether that is spent.

What no run told is not held against a budget: it cannot be more exact than the agents are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...personas.spending.amount import Amount, Unit
from ..kinds import Budget
from ..state.sprints import State
from ..state.usage import UsageTotal, Used, dollars, shortened_count, total

_OF = {Budget.SPRINT: "the sprint", Budget.DAY: "the day", Budget.RUN: "the run"}


@dataclass(frozen=True)
class Budgets:
    """The `[budget]` table; None is no limit. With `hard`, runs that go on are ended once one is spent.

    `agents` maps those agents that have a budget of their own to how much they may use in a day.
    """

    sprint: Amount | None = None
    day: Amount | None = None
    persona: Amount | None = None
    run: Amount | None = None
    hard: bool = False
    agents: Mapping[str, Amount] = field(default_factory=dict[str, Amount])

    @property
    def daily(self) -> bool:
        """Whether any of them is for a day, so that what other processes used counts."""
        return bool(self.day or self.agents)

    @property
    def bounded(self) -> bool:
        """Whether there is any, so that it counts what runs use together."""
        return bool(self.sprint or self.persona or self.daily)


NO_BUDGETS = Budgets()


@dataclass(frozen=True)
class Overspent:
    """A budget that is spent: which, its limit, and what was used of it. `whose` is the persona, agent, or day."""

    budget: str
    limit: Amount
    used: UsageTotal
    whose: str = ""

    @property
    def text(self) -> str:
        """Say so in a few words."""
        agent = f"agent {self.whose} for the day" if self.budget == Budget.AGENT else self.whose
        of = _OF.get(Budget(self.budget), agent)
        return f"the budget of {of} is spent: {used_text(self.limit, self.used)} of {self.limit.text}"


def is_spent(limit: Amount | None, used: UsageTotal) -> bool:
    """Tell whether as much as a limit is used, as far as anybody knows."""
    return limit is not None and (amount_used(limit, used) or 0) >= limit.most


def amount_used(limit: Amount, used: UsageTotal) -> float | None:
    """Return what was used in the unit of a limit; None if that is unknown."""
    return {Unit.USD: used.usd, Unit.TOKENS: used.tokens, Unit.RUNS: used.runs}[limit.unit]


def used_text(limit: Amount, used: UsageTotal) -> str:
    """Write what was used in the unit of a limit."""
    amount = amount_used(limit, used)
    if amount is None:
        return "an unknown amount"
    if limit.unit == Unit.USD:
        return dollars(amount)
    return str(int(amount)) if limit.unit == Unit.RUNS else shortened_count(int(amount))


def day_began(now: datetime) -> datetime:
    """Return the midnight before a moment, in local time as the fields of `cron`."""
    return now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)


def day_ends(now: datetime) -> datetime:
    """Return the midnight after a moment, in local time."""
    return day_began(day_began(now) + timedelta(hours=36))


@dataclass(frozen=True)
class Uses:
    """What runs have used by the budgets that they count for. `day` also has those outside of the sprint."""

    sprint: tuple[Used, ...] = ()
    day: tuple[Used, ...] = ()

    def overspent(self, budgets: Budgets, now: datetime) -> Overspent | None:
        """Return the budget that is spent and lets nothing more start; None if there is none."""
        if budgets.sprint and is_spent(budgets.sprint, sprint := _total(self.sprint)):
            return Overspent(Budget.SPRINT, budgets.sprint, sprint)
        if budgets.day and is_spent(budgets.day, day := _total(self.day)):
            return Overspent(Budget.DAY, budgets.day, day, f"{now.astimezone():%Y-%m-%d}")
        return None

    def overspent_by(self, persona: str, budgets: Budgets) -> Overspent | None:
        """Return the budget of a persona if that is spent."""
        if budgets.persona is None:
            return None
        used = _total(each for each in self.sprint if each.persona == persona)
        return Overspent(Budget.PERSONA, budgets.persona, used, persona) if is_spent(budgets.persona, used) else None

    def overspent_on(self, agent: str, budgets: Budgets) -> Overspent | None:
        """Return the budget of an agent if that is spent."""
        limit = budgets.agents.get(agent)
        if limit is None:
            return None
        used = _total(each for each in self.day if each.agent == agent)
        return Overspent(Budget.AGENT, limit, used, agent) if is_spent(limit, used) else None

    def left(self, budgets: Budgets) -> float:
        """Return the share that is left of the sprint's or the day's budget, whichever is less; 1 without either."""
        rows = ((budgets.sprint, self.sprint), (budgets.day, self.day))
        return min([1.0, *(1 - (amount_used(limit, _total(used)) or 0) / limit.most for limit, used in rows if limit)])

    def runs_left(self, budgets: Budgets) -> int | None:
        """Return how many runs may still start by budgets that count runs; None if there are none."""
        counted = ((budgets.sprint, len(self.sprint)), (budgets.day, len(self.day)))
        left = [int(limit.most) - used for limit, used in counted if limit and limit.unit == Unit.RUNS]
        return max(0, min(left)) if left else None


NOTHING_USED = Uses()


def uses_of(state: State, number: int, now: datetime) -> Uses:
    """Return what counts for the budgets of sprint `number` at a moment."""
    runs = [run for run in state.runs if run.sprint == number and not run.withdrawn]
    since = day_began(now)
    own = {run.id: Used(run.usage, run.persona, run.agent) for run in runs}
    today = {run.id: own[run.id] for run in runs if datetime.fromisoformat(run.finished or run.started) >= since}
    today |= dict(state.today)  # which knows more of a run that goes on
    return Uses(tuple(own.values()), tuple(today.values()))


def untold(limit: Amount, uses: Iterable[Used]) -> bool:
    """Tell whether runs of the past never told what a limit counts, so that it can never be spent."""
    rows = [*uses]
    return bool(rows) and limit.unit != Unit.RUNS and amount_used(limit, _total(rows)) is None


def _total(uses: Iterable[Used]) -> UsageTotal:
    return total(each.usage for each in uses)
