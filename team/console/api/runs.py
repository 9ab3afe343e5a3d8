"""Routes of runs: the list, one with its trace, and its patch. What a run prints is streamed elsewhere."""

from __future__ import annotations

from typing import Any

from ... import api
from ..common.console import Console
from ..common.route import Asked, Page, Reply, Route, Scope, paged
from ..common.variables import described


def runs(console: Console, asked: Asked) -> Reply:
    """List runs, the newest first, as `team runs --json`."""
    wanted = api.traces.RunFilter(
        asked.text("persona"), asked.text("status"), asked.number("sprint", least=1), asked.text("dispatch")
    )
    found = api.traces.runs(console.context, wanted, asked.limit(), asked.number("before"))
    return paged(asked, "/api/runs", found.document(), found.older)


def show(console: Console, asked: Asked) -> dict[str, Any]:
    """Return all that is known of a run, as `team trace RUN --json`."""
    return api.traces.trace_run(console.context, asked.path["run"]).document()


def patch(console: Console, asked: Asked) -> Reply:
    """Return the patch of a run, as `team trace RUN --patch`; a browser shows it as text."""
    data = api.traces.patch_of(console.context, asked.path["run"])
    return Reply(data, media="text/x-diff", headers={"content-security-policy": "default-src 'none'; sandbox"})


def stop(console: Console, asked: Asked) -> dict[str, Any]:
    """End a run, as `scheduler stop RUN`."""
    return api.control.stop(console.context, asked.path["run"], asked.sender).document()


ROUTES = (
    Route(
        "GET",
        "/api/runs",
        "Runs of sprints and dispatches, the newest first.",
        runs,
        page=Page("/runs", "runs.html"),
        query=described(
            "limit",
            "before",
            persona="Whose runs.",
            status="Those with this status.",
            sprint="Those of a sprint.",
            dispatch="Those of a dispatch.",
        ),
    ),
    Route(
        "GET", "/api/runs/{run}", "A run, by its id or the beginning of it: what it was given and what it did.", show
    ),
    Route("GET", "/api/runs/{run}/trace", "The same.", show),
    Route("GET", "/api/runs/{run}/patch", "The patch of a run, as text.", patch),
    Route("POST", "/api/runs/{run}/stop", "End a run; it is not tried again.", stop, scope=Scope.ACT, status=202),
)
