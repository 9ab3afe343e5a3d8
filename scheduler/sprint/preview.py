"""A dry run: the next tick as it would be, with what the weaver would do, from what is there. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..landing.integrate import preview, standing
from ..weaver.result import Woven
from .decide import StartRequest
from .plan import Skip, TickPlan
from .start import beginning, rehearsed
from .tick import Ticker


@dataclass(frozen=True)
class Preview:
    """A plan with what it would meet: `base` is the commit launches start from, `troubles` what would stop them."""

    plan: TickPlan
    base: str
    branch: str
    woven: Woven | None
    troubles: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler --dry-run --json`."""
        told = self.plan.document() | {"base": self.base, "branch": self.branch, "troubles": [*self.troubles]}
        return told | {"woven": self.woven.document() if self.woven else None}


def look_ahead(ticker: Ticker, request: StartRequest) -> Preview:
    """Plan the next tick and weave its patches in a scratch store. Raises as a tick would before it starts."""
    context = ticker.context
    state = context.state()
    plan = ticker.plan(request, state)
    away = [Skip(one.id, "not scheduled") for one in context.roster.personas if not one.scheduled]
    plan = replace(rehearsed(context, plan), skips=(*plan.skips, *away), notes=(*plan.notes, *context.roster.problems))
    sprint = state.sprint
    if sprint is None:
        branch = f"team/sprint-{state.number + 1}"
        base = beginning(context, state, plan.opening, ticker.base) if plan.opening else ""
    else:
        branch, base = sprint.branch, standing(context, sprint)[0]
    woven = preview(context, state, plan.weave, base) if plan.weave and base else None
    troubles = [*context.troubles([launch.agent for launch in plan.launches]), *context.gate_troubles()]
    if plan.opening and (trouble := context.branch_trouble(branch)):
        troubles.append(trouble)
    return Preview(plan, woven.tip if woven else base, branch, woven, tuple(troubles))
