"""Asks the application of a console in this process, with the guard before it and without a socket."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, unquote

from team_mail.team import session
from team_mail.team.console.app import make_app
from team_mail.team.console.common.console import Console, ConsoleOptions
from team_mail.team.console.guard.login import cookie_name

from .asking import Answer

HOST = "127.0.0.1:8420"


class Guarded:
    """A console of the team found from the current folder; `cookie` is that of a person who has logged in."""

    def __init__(self, options: ConsoleOptions | None = None, check_peer: Any = lambda _: "") -> None:
        self.console = Console(session.reading_context, options or ConsoleOptions())
        self.app = make_app(self.console, check_peer=check_peer)
        self.cookie = f"{cookie_name(self.console.options)}={self.log_in()}"

    def log_in(self, device: str = "") -> str:
        return self.console.logins.log_in(self.console.logins.new_key(), device) or ""

    def as_person(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return self(path, method, cookie=self.cookie, **headers)

    def __call__(
        self, path: str, method: str = "GET", chunks: tuple[bytes, ...] = (b"",), host: str = HOST, **headers: str
    ) -> Answer:
        path, _, query = path.partition("?")
        lines = [(b"host", each.encode()) for each in host.split("\n") if each]
        lines += [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": unquote(path),
            "raw_path": quote(path, safe="/%").encode(),
            "query_string": query.encode(), "root_path": "", "scheme": "http", "headers": lines,
            "server": ("127.0.0.1", 8420), "client": ("127.0.0.1", 1), "state": {},
        }  # fmt: skip
        left, sent = list(chunks), list[dict[str, Any]]()

        async def receive() -> dict[str, Any]:
            if not left:
                await asyncio.Event().wait()  # the client stays
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        head = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))
