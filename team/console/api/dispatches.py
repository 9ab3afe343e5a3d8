"""Routes of dispatches: what they did, a dry run, a start, and how one that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue

from ....mail.errors import UsageError
from ....scheduler.errors import NotLeader
from ....scheduler.kinds import Kind
from ....scheduler.liveness import is_led
from ....scheduler.sessions.sessions import check_startable
from ... import api
from ..common.body import Body
from ..common.console import Console
from ..common.route import Asked, Reply, Route, Scope, paged
from ..common.variables import described
from .starting import begun_after, started

_MOST_TASKS = 1_000


class NewDispatch(Body):
    """Tasks as a `tasks.json` has them, or those of a template with values; who plays them, and from where.

    `config` wins over that of a template.
    """

    tasks: Annotated[tuple[dict[str, JsonValue], ...] | None, Field(min_length=1, max_length=_MOST_TASKS)] = None
    config: dict[str, JsonValue] = Field(default_factory=dict)
    template: str | None = None
    values: dict[str, str] = Field(default_factory=dict)
    agent: str | None = None
    base: str | None = None
    session: str | None = None


def listed(console: Console, asked: Asked) -> Reply:
    """List dispatches, the newest last, as `team dispatches --json`; `before` is the id of one."""
    found = api.traces.dispatches(console.context, asked.limit(), asked.text("before"))
    return paged(asked, "/api/dispatches", found.document(), found.dispatches[0].id if found.older else None)


def show(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a dispatch with its tasks, as `team trace --index --dispatch ID --json`."""
    return api.traces.trace_index(console.context, asked.path["id"]).document()


def task(console: Console, asked: Asked) -> dict[str, Any]:
    """Return all that is known of a task, as `team trace TASK --dispatch ID --json`."""
    return api.traces.trace_task(console.context, asked.path["task"], asked.path["id"]).document()


def templates(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List the templates of a dispatch, as `team templates --json`."""
    del asked
    return api.team.templates(console.context.home).document()


def preview(console: Console, asked: Asked) -> dict[str, Any]:
    """Check tasks and say who would do what, as `team dispatch --dry-run --json`; nothing is started."""
    given = asked.given(NewDispatch)
    tasks = api.dispatches.read_tasks(_text(console, given), given.config, console.context.home)
    return api.dispatches.preview(tasks, _request(console, given)).document()


def start(console: Console, asked: Asked) -> Reply:
    """Start `team dispatch` as a process of its own, which goes on without the console."""
    given, context = asked.given(NewDispatch), console.context
    tasks = api.dispatches.read_tasks(_text(console, given), given.config, context.home)
    check_startable(context.mailbox.projections, given.session)
    api.dispatches.preview(tasks, _request(console, given))
    words = ["dispatch", "--json", "--quiet", "-"]
    for name in ("agent", "base", "session"):
        words += [f"--{name}={value}"] if (value := getattr(given, name)) is not None else []
    text = json.dumps(tasks.model_dump(mode="json", exclude_unset=True)).encode()
    return _started(console, words, Kind.DISPATCH_STARTED, text)


def resume(console: Console, asked: Asked) -> Reply:
    """Go on with a dispatch that was cut off, by `team dispatch --resume ID`, a process of its own."""
    index = api.traces.trace_index(console.context, asked.path["id"])
    if is_led(index.state.supervisor) and not index.state.finished:
        raise NotLeader(f"dispatch {index.state.short} is under way: process {index.state.supervisor.get('pid')}")
    words = ["dispatch", "--json", "--quiet", f"--resume={index.state.id}"]
    return _started(console, words, Kind.DISPATCH_RESUMED)


def _started(console: Console, words: list[str], kind: Kind, text: bytes = b"") -> Reply:
    def of(data: Mapping[str, Any], pid: int) -> Mapping[str, Any] | None:
        return {"dispatch": data.get("dispatch")} if data.get("supervisor", {}).get("pid") == pid else None

    made = started(console, "team", words, begun_after(console.context, kind, of), text)
    where = {"location": f"/api/dispatches/{made['dispatch']}"} if "dispatch" in made else {}
    return Reply(made, headers=where)


def _text(console: Console, given: NewDispatch) -> bytes:
    """Return the `tasks.json` that is asked for. Raises UsageError."""
    if (given.tasks is None) == (given.template is None):
        raise UsageError("tasks: give tasks, or the name of a template")
    if given.values and given.template is None:
        raise UsageError("values: they are for a template")
    if given.template is not None:
        return api.team.template(given.template, given.values, console.context.home)
    return json.dumps({"tasks": given.tasks}).encode()


def _request(console: Console, given: NewDispatch) -> api.dispatches.DispatchRequest:
    return api.dispatches.DispatchRequest(given.agent, given.base, console.context.home, session=given.session)


ROUTES = (
    Route("GET", "/api/dispatches", "The last dispatches, the newest last.", listed,
          query=described("limit", "before")),
    Route("GET", "/api/templates", "The templates of dispatches, with the values that each needs.", templates),
    Route("POST", "/api/dispatches/preview", "Check tasks, and say who would do what; nothing is started.", preview,
          takes=NewDispatch),
    Route("POST", "/api/dispatches", "Start a dispatch in a process of its own.", start, scope=Scope.ACT,
          takes=NewDispatch, status=202),
    Route("GET", "/api/dispatches/{id}", "A dispatch with its tasks.", show),
    Route("GET", "/api/dispatches/{id}/tasks/{task}", "A task of a dispatch, with each attempt.", task),
    Route("POST", "/api/dispatches/{id}/resume", "Go on with a dispatch that was cut off.", resume, scope=Scope.ACT,
          status=202),
)  # fmt: skip
