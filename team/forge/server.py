"""The HTTP server of the fake forge: what comes in goes to one of two doors, the API or git."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

from .pages import Response

API = "/api/v3"
Door = Callable[[str, str, Mapping[str, str], bytes], Response]


class Doors(NamedTuple):
    """Who answers a call of the API, and who a request of git: method, target, headers and body to an answer."""

    api: Door
    git: Door


def handler(doors: Doors) -> type[BaseHTTPRequestHandler]:
    """Return the class that `http.server` makes an object of for each connection."""
    return type("Handler", (_Handler,), {"doors": doors})


class _Handler(BaseHTTPRequestHandler):
    doors: Doors
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        headers = {str(name): str(value) for name, value in self.headers.items()}
        door = self.doors.api if self.path.startswith(f"{API}/") else self.doors.git
        status, more, value = door(self.command, self.path, headers, self._body())
        if not status:
            self.close_connection = True
            return
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, each in more.items():
            self.send_header(name, each)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_POST = do_PATCH = do_PUT = _do  # noqa: N815 - as http.server calls them

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
