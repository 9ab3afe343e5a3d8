"""Routes of schedules: list them, carry one out now, pause one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .....mail.errors import UsageError
from .....mail.text.nearest import suggestion
from .....scheduler.kinds import Kind
from .... import api
from ...common.console import Console
from ...common.route import Asked, Page, Route, Scope
from ..starting import begun_after, started


def listed(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List the schedules, as `scheduler schedules list --json`."""
    del asked
    return api.schedules.listed(console.context).document()


def run(console: Console, asked: Asked) -> dict[str, Any]:
    """Carry a schedule out now, by `scheduler schedules run NAME`, a process of its own."""
    name, known = asked.path["name"], console.context.settings.schedules
    if name not in known:
        raise UsageError(f"no schedule {name!r}{suggestion(name, known)}")

    def of(data: Mapping[str, Any], _: int) -> Mapping[str, Any] | None:
        return {"name": name} if data.get("name") == name else None

    words = ["schedules", "run", "--quiet", "--json", name]
    return started(console, "scheduler", words, begun_after(console.context, Kind.SCHEDULE_FIRED, of))


def pause(console: Console, asked: Asked) -> dict[str, Any]:
    """Let no time of a schedule count, as `scheduler schedules pause`."""
    return api.schedules.pause(console.context, asked.path["name"], asked.sender).document()


def resume(console: Console, asked: Asked) -> dict[str, Any]:
    """Let the times of a schedule count again, as `scheduler schedules resume`."""
    return api.schedules.resume(console.context, asked.path["name"], asked.sender).document()


ROUTES = (
    Route("GET", "/api/schedules", "The schedules: what, when next, how the last time ended.", listed,
          page=Page("/schedules", "schedules.html")),
    Route("POST", "/api/schedules/{name}/run", "Carry a schedule out now, in a process of its own.", run,
          scope=Scope.ACT, status=202),
    Route("POST", "/api/schedules/{name}/pause", "Let no time of a schedule count.", pause, scope=Scope.ACT),
    Route("POST", "/api/schedules/{name}/resume", "Let the times of a schedule count again.", resume, scope=Scope.ACT),
)  # fmt: skip
