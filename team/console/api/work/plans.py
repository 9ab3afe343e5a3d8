"""The routes of plans: what of a roadmap can run at once, and the forecast of the next sprint."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .....scheduler.claims.claims import Claims
from .....scheduler.errors import InvalidTasks, NotReady
from .... import api
from ...common.body import Body
from ...common.console import Console
from ...common.route import Asked, Page, Route
from ...common.variables import described

_MOST_TEXT = 1 << 20  # characters of a roadmap
_NAME = "roadmap"
Workers = Annotated[int | None, Field(ge=1, le=1_000)]


class NewPlan(Body):
    """A roadmap as text, YAML or JSON, or a `tasks.json`; what is done of it, and how many work at once.

    `most` is the largest number of workers to compare, by default that of `team plan`.
    """

    roadmap: Annotated[str, Field(max_length=_MOST_TEXT)]
    done: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    workers: Workers = None
    most: Annotated[int | None, Field(ge=1, le=64)] = None


def plan(console: Console, asked: Asked) -> dict[str, Any]:
    """Plan work, as `team plan --json`."""
    given = asked.given(NewPlan)
    roadmap = api.plans.read_roadmap(given.roadmap.encode(errors="replace"), _NAME, console.context.home)
    claims = Claims(console.context.mailbox)
    return api.plans.plan(
        roadmap, given.done, given.workers, given.most or api.plans.MOST_WORKERS, claims=claims
    ).document()


def tasks(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the tasks of a plan for a dispatch, as `team plan --tasks`."""
    given = asked.given(NewPlan)
    data = given.roadmap.encode(errors="replace")
    roadmap = api.plans.read_roadmap(data, _NAME, console.context.home)
    work = api.plans.plan(roadmap, given.done, given.workers, given.most or api.plans.MOST_WORKERS)
    return api.plans.tasks_of(work, data).document()


def forecast(console: Console, asked: Asked) -> dict[str, Any]:
    """Plan the next sprint by what the last ones did, as `team plan --from-sprint --json`."""
    workers = asked.number("workers", least=1)
    claims = Claims(console.context.mailbox)
    return api.plans.plan(api.plans.forecast(console.context), (), workers, claims=claims).document()


def foretold(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the plan of the next sprint, or why there is none yet, for the page of plans."""
    try:
        return _shown("sprints", forecast(console, asked))
    except NotReady as error:
        return _shown("sprints", None, str(error))


def drawn(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the plan of a roadmap, or everything that is wrong with it, for the page of plans."""
    try:
        return _shown("roadmap", plan(console, asked))
    except InvalidTasks as error:
        return _shown("roadmap", None, str(error))


def _shown(source: str, made: dict[str, Any] | None, error: str | None = None) -> dict[str, Any]:
    return {"source": source, "plan": made, "error": error}


_PAGE = Page("/plan", "plan.html")
ROUTES = (
    Route("POST", "/api/plans", "What of a roadmap can run at once, where tasks conflict, what that saves.", plan,
          takes=NewPlan),
    Route("POST", "/api/plans/tasks", "The tasks of a roadmap, for a dispatch.", tasks, takes=NewPlan),
    Route("GET", "/api/plans/forecast", "The next sprint, by what the last ones did.", forecast,
          query=described("workers")),
    Route("GET", "/api/views/plan", "The plan of the next sprint, or why there is none yet.", foretold, page=_PAGE,
          query=described("workers")),
    Route("POST", "/api/views/plan", "The plan of a roadmap, or what is wrong with it.", drawn, takes=NewPlan,
          page=_PAGE),
)  # fmt: skip
