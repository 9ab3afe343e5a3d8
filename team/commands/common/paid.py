"""Agents that may cost money, those of the presets, and the question before a team's first sprint on one."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

from ....mail.render import listed
from ....mail.text.units import counted
from ....personas.agents.presets.preset import presets
from ....scheduler.context import Context
from ....scheduler.settings.local import is_here
from ....scheduler.sprint.plan import TickPlan
from ....scheduler.state.reading import read_played


def first_on_paid(context: Context, plan: TickPlan) -> str | None:
    """Say what a plan starts of agents that may cost and have never run for the team; None if there is nothing."""
    if not plan.opening:
        return None
    asked = Counter(agent for launch in plan.launches for agent in (launch.route.agents if launch.route else ()))
    paid = {agent for agent in asked if _is_paid(context, agent)}
    new = paid - {run.agent for run in context.state(whole=False).runs}
    new -= read_played(context.mailbox.projections, new) if new else set()
    if not new:
        return None
    starts = Counter(launch.agent for launch in plan.launches)
    parts = listed([f"{counted(number, 'run')} of {agent}" for agent, number in starts.items()])
    others = listed([agent for agent in asked if agent in new and agent not in starts])
    most = context.settings.sprint.max_attempts
    more = f"and up to {counted(most, 'run')} of each persona in all"
    more += f", by {others} where an agent cannot" if others else ""
    return f"sprint {plan.sprint} starts {parts}, {more}; it may cost money"


def _is_paid(context: Context, agent: str) -> bool:
    table = context.settings.agents.get(agent)
    if table and table.kind == "jules":  # whose sessions are limited by the day
        return True
    if table and table.kind == "chat":
        return not is_here(table.base_url or "")
    if table is None or table.command is None:
        return False
    programs = {each.program for each in presets()}
    named = any(PurePath(word).name in programs for word in table.command[:3])  # also behind env, npx or nice
    return named or table.preset is not None
