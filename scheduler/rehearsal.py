"""Trying prompts before anybody is launched: a persona whose template cannot be rendered is set aside, not failed."""

from __future__ import annotations

from dataclasses import replace

from ..personas.errors import PersonaError
from ..personas.prompt import Situation, write_prompt
from .errors import NotReady
from .plan import Launch, Plan, Skip
from .workshop import Workshop


def rehearsed(shop: Workshop, plan: Plan) -> Plan:
    """Return the plan without the first launches that would fail on their own prompt; those go to the human."""
    faults = {
        launch.persona: fault for launch in plan.launches if launch.attempt == 1 and (fault := _fault(shop, launch))
    }
    if not faults:
        return plan
    launches = tuple(launch for launch in plan.launches if launch.persona not in faults)
    return replace(plan, launches=launches, aside=(*plan.aside, *(Skip(*pair) for pair in faults.items())))


def _fault(shop: Workshop, launch: Launch) -> str | None:
    """Render a persona's prompt as it will be, but for what only the run knows; return what is wrong with it."""
    try:
        situation = Situation(launch.sprint, 1, launch.run, "", "", shop.settings.team.human, (), shop.top.name)
        write_prompt(shop.persona(launch.persona), [], situation)
    except (PersonaError, NotReady) as error:
        return str(error)
    return None
