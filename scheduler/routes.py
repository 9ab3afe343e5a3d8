"""The rules of routing as the settings of a team say them."""

from __future__ import annotations

from .limits.routing import Routing, Rule
from .settings.settings import RouteSettings, Settings


def routing_of(settings: Settings) -> Routing:
    """Return the agents of a team and its rules; what is missing here, and what they cost, is not looked at."""
    rules = tuple(_rule(name, table, settings) for name, table in settings.route.items())
    most = {name: table.max_parallel for name, table in settings.agents.items() if table.max_parallel}
    return Routing(settings.team.agents, rules, most=most)


def _rule(name: str, table: RouteSettings, settings: Settings) -> Rule:
    addressed = settings.addressed
    groups = (addressed[each[1:]] if each.startswith("@") else (each,) for each in table.personas)
    personas = frozenset(persona for group in groups for persona in group)
    cheapest = table.order == "cheapest"
    return Rule(name, table.agents, personas, table.tasks, frozenset(table.reasons), table.budget_left, cheapest)
