"""Routes that ask personas, and stream what they say.

The events of `POST /api/chat/multi` are `NAME` for each piece of text, `done_NAME`, `error_NAME` and `complete`; other
events come only to who accepts `text/event-stream; team=1`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ....mail.errors import UsageError
from ....scheduler.errors import NoSuchRun
from ..access.caller import NOBODY, Caller
from ..common.answer import Refused, read_asked
from ..common.body import Body
from ..common.console import Console
from ..common.route import Asked, Reply, Route, Scope
from ..common.variables import described
from ..live.ask import Ask
from ..live.asks import AskRequest
from ..live.door import asks_of
from ..live.viewing import watched
from ..live.wanted import Wanted
from ..wire.spool import Audience

_ACCEPTED, _BAD, _GONE = 202, 400, 410
_PLACE = re.compile(r"([0-9a-f-]{36}):(\d{1,16})")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_TEAM = re.compile(r";\s*team\s*=\s*1\b")
EVENTS = "text/event-stream"


class AskedTask(Body):
    """One persona and its prompt; see docs/console.md."""

    persona: str
    prompt: str
    after: list[str | int] = Field(default_factory=list[str | int])
    follow_up: bool = False
    keep: Literal["all", "answer"] = "all"

    def wanted(self) -> Wanted:
        """Return it as the console takes it."""
        return Wanted(self.persona, self.prompt, tuple(self.after), self.follow_up, self.keep)


class AskMany(Body):
    """Several personas, each with a prompt. `timeout` is in seconds."""

    tasks: list[AskedTask] = Field(default_factory=list[AskedTask])
    session: str | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None


class AskOne(AskedTask):
    """One persona with a prompt."""

    session: str | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None


async def multi(console: Console, request: Request) -> Response:
    """Ask several personas at once and stream their answers; it ends when the client has been gone for a while."""
    return await _resumed(console, request) or await _streamed(console, request, _MULTI)


async def one(console: Console, request: Request) -> Response:
    """Ask one persona and stream its answer."""
    return await _resumed(console, request) or await _streamed(console, request, _ONE)


async def stream(console: Console, request: Request) -> Response:
    """Stream an ask from its beginning, or from behind `Last-Event-ID`."""
    name = str(request.path_params["id"])
    place = _place(request)
    if place and place[0] != name:
        raise Refused(_GONE, "Last-Event-ID is that of another ask")
    ask = await run_in_threadpool(asks_of(console).get, name, owner_of(_caller(request)))
    return _stream(console, request, ask, place[1] + 1 if place else 0)


def start(console: Console, asked: Asked) -> Reply:
    """Start an ask that goes on whoever watches; `Location` says where its stream is."""
    return _accepted(_start(console, asked, detached=True))


def listed(console: Console, asked: Asked) -> Sequence[Any]:
    """Return the last asks, the newest first."""
    return asks_of(console).listed(owner_of(asked.caller))


def shown(console: Console, asked: Asked) -> dict[str, Any]:
    """Return one ask: who was asked what, and how far each has come."""
    return asks_of(console).get(asked.path["id"], owner_of(asked.caller)).document()


def stop(console: Console, asked: Asked) -> Reply:
    """End all runs of an ask."""
    return _accepted(asks_of(console).stop(asked.path["id"], owner_of(asked.caller), asked.sender))


def stop_task(console: Console, asked: Asked) -> Reply:
    """End the run of one task of an ask, or cancel it before it starts."""
    path = asked.path
    return _accepted(asks_of(console).stop_task(path["id"], path["task"], owner_of(asked.caller), asked.sender))


def retry(console: Console, asked: Asked) -> Reply:
    """Try again what did not succeed in an ask; its stream goes on."""
    return _accepted(asks_of(console).retry(asked.path["id"], owner_of(asked.caller)))


def owner_of(caller: Caller) -> str:
    """Return whose an ask is: that of a token, or of a person's login, by the digest of its id."""
    if caller.token:
        return f"token:{caller.token}"
    return f"login:{hashlib.sha256(caller.session.encode()).hexdigest()[:32]}"


def _caller(request: Request) -> Caller:
    caller = request.scope.get("caller", NOBODY)
    return caller if isinstance(caller, Caller) else NOBODY


def _accepted(ask: Ask) -> Reply:
    return Reply(ask.document(), _ACCEPTED, headers={"location": f"/api/asks/{ask.id}/stream"})


async def _resumed(console: Console, request: Request) -> Response | None:
    """Go on with a stream if the request says where: such a request never starts anything. Raises Refused."""
    if not (place := _place(request)):
        return None
    try:
        ask = await run_in_threadpool(asks_of(console).get, place[0], owner_of(_caller(request)))
    except NoSuchRun:
        raise Refused(_GONE, "there is no such ask any more; leave out Last-Event-ID to ask again") from None
    return _stream(console, request, ask, place[1] + 1)


def _place(request: Request) -> tuple[str, int] | None:
    """Return the ask and the number of the last event that the client has. Raises Refused."""
    given = request.headers.get("last-event-id", "")
    if not given:
        return None
    if not (match := _PLACE.fullmatch(given)):
        raise Refused(_BAD, "Last-Event-ID must be an id of this stream's events")
    return match[1], int(match[2])


async def _streamed(console: Console, request: Request, route: Route) -> Response:
    asked = await read_asked(route, request, str(request.scope["sender"]))
    return _stream(console, request, await run_in_threadpool(_begun, console, asked), 0)


def _begun(console: Console, asked: Asked) -> Ask:
    return _start(console, asked, detached=False)


def _start(console: Console, asked: Asked, *, detached: bool) -> Ask:
    key, owner = asked.key, owner_of(asked.caller)
    if key is not None and not _KEY.fullmatch(key):
        raise Refused(_BAD, "Idempotency-Key must be 1 to 200 characters without spaces")
    if isinstance(body := asked.body, AskOne):
        request = AskRequest((body.wanted(),), owner, body.session, detached, key, body.timeout)
    elif isinstance(body, AskMany):
        wanted = tuple(task.wanted() for task in body.tasks)
        request = AskRequest(wanted, owner, body.session, detached, key, body.timeout)
    else:
        raise UsageError("the request needs a body")
    return asks_of(console).start(request)


def _stream(console: Console, request: Request, ask: Ask, at: int) -> Response:
    asks = asks_of(console)
    is_own = _TEAM.search(request.headers.get("accept", "")) is not None
    wants_tools = request.query_params.get("tools") == "1"
    audience = Audience.TOOLS if wants_tools else Audience.TEAM if is_own else Audience.ALL
    frames = watched(ask, at, audience, lambda: asks.is_closing)
    return StreamingResponse(frames, media_type=EVENTS, headers={"x-ask": ask.id, "x-accel-buffering": "no"})


_TOOLS = described("tools")
_ONE = Route(
    "POST", "/api/chat", "Ask one persona and stream its answer.", stream=one, scope=Scope.CHAT, takes=AskOne,
    query=_TOOLS,
)  # fmt: skip
_MULTI = Route(
    "POST", "/api/chat/multi", "Ask several personas at once and stream their answers.", stream=multi,
    scope=Scope.CHAT, takes=AskMany, query=_TOOLS,
)  # fmt: skip
_STOP = "End the run of one task of an ask, or cancel it before it starts."
ROUTES = (
    _ONE,
    _MULTI,
    Route(
        "POST", "/api/asks", "Start an ask that goes on whoever watches.", start, scope=Scope.CHAT, takes=AskMany,
        status=_ACCEPTED,
    ),
    Route("GET", "/api/asks", "The last asks of who asks, the newest first.", listed, also=Scope.CHAT),
    Route("GET", "/api/asks/{id}", "An ask: who was asked what, and how far each has come.", shown, also=Scope.CHAT),
    Route("GET", "/api/asks/{id}/stream", "The events of an ask.", stream=stream, also=Scope.CHAT, query=_TOOLS),
    Route(
        "POST", "/api/asks/{id}/stop", "End all runs of an ask.", stop, scope=Scope.ACT, also=Scope.CHAT,
        status=_ACCEPTED,
    ),
    Route(
        "POST", "/api/asks/{id}/tasks/{task}/stop", _STOP, stop_task, scope=Scope.ACT, also=Scope.CHAT,
        status=_ACCEPTED,
    ),
    Route(
        "POST", "/api/asks/{id}/retry", "Try again what did not succeed in an ask.", retry, scope=Scope.CHAT,
        status=_ACCEPTED,
    ),
)  # fmt: skip
