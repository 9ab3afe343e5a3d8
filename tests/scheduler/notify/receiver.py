"""A real HTTP server on loopback that keeps what it was sent, and answers as it is told to."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from standardwebhooks import Webhook

SECRET = base64.b64encode(b"s" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()
PATIENCE = 60.0


class Got(NamedTuple):
    """A request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """Serves while it is entered; `answer` returns the status of each request, and may take its time."""

    def __init__(
        self, answer: Callable[[Got], int] = lambda _: 204, tls: ssl.SSLContext | None = None, **headers: str
    ) -> None:
        self.got: list[Got] = []
        self.answer, self.headers = answer, headers
        self._news = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://localhost:{self.port}/hook"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got = Got(
                    self.path, {name.lower(): text for name, text in self.headers.items()}, body, time.monotonic()
                )
                with receiver._news:
                    receiver.got.append(got)
                    receiver._news.notify_all()
                self.send_response(receiver.answer(got))
                for name, text in receiver.headers.items():
                    self.send_header(name, text)
                self.end_headers()

            def date_time_string(self, timestamp=None):
                return receiver.headers.get("Date") or super().date_time_string(timestamp)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def until(self, count: int) -> list[Got]:
        """Wait until so many requests came; return them."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.got) >= count, PATIENCE), self.got
            return [*self.got]

    @property
    def ids(self) -> list[str]:
        return [got.headers["webhook-id"] for got in self.got]


def verified(got: Got, secret: str = SECRET):
    """Return the JSON of a webhook that the reference implementation of Standard Webhooks takes for genuine."""
    return Webhook(secret).verify(got.body, got.headers)
