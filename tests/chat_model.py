"""A fake server of chat completions: it answers one request after the other as it was told, in whatever shape.

It knows nothing of the package: what a test hands over is sent as it stands.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
MODEL = "qwen3"


def delta(finish: str | None = None, **fields: Any) -> Json:
    """Return an event of a stream."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(name: str, number: int = 0, **arguments: Any) -> Json:
    """Return a whole call of a tool, as a piece of an answer."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "index": number,
        "id": f"id-{name}-{number}-{len(json.dumps(arguments))}",
        "type": "function",
        "function": function,
    }


def usage(given: int, output: int, **more: Any) -> Json:
    """Return the event that tells what an answer used."""
    return {"choices": [], "usage": {"prompt_tokens": given, "completion_tokens": output, **more}}


def sse(*events: Json | str, done: bool = True) -> bytes:
    """Return the bytes of a stream."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}\n\n" for text in [*texts, *(["[DONE]"] if done else [])]).encode()


def says(text: str) -> Reply:
    """Return an answer of words alone."""
    return Reply(sse(delta(role="assistant", content=text), delta("stop"), usage(100, 10)))


def calls(*made: Json, text: str = "") -> Reply:
    """Return an answer that calls tools."""
    return Reply(sse(delta(content=text, tool_calls=[*made]), delta("tool_calls"), usage(100, 10)))


@dataclass
class Reply:
    """An answer: its body, or the pieces that are sent one after the other, each once `between` returns.

    An answer that is `broken` ends without the last chunk.
    """

    body: bytes | Sequence[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "text/event-stream"
    broken: bool = False
    between: Callable[[], object] = lambda: None


def refuses(status: int, message: str, **headers: str) -> Reply:
    """Return an error in the form of OpenAI."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": message}}).encode(), status, headers, "application/json")


@dataclass
class ChatModel:
    """The server. `replies` are given in turn, the last one again and again; `pages` are those of other paths."""

    replies: list[Reply] = field(default_factory=list)
    pages: dict[str, Any] = field(default_factory=dict)
    models: list[Json] = field(default_factory=lambda: [{"id": MODEL}])
    requests: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Callable[[Json], Reply] | None = None

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, body: Json, headers: dict[str, str]) -> Reply:
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            if self.answer:
                return self.answer(body)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def sent(self, number: int = -1) -> list[str]:
        """Return the texts of the messages of a request."""
        return [str(message["content"]) for message in self.requests[number]["messages"]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client may leave at any time."""


def _handler(model: ChatModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._page()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/v1/chat/completions":
                self._page()
                return
            self._send(model.reply(json.loads(body), dict(self.headers)))

        def _page(self) -> None:
            pages = {"/v1/models": {"data": model.models}, **model.pages}
            page = pages.get(self.path)
            if isinstance(page, Reply):
                self._send(page)
                return
            value = {"error": {"message": "no such page"}} if page is None else page
            self._send(Reply(json.dumps(value).encode(), 404 if page is None else 200, kind="application/json"))

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.close_connection = True
            self.send_header("Connection", "close")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                reply.between()
            if not reply.broken:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    return Handler
