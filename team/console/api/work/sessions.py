"""Routes of sessions: create, list, show, pause, resume, complete, delete, export, and what is kept in them."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any

from pydantic import Field

from .....mail.errors import UsageError
from .....mail.text.nearest import suggestion
from .....scheduler.kinds import SessionStatus
from .... import api
from ...common.body import Body
from ...common.console import Console
from ...common.route import Asked, Reply, Route, Scope, paged
from ...common.variables import described

_MOST = 100  # people, tags or turns
Texts = Annotated[tuple[str, ...], Field(max_length=_MOST)]


class NewSession(Body):
    """A session to create."""

    session: str
    title: str = ""
    participants: Texts = ()
    idempotency_key: str | None = None


class Resuming(Body):
    """How a session goes on: with `again`, also one that is completed or deleted."""

    again: bool = False


class Completing(Body):
    """How a session is completed: with `force`, even while runs of it are open."""

    force: bool = False


class NewMemory(Body):
    """A text to remember by a key."""

    key: str
    text: str
    tags: Texts = ()
    to: Texts = ()
    idempotency_key: str | None = None


class NewArtifact(Body):
    """A file to keep, with its bytes in base64."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    content_base64: str
    text: str = ""
    to: Texts = ()
    idempotency_key: str | None = None


class Turn(Body):
    """What was said in a conversation, and by which role."""

    role: Annotated[str, Field(min_length=1)]
    content: Annotated[str, Field(min_length=1)]
    idempotency_key: str | None = None


class Talk(Body):
    """A conversation, which is kept as one thread."""

    messages: Annotated[tuple[Turn, ...], Field(min_length=1, max_length=_MOST)]
    to: Texts = ()


def listed(console: Console, asked: Asked) -> Reply:
    """List the sessions, the newest first, as `team session list --json`; `before` is the name of one."""
    status, limit, before = asked.text("status"), asked.limit(), asked.text("before")
    if status is not None and status not in {*SessionStatus}:
        raise UsageError(f"there is no status {status!r}{suggestion(status, SessionStatus)}")
    found = api.sessions.list_sessions(console.context, status, whole=asked.flag("all")).sessions
    names = [each.id for each in found]
    if before is not None and before not in names:
        raise UsageError(f"before: there is no session {before!r} in this list")
    rest = found[names.index(before) + 1 :] if before is not None else found
    shown = api.sessions.SessionList(tuple(rest[:limit]))
    return paged(asked, "/api/sessions", shown.document(), rest[limit - 1].id if len(rest) > limit else None)


def create(console: Console, asked: Asked) -> dict[str, Any]:
    """Create a session, as `team session create --json`."""
    given = asked.given(NewSession)
    return api.sessions.create(
        console.context, given.session, asked.sender, title=given.title, participants=given.participants,
        key=asked.one_key(given.idempotency_key) or "",
    ).document()  # fmt: skip


def show(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what is gathered under a session, as `team session show --json`."""
    return api.sessions.show(console.context, asked.path["id"]).document()


def export(console: Console, asked: Asked) -> dict[str, Any]:
    """Return all that is on record of a session, as `team session export`."""
    return api.sessions.show(console.context, asked.path["id"]).export()


def pause(console: Console, asked: Asked) -> dict[str, Any]:
    """Start nothing more of a session."""
    return api.sessions.pause(console.context, asked.path["id"], asked.sender).document()


def resume(console: Console, asked: Asked) -> dict[str, Any]:
    """Let a session go on, as `team session resume --status-only --json`; its dispatches are resumed one by one."""
    return api.sessions.resume(
        console.context, asked.path["id"], asked.sender, again=asked.given(Resuming).again, dispatches=False
    ).document()


def complete(console: Console, asked: Asked) -> dict[str, Any]:
    """Put on record that a session is done."""
    force = asked.given(Completing).force
    return api.sessions.complete(console.context, asked.path["id"], asked.sender, force=force).document()


def delete(console: Console, asked: Asked) -> dict[str, Any]:
    """Hide a session."""
    return api.sessions.delete(console.context, asked.path["id"], asked.sender).document()


def remember(console: Console, asked: Asked) -> dict[str, Any]:
    """Remember a text in a session, as `team session remember --json`."""
    given = asked.given(NewMemory)
    memory = api.sessions.NewMemory(given.key, given.text, given.tags, given.to, asked.one_key(given.idempotency_key))
    return api.sessions.remember(console.own_context(), asked.path["id"], asked.sender, memory).document()


def attach(console: Console, asked: Asked) -> dict[str, Any]:
    """Keep a file in a session, as `team session attach --json`."""
    given = asked.given(NewArtifact)
    try:
        data = b64decode(given.content_base64, validate=True)
    except ValueError:
        raise UsageError("content_base64: it is not base64") from None
    key = asked.one_key(given.idempotency_key)
    artifact = api.sessions.NewArtifact((given.name, data), given.text, given.to, key)
    return api.sessions.attach(console.own_context(), asked.path["id"], asked.sender, artifact).document()


def converse(console: Console, asked: Asked) -> dict[str, Any]:
    """Keep what was said in a conversation, in one thread."""
    given, context = asked.given(Talk), console.own_context()
    said = [
        (turn.role, turn.content, turn.idempotency_key or (f"{asked.key}:{number}" if asked.key else None))
        for number, turn in enumerate(given.messages, 1)
    ]
    to = [context.mailbox.directory.checked(name) for name in given.to]
    return api.sessions.converse(context, asked.path["id"], asked.sender, said, to).document()


_ONE = "/api/sessions/{id}"
ROUTES = (
    Route("GET", "/api/sessions", "Sessions, the newest first.", listed,
          query=described("limit", "before", "all", status="Those with this status.")),
    Route("POST", "/api/sessions", "Create a session.", create, scope=Scope.ACT, takes=NewSession, status=201),
    Route("GET", _ONE, "What is gathered under a session.", show),
    Route("GET", f"{_ONE}/summary", "The same.", show),
    Route("GET", f"{_ONE}/export", "All that is on record of a session, mail with its texts.", export),
    Route("POST", f"{_ONE}/pause", "Start nothing more of a session.", pause, scope=Scope.ACT),
    Route("POST", f"{_ONE}/resume", "Let a session go on.", resume, scope=Scope.ACT, takes=Resuming),
    Route("POST", f"{_ONE}/complete", "Put on record that a session is done.", complete, scope=Scope.ACT,
          takes=Completing),
    Route("POST", f"{_ONE}/delete", "Hide a session; what was gathered stays.", delete, scope=Scope.ACT),
    Route("POST", f"{_ONE}/remember", "Remember a text by a key.", remember, scope=Scope.ACT, takes=NewMemory,
          status=201),
    Route("POST", f"{_ONE}/attach", "Keep a file.", attach, scope=Scope.ACT, takes=NewArtifact, status=201),
    Route("POST", f"{_ONE}/converse", "Keep a conversation, as one thread.", converse, scope=Scope.ACT, takes=Talk,
          status=201),
)  # fmt: skip
