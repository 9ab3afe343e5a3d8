"""Serves the console until it is asked to end."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from functools import partial

import uvicorn
from starlette.types import Scope

from ...mail.errors import TeamMailError, UsageError
from ...mail.log.disk import reason_of
from ..session import ending
from .access.peer import Ends, why_not
from .app import make_app
from .common.address import login_address
from .common.console import Console, ConsoleOptions
from .connection import MOST_HEADERS, Connection
from .live.door import asks_of

_BACKLOG = 128
_GRACE = 1  # second for requests under way, once the server is to end; streams end at once


class NotServed(TeamMailError):
    """The console cannot listen there."""


class Server(uvicorn.Server):
    """The server of a console. It leaves signals to the command."""

    def __init__(self, config: uvicorn.Config, console: Console) -> None:
        super().__init__(config)
        self._console = console

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell all that is under way that the server ends, and end it."""
        for stop in self._console.on_stop:
            stop()
        await super().shutdown(sockets)

    def end(self) -> None:
        """End the server soon; any thread may call it."""
        self.should_exit = True


def serve(console: Console, ready: Callable[[str], object]) -> None:
    """Serve a console until a signal ends it.

    `ready` is called with the address that logs in, once it answers. Raises as `listening` does.
    """
    with listening(console) as (server, place):
        ready(login_address(console, console.logins.new_key()))
        with ending(server.end):
            server.run(sockets=[place])


@contextlib.contextmanager
def listening(console: Console) -> Generator[tuple[Server, socket.socket]]:
    """Listen for a console; yield the server, which is to be run, and its socket.

    Raises NotServed, UsageError for a certificate that cannot be used, and what opening the team raises.
    """
    options, asks = console.options, asks_of(console)  # of no team nothing is served
    if options.tls:
        _check_certificate(*options.tls)
    config = uvicorn.Config(
        make_app(console, check_peer=partial(_why_not, console)),
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_graceful_shutdown=_GRACE,
        ssl_certfile=options.tls[0] if options.tls else None,
        ssl_keyfile=options.tls[1] if options.tls else None,
    )
    with _bound(options) as place:
        options.port = place.getsockname()[1]
        if not options.read_only:
            asks.begin()
        try:
            yield Server(config, console), place
        finally:
            asks.end()


def _why_not(console: Console, scope: Scope) -> str:
    """Say why the process behind a request may change nothing; it is looked up once for each connection."""
    known: dict[str, str] = scope["state"].setdefault("peer", {})
    if "why" not in known:
        client, server = scope.get("client"), scope.get("server")
        ends = Ends((client[0], client[1]), (server[0], server[1])) if client and server else None
        known["why"] = why_not(console.context.home, ends)
    return known["why"]


def _bound(options: ConsoleOptions) -> socket.socket:
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        place = f"{options.host}:{options.port}"
        raise NotServed(f"cannot listen on {place}: {reason_of(error)}; try --port, or --port 0 for any") from None


def _check_certificate(certificate: str, key: str) -> None:
    """Raise UsageError for a certificate that cannot be used."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except OSError as error:
        why = f"{error.strerror or error}; both must be PEM files, the key without a password"
        raise UsageError(f"--tls {certificate} {key}: {why}") from None
