"""The server over HTTP, on loopback alone: who asks is known by a token with the scope `mail`, and acts as its sender.

What stands before each request is what stands before those of the console: the names by which this machine is called,
the site that a page is of, the token, and the process at the other end, which must be none of a run.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from ...mail.errors import TeamMailError
from ...mail.log.disk import reason_of
from ...mail.mailbox import Mailbox
from ...mail.process import check_not_in_run
from ..console.access.caller import Caller, Scope
from ..console.access.peer import Ends, why_not
from ..console.access.tokens import Tokens
from ..console.common.answer import Refused, problem
from ..console.common.console import ConsoleOptions
from ..console.connection import Connection as Held
from ..console.guard.names import check_names
from ..session import ending
from .server import make_server, user
from .team_desk import TeamDesk

HOST, PATH = "127.0.0.1", "/mcp"
_UNKNOWN, _FORBIDDEN = 401, 403
_BEARER = {"www-authenticate": "Bearer"}
_BACKLOG = 32
_MADE_BY = "team console token create NAME --scope mail --sender PERSONA"


class NotServed(TeamMailError):
    """The server cannot listen there."""


class _Server(uvicorn.Server):
    """A server that leaves signals to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def end(self) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # requests that are cut off now are no errors
        self.should_exit = True


class Guard:
    """Lets only those requests through that may be made, and notes who makes them."""

    def __init__(self, app: ASGIApp, home: Path, options: ConsoleOptions) -> None:
        self._app = app
        self._home = home
        self._options = options
        self._tokens = Tokens(home)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                check_names(scope, headers, self._options, ())
                scope["caller"] = caller = await run_in_threadpool(self._caller, headers)
                scope["user"] = user(caller.token, caller.sender)
                await run_in_threadpool(self._check_process, scope)
            except TeamMailError as error:
                await problem(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _caller(self, headers: Headers) -> Caller:
        """Return who asks. Raises Refused."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        caller = self._tokens.caller(token.strip()) if kind.lower() == "bearer" else None
        if caller is None:
            raise Refused(_UNKNOWN, f"this takes a token, as `{_MADE_BY}` makes one", _BEARER)
        if Scope.MAIL not in caller.scopes:
            raise Refused(_FORBIDDEN, f"{caller.token} may not: its token has no scope mail")
        return caller

    def _check_process(self, scope: Connection) -> None:
        """Refuse a process of a run, which has mail of its own; it is looked up once for each connection."""
        known: dict[str, str] = scope["state"].setdefault("peer", {})
        if "why" not in known:
            known["why"] = why_not(self._home, Ends(tuple(scope["client"][:2]), tuple(scope["server"][:2])))
        if known["why"]:
            raise Refused(_FORBIDDEN, f"this is for programs outside of runs: {known['why']}")


def serve_http(mailbox: Mailbox, home: Path, port: int, ready: Callable[[str], object]) -> None:
    """Serve the mail of a team until a signal ends it; `ready` is called with the address.

    Raises NotServed, and NotFromRun for a process of a run.
    """
    check_not_in_run(home, "serves no mail to others")
    desks: dict[str, TeamDesk] = {}

    def desk_of(request: Any) -> TeamDesk:
        sender = request.scope["caller"].sender
        return desks.setdefault(sender, TeamDesk(mailbox, sender))

    with _bound(port) as place:
        options = ConsoleOptions(HOST, place.getsockname()[1])
        app = make_server(desk_of).streamable_http_app(streamable_http_path=PATH, json_response=True)
        config = uvicorn.Config(
            Guard(app, home, options), http=Held, ws="none", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = _Server(config)
        ready(f"http://{HOST}:{options.port}{PATH}")
        with ending(server.end):
            server.run(sockets=[place])


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=_BACKLOG)
    except OSError as error:
        why = reason_of(error)
        raise NotServed(f"cannot listen on {HOST}:{port}: {why}; try --port, or --port 0 for any") from None
