"""A dry run: the next tick as it would be, with what the weaver would do. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..landing.integrate import preview, standing
from ..setup import NO_SETUP, SetUpPreview, look_at_setup, setup_troubles
from ..weaver.result import Woven
from .decide import StartRequest
from .plan import Skip, TickPlan
from .start import set_faulty_aside, start_commit
from .tick import Ticker


@dataclass(frozen=True)
class Preview:
    """A plan with its circumstances.

    `base` is the commit that launches start from, `branch` where patches land, `woven` what the weaver would do with
    the pending ones, `troubles` what would keep the tick from starting, and `setup` what each workspace would get.
    """

    plan: TickPlan
    base: str
    branch: str
    woven: Woven | None
    troubles: tuple[str, ...]
    setup: SetUpPreview = NO_SETUP

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler --dry-run --json`."""
        place = {"base": self.base, "branch": self.branch, "troubles": [*self.troubles]}
        woven = self.woven.document() if self.woven else None
        return self.plan.document() | place | {"woven": woven, "setup": self.setup.document()}


def look_ahead(ticker: Ticker, request: StartRequest) -> Preview:
    """Plan the next tick and weave its patches in a scratch store. Raises what a tick raises before it starts."""
    context = ticker.context
    state = context.state()
    plan = ticker.plan(request, state)
    away = [Skip(persona.id, "not scheduled") for persona in context.roster.personas if not persona.scheduled]
    plan = replace(
        set_faulty_aside(context, plan), skips=(*plan.skips, *away), notes=(*plan.notes, *context.roster.problems)
    )
    sprint = state.sprint
    if sprint is None:
        branch = f"team/sprint-{state.number + 1}"
        base = start_commit(context, state, plan.opening, ticker.base) if plan.opening else ""
    else:
        branch, base = sprint.branch, standing(context, sprint)[0]
    woven = preview(context, state, plan.weave, base) if plan.weave and base else None
    troubles = [*context.troubles([launch.agent for launch in plan.launches])]
    troubles += [*setup_troubles(context), *context.gate_troubles()]
    if plan.opening and (trouble := context.branch_trouble(branch)):
        troubles.append(trouble)
    return Preview(plan, woven.tip if woven else base, branch, woven, tuple(troubles), look_at_setup(context))
