"""Before anything starts: the commit a new sprint starts from, and launches whose prompt cannot be rendered."""

from __future__ import annotations

from dataclasses import replace

from ...personas.prompt import fault_of
from ..context import Context
from ..state.sprints import State
from .decide import ASKED
from .plan import Opening, Skip, TickPlan


def start_commit(context: Context, state: State, opening: Opening, base: str | None) -> str:
    """Return the commit that a new sprint starts from: the tip of its base branch, as a rule.

    A sprint that no person asked for starts from the last sprint's branch if that has not landed yet, or else a team
    that runs by itself would do the same work again and again. Raises NotReady if there is no such branch.
    """
    commit = context.base(base)
    last = state.sprints[-1] if state.sprints else None
    if last is None or opening.reason == ASKED or last.base_branch != (base or context.settings.team.base):
        return commit
    parsed = context.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{last.branch}")
    tip = parsed.stdout.decode().strip()
    if parsed.returncode or context.git.run("merge-base", "--is-ancestor", commit, tip).returncode:
        return commit
    return tip


def set_faulty_aside(context: Context, plan: TickPlan) -> TickPlan:
    """Return the plan with first launches set aside, for the human, whose prompt cannot be rendered."""
    firsts = [context.persona(launch.persona) for launch in plan.launches if launch.attempt == 1]
    faults = {persona.id: fault for persona in firsts if (fault := fault_of(persona))}
    if not faults:
        return plan
    launches = tuple(launch for launch in plan.launches if launch.persona not in faults)
    starts = tuple(launch for launch in plan.starts if launch.persona not in faults)
    aside = (*plan.aside, *(Skip(*pair) for pair in faults.items()))
    return replace(plan, launches=launches, starts=starts, aside=aside)
