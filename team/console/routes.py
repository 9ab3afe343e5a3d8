"""All routes of the console. The document that describes them, and the pages, are made of this table."""

from __future__ import annotations

from typing import Any

from .api import logins, overview
from .common.address import addresses
from .common.console import Console
from .common.route import Asked, Route
from .openapi import describe


def openapi(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the description of all routes."""
    del asked
    return describe(ROUTES, addresses(console))


ROUTES: tuple[Route, ...] = (
    *overview.ROUTES,
    *logins.ROUTES,
    Route("GET", "/api/openapi.json", "This description.", openapi),
)
