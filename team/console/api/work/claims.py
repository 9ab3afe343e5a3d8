"""Routes of claims: tasks that are there to be claimed, and who has what. The human claims, and nobody else."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, JsonValue

from .....mail.errors import UsageError
from .....scheduler.claims.claims import Claims, NewTask
from .....scheduler.claims.lease import DEFAULT
from .....scheduler.sessions.sessions import Sessions
from .... import api
from ...common.body import Body
from ...common.console import Console
from ...common.route import Asked, Page, Reply, Route, Scope
from ...common.variables import described

_MOST = 1_000  # globs, names or tasks in a body
Texts = Annotated[tuple[str, ...], Field(max_length=_MOST)]
Token = Annotated[int, Field(ge=1)]


class NewClaimable(Body):
    """A task to add, for whoever claims it."""

    task: str
    title: str = ""
    to: str = ""
    priority: str = "normal"
    after: Texts = ()
    paths: Texts = ()
    input: JsonValue = None
    session: str | None = None
    idempotency_key: str | None = None


class Claiming(Body):
    """What is claimed: one task, the next one, or paths and names; for how long."""

    task: str | None = None
    next: bool = False
    paths: Texts = ()
    names: Texts = ()
    lease: str = DEFAULT
    expect: Annotated[int | None, Field(ge=1)] = None
    session: str | None = None


class Renewal(Body):
    """A claim whose time is to begin anew; without a task it is one of paths."""

    token: Token
    task: str | None = None
    lease: str | None = None
    expect: Annotated[int | None, Field(ge=1)] = None


class Releasing(Body):
    """A claim to give back by its token, or to end by its task: one that is over, or by force with a reason."""

    task: str | None = None
    token: Token | None = None
    force: bool = False
    reason: str = ""
    expect: Annotated[int | None, Field(ge=1)] = None


class Finished(Body):
    """How a task ended that was claimed: its output, or why it failed."""

    task: str
    token: Token
    output: JsonValue = None
    failed: Annotated[str | None, Field(min_length=1)] = None
    expect: Annotated[int | None, Field(ge=1)] = None


def board(console: Console, asked: Asked) -> dict[str, Any]:
    """List tasks and claims, as `team task list --json`; with `all=1` also those that are done."""
    return api.claims.list_tasks(Claims(console.context.mailbox), whole=asked.flag("all")).document()


def show(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a task with all that became of it, as `team task show --json`."""
    return api.claims.show_task(Claims(console.context.mailbox), asked.path["task"]).document()


def add(console: Console, asked: Asked) -> dict[str, Any]:
    """Add a task, as `team task add --json`."""
    given = asked.given(NewClaimable)
    task = NewTask(
        given.task, given.title, given.to, given.priority, given.after, given.paths, given.input,
        asked.one_key(given.idempotency_key) or "",
    )  # fmt: skip
    return api.claims.add_task(_claims(console, given.session), task, asked.sender).document()


def claim(console: Console, asked: Asked) -> Reply:
    """Take a task, or paths and names, as `team claim --json`; an empty object if there is nothing to take."""
    given, owner = asked.given(Claiming), asked.sender
    if sum((given.task is not None, given.next, bool(given.paths or given.names))) != 1:
        raise UsageError("claim what? Name one task, or next, or paths and names")
    if given.expect is not None and given.task is None:
        raise UsageError("expect: it is for a task that is named")
    own = _claims(console, given.session)
    if given.next:
        taken = api.claims.claim_next(own, owner, given.lease).document()
        return Reply(taken, status=None if taken else 200)
    if given.task is not None:
        return Reply(api.claims.claim_task(own, given.task, owner, given.lease, expect=given.expect).document())
    return Reply(api.claims.claim_paths(own, given.paths, given.names, owner, given.lease).document())


def renew(console: Console, asked: Asked) -> dict[str, Any]:
    """Let the time of a claim begin anew, as `team renew --json`."""
    given = asked.given(Renewal)
    return api.claims.renew(
        Claims(console.context.mailbox), given.task, given.token, asked.sender, given.lease, expect=given.expect
    ).document()


def release(console: Console, asked: Asked) -> dict[str, Any]:
    """Give a claim back, as `team release --json`."""
    given = asked.given(Releasing)
    if given.task is None and given.token is None:
        raise UsageError("release what? Name the task, or the token of paths")
    return api.claims.release(
        Claims(console.context.mailbox), given.task, given.token, asked.sender, given.reason, force=given.force,
        expect=given.expect,
    ).document()  # fmt: skip


def done(console: Console, asked: Asked) -> dict[str, Any]:
    """End a task that was claimed, as `team done --json`."""
    given = asked.given(Finished)
    return api.claims.finish(
        Claims(console.context.mailbox), given.task, given.token, asked.sender, output=given.output,
        error=given.failed, expect=given.expect,
    ).document()  # fmt: skip


def _claims(console: Console, session: str | None) -> Claims:
    """Return the claims of the team, to write for a session. Raises NoSuchSession."""
    if session is None:
        return Claims(console.context.mailbox)
    own = Claims(console.own_context().mailbox)
    Sessions(own.mailbox).get(session)
    own.mailbox.log.session = session
    return own


ROUTES = (
    Route("GET", "/api/tasks", "Tasks that can be claimed, the next one first, and what is held.", board,
          query=described("all")),
    Route("GET", "/api/tasks/{task}", "A task with its claims, and how it ended.", show,
          page=Page("/tasks/{task}", "task.html")),
    Route("POST", "/api/tasks", "Add a task, for whoever claims it.", add, scope=Scope.ACT, takes=NewClaimable,
          status=201),
    Route("POST", "/api/claims", "Take a task, or paths and names.", claim, scope=Scope.ACT, takes=Claiming,
          status=201),
    Route("POST", "/api/claims/renew", "Let the time of a claim begin anew.", renew, scope=Scope.ACT, takes=Renewal),
    Route("POST", "/api/claims/release", "Give a claim back.", release, scope=Scope.ACT, takes=Releasing),
    Route("POST", "/api/claims/done", "End a task that was claimed.", done, scope=Scope.ACT, takes=Finished),
)  # fmt: skip
