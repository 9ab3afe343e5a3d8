"""Routes that tell who works in the team, whether it could work here, and what it did last."""

from __future__ import annotations

from typing import Any

from ... import api
from ..common.console import Console
from ..common.route import Asked, Route
from ..common.variables import described


def registry(console: Console, asked: Asked) -> Any:
    """List who works in the team, as `team agents --json`."""
    del asked
    return api.agents.registry(console.context).document()


def doctor(console: Console, asked: Asked) -> dict[str, Any]:
    """Look whether the team could work on this machine, as `team doctor --json`."""
    del asked
    return api.agents.doctor(console.context.home).document()


def history(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List sprints, dispatches and asks, the newest last, as `team history --json`."""
    return api.records.past(console.context, asked.limit()).document()


ROUTES = (
    Route("GET", "/api/agents", "Who works in the team: status, runs, last result, what each can do.", registry),
    Route("GET", "/api/doctor", "Whether the team could work on this machine.", doctor),
    Route(
        "GET",
        "/api/history",
        "What the team did last: sprints, dispatches and asks.",
        history,
        query=described("limit"),
    ),
)
