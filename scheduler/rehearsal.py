"""Trying prompts before anybody is launched: a persona whose template cannot be rendered is set aside, not failed."""

from __future__ import annotations

from dataclasses import replace

from ..personas.prompt import fault_of
from .plan import Plan, Skip
from .workshop import Workshop


def rehearsed(shop: Workshop, plan: Plan) -> Plan:
    """Return the plan without the first launches that would fail on their own prompt; those go to the human."""
    firsts = [shop.persona(launch.persona) for launch in plan.launches if launch.attempt == 1]
    faults = {one.id: fault for one in firsts if (fault := fault_of(one))}
    if not faults:
        return plan
    launches = tuple(launch for launch in plan.launches if launch.persona not in faults)
    return replace(plan, launches=launches, aside=(*plan.aside, *(Skip(*pair) for pair in faults.items())))
