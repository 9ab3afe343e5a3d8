"""Before anything is started: the commit a new sprint starts from, and launches whose prompt cannot be rendered."""

from __future__ import annotations

from dataclasses import replace

from ...personas.prompt import fault_of
from ..context import Context
from ..state.sprints import State
from .decide import ASKED
from .plan import Opening, Skip, TickPlan


def beginning(context: Context, state: State, opening: Opening, base: str | None) -> str:
    """Return the commit that a new sprint starts from: its base branch, as a rule.

    One that nobody asked for goes on from the last sprint where that is not landed yet: else a team that runs by itself
    would do the same work again and again.
    """
    commit = context.base(base)
    last = state.sprints[-1] if state.sprints else None
    if last is None or opening.reason == ASKED or last.base_branch != (base or context.settings.team.base):
        return commit
    found = context.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{last.branch}")
    tip = found.stdout.decode().strip()
    if found.returncode or context.git.run("merge-base", "--is-ancestor", commit, tip).returncode:
        return commit
    return tip


def rehearsed(context: Context, plan: TickPlan) -> TickPlan:
    """Return the plan without the first launches that would fail on their own prompt; those go to the human."""
    firsts = [context.persona(launch.persona) for launch in plan.launches if launch.attempt == 1]
    faults = {one.id: fault for one in firsts if (fault := fault_of(one))}
    if not faults:
        return plan
    launches = tuple(launch for launch in plan.launches if launch.persona not in faults)
    return replace(plan, launches=launches, aside=(*plan.aside, *(Skip(*pair) for pair in faults.items())))
