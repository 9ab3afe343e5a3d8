"""A dry run: the next tick as it would be, with what the weaver would do.

Nothing is written, but for objects that a partial clone lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...personas.errors import PromiseBroken
from ..context import Context
from ..errors import BranchLost, LogBehind
from ..estimate import NO_ESTIMATE, Estimate, estimate
from ..landing.base_gates import base_gates
from ..landing.branch import standing
from ..landing.integrate import preview
from ..leader import check_log
from ..limits.budget import untold, used_text, uses_of
from ..progress import silent
from ..schedules.timetable import Planned
from ..setup import NO_SETUP, SetUpPreview, look_at_setup, setup_troubles
from ..state.reading import LAST, with_past
from ..state.sprints import State
from ..state.usage import Used, total
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
    `cost` is what the launches may use, and `budgets` has a line for each budget. `gates` has one for each gate that is
    not known to pass on the base, and `outlook` one for whatever a supervisor does with what lands. `schedules` are
    those of the settings, which `scheduler run` carries out beside it.
    """

    plan: TickPlan
    base: str
    branch: str
    woven: Woven | None
    troubles: tuple[str, ...]
    setup: SetUpPreview = NO_SETUP
    cost: Estimate = NO_ESTIMATE
    budgets: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    outlook: tuple[str, ...] = ()
    schedules: tuple[Planned, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler --dry-run --json`."""
        place = {"base": self.base, "branch": self.branch, "troubles": [*self.troubles]}
        woven = self.woven.document() if self.woven else None
        more = {"woven": woven, "setup": self.setup.document(), "gates": [*self.gates]}
        more |= {"outlook": [*self.outlook]} if self.outlook else {}
        more |= {"schedules": [each.document() for each in self.schedules]} if self.schedules else {}
        return self.plan.document() | place | more | self._costs()

    def _costs(self) -> dict[str, Any]:
        return {"cost": self.cost.document() if self.plan.launches else None, "budgets": [*self.budgets]}


def look_ahead(ticker: Ticker, request: StartRequest, state: State | None = None) -> Preview:
    """Plan the next tick and weave its patches in a scratch store. Raises what a tick raises before it starts.

    `state` is that of the last sprints, by which the cost is estimated; without it, it is read now.
    """
    context = ticker.context
    state = state or context.state(sprints=LAST)
    plan = ticker.plan(request, state)
    away = [Skip(persona.id, "not scheduled") for persona in context.roster.personas if not persona.scheduled]
    plan = replace(
        set_faulty_aside(context, plan), skips=(*plan.skips, *away), notes=(*plan.notes, *context.roster.problems)
    )
    branch, base, lost = _where(ticker, state, plan)
    plan = replace(plan, notes=(*plan.notes, *lost, *_workers(context, plan)))
    try:
        woven, promise = preview(context, state, plan.weave, base) if plan.weave and base else None, ()
    except PromiseBroken as broken:
        woven, promise = None, (str(broken),)
    troubles = [*context.troubles([launch.agent for launch in plan.launches])]
    troubles += [*promise, *setup_troubles(context), *context.standing_troubles()]
    if plan.opening and (trouble := context.branch_trouble(branch)):
        troubles.append(trouble)
    try:
        check_log(context.home, context.mailbox.log, context.settings.team.base, leads=False)
    except LogBehind as behind:
        troubles.append(str(behind))
    rounds = ticker.supervision(context, silent)
    past = with_past(context.mailbox.projections, state, (launch.persona for launch in plan.launches))
    return Preview(
        plan, woven.tip if woven else base, branch, woven, tuple(troubles), look_at_setup(context),
        estimate(plan.launches, past.runs), tuple(_budgets(context, state, plan)),
        tuple(_gates(context, state, plan, base)), tuple(rounds.outlook()) if rounds and plan.sprint else (),
    )  # fmt: skip


def _workers(context: Context, plan: TickPlan) -> Iterator[str]:
    """Say which workers could take the runs that would be offered, or that none is there for some."""
    if not (context.settings.workers.offer and plan.launches):
        return
    there = [each for each in context.mailbox.log.presences() if each.what.get("does") == "worker" and not each.gone]
    if not context.mailbox.log.place:  # then nobody knows of workers before they take something
        yield "runs are offered to workers, each of them a `team worker` in this folder"
    elif there:
        named = (f"{each.host} ({', '.join(each.what['agents'])}; {each.what['slots']} at once)" for each in there)
        yield f"runs are offered to the workers on {', '.join(named)}"
    for agent in sorted({launch.agent for launch in plan.launches}) if context.mailbox.log.place else ():
        if not any(agent in each.what["agents"] for each in there):
            yield f"no worker is there that plays {agent}; on a host that can: team worker --agents {agent}"


def _where(ticker: Ticker, state: State, plan: TickPlan) -> tuple[str, str, tuple[str, ...]]:
    """Return the sprint's branch, the commit that it goes on from, and what is to be said of a branch that is gone.

    The commit is "" if no sprint is open and none begins.
    """
    sprint, context = state.sprint, ticker.context
    if sprint is None:
        base = start_commit(context, state, plan.opening, ticker.base) if plan.opening else ""
        return f"team/sprint-{state.number + 1}", base, ()
    try:
        return sprint.branch, standing(context.git, sprint)[0], ()
    except BranchLost as lost:
        return sprint.branch, lost.start, (f"{lost}: what had landed is woven again",)


def _gates(context: Context, state: State, plan: TickPlan, base: str) -> Iterator[str]:
    """Say which gates are not known to pass on the commit that a sprint starts from."""
    begins = state.sprint.base if state.sprint else base
    return (each.text for each in base_gates(context, state, begins)) if begins and plan.sprint else iter(())


def _budgets(context: Context, state: State, plan: TickPlan) -> Iterator[str]:
    """Say of each budget what is used of it, and whether anybody can know."""
    budgets, uses = context.budgets, uses_of(state, plan.sprint or 0, context.clock.now())
    sprint, day = (total(used.usage for used in each) for each in (uses.sprint, uses.day))
    agents = {launch.agent for launch in plan.launches}
    past = [Used(run.usage, run.persona, run.agent) for run in state.runs if run.agent in agents and run.finished]
    rows = [("sprint", budgets.sprint, sprint, past), ("day", budgets.day, day, past)]
    rows += [("persona", budgets.persona, None, past), ("run", budgets.run, None, past)]
    for agent, limit in budgets.agents.items():
        own = total(used.usage for used in uses.day if used.agent == agent)
        rows.append((f"agent {agent}", limit, own, [used for used in past if used.agent == agent]))
    for name, limit, used, runs in rows:
        if limit:
            spent = f", {used_text(limit, used)} used" if used and used.runs else ""
            blind = (
                "; past runs of these agents did not tell any, so it may never be spent" if untold(limit, runs) else ""
            )
            yield f"{name} {limit.text}{spent}{blind}"
