"""Routes of pages that show what no command prints alone: sprints and their start, a sprint as of any moment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ....mail.errors import UsageError
from ....scheduler.claims.claims import Claims
from ....scheduler.kinds import ModeRequest
from ....scheduler.leader import leading_anywhere
from ....scheduler.state.reading import LAST
from ... import api
from ..common.console import Console
from ..common.route import MOST_ROWS, Asked, Page, Route
from ..common.variables import described

NEWEST = "last"


def sprints(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the last sprints, the newest first, with whether one is open and who leads the team."""
    context = console.context
    found = api.records.history(context, _most(asked), asked.number("before", least=1))
    rows = found.document()[::-1]
    return {
        "sprints": [row | {"started": each.started, "patches": each.patches} for row, each in
                    zip(rows, found.sprints[::-1], strict=True)],
        "before": rows[-1]["sprint"] if found.older else None,
        "leader": leading_anywhere(context.home / "work", context.mailbox.log),
    }  # fmt: skip


def _most(asked: Asked) -> int:
    """Return how many sprints or dispatches are asked for, by default as many as commands list."""
    return min(asked.number("limit", LAST, 1) or LAST, MOST_ROWS)


def sprint(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a sprint as of a moment: of `n`, a number or "last", and `at`, a seq."""
    return api.records.view_sprint(console.context, number_of(asked), asked.number("at", least=1)).document()


def number_of(asked: Asked) -> int | None:
    """Return the number of a sprint in the path, None for the last one. Raises UsageError."""
    name = str(asked.path.get("n", NEWEST))
    return None if name == NEWEST else Asked(query={"sprint": name}).number("sprint", least=1)


def start(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what a new sprint would do first, which is shown before it is started."""
    mode, base = asked.text("mode", ModeRequest.AUTO) or "", asked.text("base")
    if mode not in {*ModeRequest}:
        raise UsageError(f"mode must be one of {', '.join(ModeRequest)}")
    preview = api.sprints.preview_sprint(console.team(), mode, base)
    return {"mode": mode, "base": base, "modes": [*ModeRequest], "preview": preview.document()}


def money(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what was used today by agent and persona, on days before and in sprints, and what budgets leave."""
    return api.records.money(console.context, _most(asked)).document()


def tasks(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the tasks that can be claimed, who has what, the claims that are over, and the last dispatches."""
    from ....scheduler.overview.tasks import claimed_work

    context = console.context
    found = api.traces.dispatches(context, _most(asked), asked.text("before"))
    stale = [asdict(each) for each in claimed_work(context).stale]
    return {
        **api.claims.list_tasks(Claims(context.mailbox), whole=asked.flag("all")).document(),
        "stale": stale, "dispatches": found.document()[::-1],
        "before": found.dispatches[0].id if found.older else None,
    }  # fmt: skip


def dispatch(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a dispatch as it is now, with its tasks and each attempt over time."""
    return api.traces.view_dispatch(console.context, asked.path["id"]).document()


ROUTES = (
    Route("GET", "/api/views/money", "What was used today, before and in sprints, and what budgets leave.", money,
          query=described("limit"),
          page=Page("/money", "money.html")),
    Route("GET", "/api/views/tasks", "Tasks to claim, who has what, stale claims, and the last dispatches.", tasks,
          query=described("all", "limit", "before"),
          page=Page("/tasks", "tasks.html")),
    Route("GET", "/api/views/dispatches/{id}", "A dispatch as it is now: its tasks, each attempt over time, its money.",
          dispatch, page=Page("/dispatches/{id}", "dispatch.html")),
    Route("GET", "/api/views/sprints", "The last sprints, the newest first, and who leads.", sprints,
          query=described("limit", "before"),
          page=Page("/sprints", "sprints.html")),
    Route("GET", "/api/views/start", "What a new sprint would do first, and why.", start,
          query=described(mode="How it runs: auto, parallel or sequential.", base="The branch or commit."),
          page=Page("/sprints/new", "sprint_new.html")),
    Route("GET", "/api/views/sprints/{n}", "A sprint as of any moment of it.", sprint,
          query=described(at="The seq of an event: the sprint as it was then; by default as it is now."),
          page=Page("/sprint/{n}", "sprint.html")),
)  # fmt: skip
