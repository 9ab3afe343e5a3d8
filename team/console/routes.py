"""All routes of the console. The document that describes them, and the pages, are made of this table."""

from __future__ import annotations

from typing import Any

from .api import agents, chat, dispatches, logins, mail, output, overview, pages, runs, sprints, views
from .api.outside import commands, forge, measures, query
from .api.work import claims, plans, schedules, sessions
from .common.address import addresses
from .common.console import Console
from .common.route import Asked, Route
from .openapi import describe


def openapi(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the description of all routes."""
    del asked
    return describe(ROUTES, addresses(console))


ROUTES: tuple[Route, ...] = (
    *overview.ROUTES, *pages.ROUTES, *mail.ROUTES, *runs.ROUTES, *sprints.ROUTES, *agents.ROUTES, *dispatches.ROUTES,
    *claims.ROUTES, *schedules.ROUTES, *sessions.ROUTES, *commands.ROUTES, *plans.ROUTES, *measures.ROUTES,
    *query.ROUTES, *forge.ROUTES, *logins.ROUTES, *chat.ROUTES, *output.ROUTES, *views.ROUTES,
    Route("GET", "/api/openapi.json", "This description.", openapi),
)  # fmt: skip


def routes_table() -> str:
    """Return the Markdown table of the routes, for the documentation."""
    rows = [f"| `{route.method} {route.path}` | {route.about} |" for route in ROUTES]
    return "\n".join(["| route | what it does |", "|---|---|", *rows])
