"""Serves the console until it is asked to end."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from ...mail.errors import TeamMailError
from ...mail.log.disk import reason_of
from .app import make_app
from .common.console import Console
from .guard.logins import Logins

_BACKLOG = 128


class NotServed(TeamMailError):
    """The console cannot listen there."""


def serve(console: Console, ready: Callable[[str], object]) -> None:
    """Serve a console. `ready` is called with the address that logs in, once it answers. Raises NotServed."""
    options, logins = console.options, Logins()
    try:
        listening = socket.create_server((options.host, options.port), backlog=_BACKLOG)
    except OSError as error:
        raise NotServed(f"cannot listen on {options.host}:{options.port}: {reason_of(error)}; try --port") from None
    config = uvicorn.Config(make_app(console, logins), log_config=None, access_log=False, server_header=False)
    with listening:
        options.port = listening.getsockname()[1]
        ready(f"http://{options.host}:{options.port}/login?key={logins.new_key()}")
        uvicorn.Server(config).run(sockets=[listening])
