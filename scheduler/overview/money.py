"""Money: what was used today by agent and by persona, on the days before, by sprint, and what budgets leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...mail.clock import rfc3339
from ..context import Context
from ..limits.budget import amount_used, day_began, used_text
from ..moments.history import history
from ..state.reading import LAST, read_spent
from ..state.usage import UsageTotal, Used, total

_DAYS = 7  # before this one


@dataclass(frozen=True)
class BudgetLeft:
    """A budget of a day: whose it is, its limit, what is used of it, and the share that is left, None if unknown."""

    name: str
    limit: str
    used: str
    left: float | None

    def document(self) -> dict[str, Any]:
        """Return the budget as a JSON object."""
        return {"budget": self.name, "limit": self.limit, "used": self.used, "left": self.left}


@dataclass(frozen=True)
class Money:
    """What runs used: since the midnight `since` in all, by agent and by persona; on the days before; and by sprint.

    Days and sprints are the newest first.
    """

    since: str
    today: UsageTotal
    agents: Mapping[str, UsageTotal]
    personas: Mapping[str, UsageTotal]
    days: tuple[tuple[str, UsageTotal], ...]
    sprints: tuple[tuple[int, str, UsageTotal], ...]
    budgets: tuple[BudgetLeft, ...]

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "since": self.since, "today": self.today.document(),
            "agents": [{"agent": name, **used.document()} for name, used in self.agents.items()],
            "personas": [{"persona": name, **used.document()} for name, used in self.personas.items()],
            "days": [{"day": day, **used.document()} for day, used in self.days],
            "sprints": [{"sprint": n, "started": ts, **used.document()} for n, ts, used in self.sprints],
            "budgets": [each.document() for each in self.budgets],
        }  # fmt: skip


def money(context: Context, most: int = LAST) -> Money:
    """Return what was used today, on the days before, and in so many of the last sprints."""
    now = context.clock.now()
    uses = [*context.used_today().values()]
    sprints = history(context, now, most).sprints[::-1]
    return Money(
        rfc3339(day_began(now)), total(each.usage for each in uses), _by(uses, lambda used: used.agent),
        _by(uses, lambda used: used.persona), _days(context, now),
        tuple((each.sprint, each.started, each.usage) for each in sprints), tuple(_budgets(context, uses)),
    )  # fmt: skip


def _days(context: Context, now: datetime) -> tuple[tuple[str, UsageTotal], ...]:
    """Return what was used on each of the days before this one, the last one first."""
    begins = [day_began(now)]
    for _ in range(_DAYS):
        begins.insert(0, day_began(begins[0] - timedelta(hours=12)))  # a day may have 23 hours, or 25
    sums = read_spent(context.mailbox.projections, [*map(rfc3339, begins)])
    return tuple((f"{day:%Y-%m-%d}", used) for day, used in zip(begins[:-1], sums, strict=False))[::-1]


def _by(uses: list[Used], key: Callable[[Used], str]) -> dict[str, UsageTotal]:
    """Sum up by a name, the dearest first."""
    sums = {name: total(each.usage for each in uses if key(each) == name) for name in {key(each) for each in uses}}
    return dict(sorted(sums.items(), key=lambda item: (-(item[1].usd or 0), item[0])))


def _budgets(context: Context, uses: list[Used]) -> list[BudgetLeft]:
    budgets = context.budgets
    limits = [("day", budgets.day, uses)]
    limits += [(f"agent {name}", limit, [u for u in uses if u.agent == name]) for name, limit in budgets.agents.items()]
    left: list[BudgetLeft] = []
    for name, limit, own in limits:
        if limit:
            used = total(each.usage for each in own)
            amount = amount_used(limit, used)
            share = None if amount is None else max(0.0, 1 - amount / limit.most)
            left.append(BudgetLeft(name, limit.text, used_text(limit, used), share))
    return left
