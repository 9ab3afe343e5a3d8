"""Calls of a JSON API: what is made of limits of rate, broken servers, pages and answers that have not changed."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.personas.errors import ServiceError
from team_mail.personas.web.api import JsonApi, RateLimited
from team_mail.personas.web.cache import FolderCache
from team_mail.personas.web.urls import refusal

SECRET = "s3cret-token"


class Server:
    """Answers one request after the other as it was told, and keeps what it was asked."""

    def __init__(self):
        self.answers, self.got = [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.got.append((self.command, self.path, dict(self.headers), body))
                status, headers, value = server.answers.pop(0)
                if status == 0:  # the connection breaks
                    return
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                for name, each in headers.items():
                    self.send_header(name, each.replace("BASE", server.base))
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                self.answer()

            def do_POST(self):
                self.answer()

            def log_message(self, *_):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}/api"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def end(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.end()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def api(server, clock):
    def headers():
        return {"Authorization": f"Bearer {SECRET}"}

    return JsonApi(server.base, headers, clock=clock, secret=lambda: SECRET)


def test_a_limit_of_rate_is_waited_for_if_it_is_soon_over(server, api, clock):
    """By Retry-After, by the time of the reset, and for a minute if the server names no time; else it is told."""
    reset = str(int((clock.now() + timedelta(seconds=20)).timestamp()))
    server.answers = [
        (429, {"Retry-After": "7"}, {}), (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, {}),
        (200, {}, {"id": 1}),
    ]  # fmt: skip
    assert api.send("POST", "things", {"a": 1}) == {"id": 1}
    assert [got[0] for got in server.got] == ["POST"] * 3
    assert clock.elapsed == 7 + 14  # until a second after the reset

    server.answers = [(403, {}, {"message": "You have exceeded a secondary rate limit"}), (200, {}, [])]
    assert api.get("things") == []
    assert clock.elapsed == 21 + 60

    server.answers = [(429, {"Retry-After": "3600"}, {})]
    with pytest.raises(RateLimited, match="takes no more calls until 2026-01-01 01:01:21Z") as caught:
        api.get("things")
    assert caught.value.until == clock.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "9" * 400},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 30},
        {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"},
    ],
)
def test_a_limit_beyond_any_time_is_a_year(server, api, clock, headers):
    server.answers = [(403, headers, {})]
    with pytest.raises(RateLimited) as caught:
        api.get("things")
    assert caught.value.until == clock.now() + timedelta(days=366)


def test_an_answer_nested_too_deeply_is_no_json(server, api):
    server.answers = [(200, {}, b"[" * 200_000), (404, {}, b"[" * 200_000)]
    with pytest.raises(ServiceError, match="not JSON"):
        api.send("POST", "things")
    with pytest.raises(ServiceError, match=r"404 to POST /api/things: \[\["):
        api.send("POST", "things")


def test_an_error_in_a_list_is_told(server, api):
    server.answers = [(400, {}, [{"error": {"message": "a signature is missing"}}]), (400, {}, [])]
    with pytest.raises(ServiceError, match="things: a signature is missing"):
        api.send("POST", "things")
    with pytest.raises(ServiceError, match="answered 400"):
        api.send("POST", "things")


def test_what_failed_is_read_again_and_never_written_again(server, api, clock):
    """A call that may have had its effect says so, and keeps the secret to itself."""
    server.answers = [(502, {}, b""), (0, {}, b""), (200, {}, {"ok": True})]
    assert api.get("things") == {"ok": True}
    assert clock.elapsed == 5
    server.answers = [(500, {}, {"message": f"no {SECRET} \x1b[31m"})]
    with pytest.raises(ServiceError, match=r"answered 500 to POST /api/things: no \*\*\* \\x1b") as caught:
        api.send("POST", "things", {})
    assert caught.value.was_sent
    server.answers = [(422, {}, {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]})]
    with pytest.raises(ServiceError, match=r"422 .*: Validation Failed; head invalid") as caught:
        api.send("POST", "things", {})
    assert (caught.value.status, caught.value.was_sent) == (422, False)
    server.answers = [(301, {"Location": "https://elsewhere.example/"}, b"")]
    with pytest.raises(ServiceError, match=r"moved to https://elsewhere\.example/, and redirects are not followed"):
        api.get("things")
    assert not server.answers


def test_pages_are_followed_below_the_base_alone(server, api):
    server.answers = [
        (200, {"Link": '<BASE/things?page=2>; rel="next", <BASE/things?page=9>; rel="last"'}, [1, 2]),
        (200, {"Link": '<BASE/things?page=1>; rel="prev"'}, [3]),
    ]
    assert [*api.pages("things", per_page=2)] == [1, 2, 3]
    assert [got[1] for got in server.got] == ["/api/things?per_page=2", "/api/things?page=2"]
    server.answers = [(200, {"Link": '<http://elsewhere.example/api/things>; rel="next"'}, [])]
    with pytest.raises(ServiceError, match="names a next page elsewhere"):
        [*api.pages("things")]


def test_what_has_not_changed_is_not_sent_again(server, tmp_path, clock):
    """The next process asks by the ETag as well; a file that was damaged is as good as none."""
    page = {"ETag": '"1"', "Link": '<BASE/things?page=2>; rel="next"'}
    server.answers = [(200, page, [1]), (200, {}, [2]), (304, {}, b""), (200, {}, [3]), (200, {}, [4])]
    for expected in ([1, 2], [1, 3], [4]):
        api = JsonApi(server.base, dict, clock=clock, cache=FolderCache(tmp_path / "cache"))
        assert [*api.pages("things")] == expected
        if expected == [1, 3]:
            next((tmp_path / "cache").iterdir()).write_text("{")
    asked = [got[2].get("If-None-Match") for got in server.got]
    assert asked == [None, None, '"1"', None, None]


def test_private_networks_are_reached_only_where_that_is_said():
    """A forge may stand in one; what belongs to this machine or its cloud is never reached by another name."""
    assert refusal("10.1.2.3", loopback=False)
    assert not refusal("10.1.2.3", loopback=False, private=True)
    assert not refusal("fd00::1", loopback=False, private=True)
    for address in ("169.254.169.254", "fe80::1", "127.0.0.1", "0.0.0.0", "224.0.0.1"):
        assert refusal(address, loopback=False, private=True)
