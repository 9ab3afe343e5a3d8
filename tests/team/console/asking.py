"""Asks the application of a console in this process, without a socket and without the guard before it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

from team_mail.team.console.app import make_unguarded
from team_mail.team.console.common.console import Console
from team_mail.team.console.common.slashes import keep_slashes


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]

    @property
    def following(self) -> str:
        """The path of the next page, "" if there is none."""
        return self.headers.get("link", "").partition("<")[2].partition(">")[0]


class Asker:
    """Asks as the human of a team."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._app = make_unguarded(console)

    def get(self, path: str, **query: Any) -> Answer:
        return self(path=path, method="GET", **query)

    def post(self, path: str, body: Any = None, key: str | None = None) -> Answer:
        headers = {"idempotency-key": key} if key is not None else {}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self(path=path, method="POST", data=data, headers=headers)

    def __call__(
        self, path: str, method: str, data: bytes = b"", headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        path, _, text = path.partition("?")
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": unquote(path),
            "raw_path": quote(path, safe="/%").encode(),
            "query_string": (text or urlencode(query)).encode(), "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "server": ("127.0.0.1", 8420), "client": ("127.0.0.1", 1), "sender": self.console.human,
        }  # fmt: skip
        keep_slashes(scope)
        sent: list[dict[str, Any]] = []

        left = [data]

        async def receive() -> dict[str, Any]:
            if not left:
                await asyncio.Event().wait()  # the client stays
            return {"type": "http.request", "body": left.pop()}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self._app(scope, receive, send))
        head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))
