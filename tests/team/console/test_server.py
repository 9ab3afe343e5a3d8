"""The console as a program: it prints an address that logs in once, answers, bounds what others take, and ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from starlette.responses import StreamingResponse
from team_mail.mail.errors import UsageError
from team_mail.team import session
from team_mail.team.console import app, connection
from team_mail.team.console.common.address import login_address
from team_mail.team.console.common.console import Console, ConsoleOptions
from team_mail.team.console.common.route import Route
from team_mail.team.console.guard import body
from team_mail.team.console.guard.login import cookie_name
from team_mail.team.console.server import NotServed, Server, listening

from ...console import run_command

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-c", "from team_mail.team.commands.entry import team; team()"]
CERTIFICATE, KEY = str(HERE / "certificate.pem"), str(HERE / "key_of_tests.pem")


def run(team, *words):
    """Run a command of `team`; return its exit code, output and errors."""
    ended = run_command("team", *words, cwd=team.folder, env={"PATH": os.environ["PATH"], "HOME": str(team.folder)})
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@pytest.fixture
def served(team, monkeypatch):
    """Serves a console of the team in a thread of this process; gives its address that logs in, and how to end it."""
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(team.folder)
    if not (team.home / "team.toml").exists():
        team.context()
    with ExitStack() as stack:

        def start(**options):
            console = Console(session.reading_context, ConsoleOptions(**{"port": 0} | options))
            server, place = stack.enter_context(listening(console))
            thread = threading.Thread(target=server.run, args=[[place]])
            thread.start()
            stack.callback(thread.join, 20)
            stack.callback(server.end)
            return Served(login_address(console, console.logins.new_key()), console, server, thread)

        yield start


class Served(NamedTuple):
    """A console that is served in this process."""

    address: str
    console: Console
    server: Server
    thread: threading.Thread

    @property
    def place(self):
        """Host and port."""
        return "127.0.0.1", self.console.options.port

    def cookie(self):
        """Log in."""
        return f"{cookie_name(self.console.options)}={self.console.logins.log_in(self.console.logins.new_key())}"


def browser(context=None):
    """What keeps a cookie, as a browser does."""
    handlers = [urllib.request.HTTPCookieProcessor(CookieJar())]
    return urllib.request.build_opener(*handlers, *([urllib.request.HTTPSHandler(context=context)] if context else []))


def status(own, address):
    """Open an address; return the status of the answer."""
    try:
        with own.open(address) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def trusting():
    """What believes the certificate of these tests alone."""
    return ssl.create_default_context(cafile=CERTIFICATE)


def received(connection):
    """All that comes until the other side closes."""
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def test_the_command_prints_an_address_that_logs_in_once_and_warns_of_the_network(team):
    """Who lets the network in is told who reads along and what to do, sees a code for the phone, and more on Enter."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "console", "--port", "0", "--host", "0.0.0.0"],
        cwd=team.folder,
        stdin=follower,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = [process.stdout.readline() for _ in range(5)]
        address = re.search(r"http://\S+", lines[0])[0]
        port, base = urlsplit(address).port, address.partition("/login")[0]
        assert "Whoever shares this network can read all that goes over it" in lines[2]
        assert f"ssh -L {port}:127.0.0.1:{port} " in lines[3]
        assert "█" in lines[4]
        own = browser()
        assert status(own, f"{base}/api/status") == 401
        assert status(own, address) == 200, "by the address that others reach"
        with own.open(f"{base}/api/personas") as answer:
            assert {*json.load(answer)} >= {"ann", "bob", "cyd"}
        assert status(browser(), address) == 401
        os.write(leader, b"\n")
        text = ""
        while not (found := re.search(r"http://\S+key=\S+\n", text)):
            text += process.stdout.readline()
        assert status(browser(), found[0].strip()) == 200
        process.send_signal(signal.SIGTERM)
    os.close(leader)
    os.close(follower)
    assert process.returncode == 0


def test_nobody_holds_a_connection_by_being_slow_or_takes_all(served, monkeypatch):
    """Headers and bodies that trickle in, headers that never end, a 201st connection."""
    monkeypatch.setattr(connection, "_TIME", 0.3)
    monkeypatch.setattr(body, "_TIME", 0.3)
    console = served()
    head = f"POST /api/logins HTTP/1.1\r\nHost: 127.0.0.1:{console.place[1]}\r\nCookie: {console.cookie()}\r\n"
    with ExitStack() as stack:
        idle, slow, trickling, loud = (
            stack.enter_context(socket.create_connection(console.place, 10)) for _ in range(4)
        )
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        trickling.sendall(f"{head}Content-Length: 10\r\n\r\n{{".encode())
        loud.sendall(b"GET / HTTP/1.1\r\n" + b"x-long: " + b"y" * (17 << 10) + b"\r\n\r\n")
        assert received(idle) == b""
        assert received(slow) == b""
        assert received(trickling).startswith(b"HTTP/1.1 408 ")
        assert received(loud).startswith(b"HTTP/1.1 400 ")
    monkeypatch.setattr(connection, "_TIME", 30.0)
    with ExitStack() as stack:
        many = [stack.enter_context(socket.create_connection(console.place, 10)) for _ in range(201)]
        told = received(many[-1])
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in told
        assert json.loads(told.partition(b"\r\n\r\n")[2])["error"].startswith("too many")
    with closing(http.client.HTTPConnection(*console.place)) as asked:
        for _ in range(2):  # the second on the same connection
            asked.request("GET", "/api/health")
            assert asked.getresponse().read() == b'{"status":"ok"}'


def test_another_machine_takes_a_part_of_the_connections_only():
    """The others and this machine still come through; here all programs share one address."""
    full = ["10.0.0.7"] * 50

    assert connection.too_many("10.0.0.7", "10.0.0.1", [*full, "10.0.0.7"])
    assert not connection.too_many("10.0.0.8", "10.0.0.1", [*full, "10.0.0.8"])
    for here in ("127.0.0.1", "::1", "10.0.0.1"):
        assert not connection.too_many(here, "10.0.0.1", [here] * 200)
        assert connection.too_many(here, "10.0.0.1", [here] * 201)


async def endless(_, request):
    """Streams lines until the reader leaves; a `deaf` one never looks."""

    async def lines():
        while True:
            yield b"line\n"
            await asyncio.sleep(0.05)

    async def looking():
        while not await request.is_disconnected():
            yield b"line\n"
            await asyncio.sleep(0.05)

    async def looks(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for line in looking():
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"bye"})

    async def deaf(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for line in lines():
            await send({"type": "http.response.body", "body": line, "more_body": True})

    return {"deaf": deaf, "looks": looks}.get(request.url.query) or StreamingResponse(lines())


@pytest.mark.parametrize("query", ["", "?looks", "?deaf"])
def test_the_end_of_the_server_ends_what_streams(served, monkeypatch, query):
    """Within a second; one that does not hear is cut off a second later. What others registered is called."""
    monkeypatch.setattr(app, "ROUTES", (Route("GET", "/api/endless", "Lines.", stream=endless),))
    console, told = served(), []
    console.console.on_stop.append(lambda: told.append("stopped"))
    with closing(http.client.HTTPConnection(*console.place)) as asked:
        asked.request("GET", f"/api/endless{query}", headers={"Cookie": console.cookie()})
        answer = asked.getresponse()
        assert answer.read(5) == b"line\n"
        began = time.monotonic()
        console.server.end()
        console.thread.join(20)
        took = time.monotonic() - began
        answer.close()
    print(f"ended {took:.2f} s after it was asked{query}")
    assert told == ["stopped"]
    assert took < (2.5 if query == "?deaf" else 1.0)


def test_a_port_that_is_taken_and_files_that_are_none_are_told_in_a_line(served):
    """What to do about it stands in it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotServed, match=rf"^cannot listen on 127.0.0.1:{port}: .*; try --port"):
            served(port=port)
    for files in (("no.pem", KEY), (CERTIFICATE, "no.pem"), (CERTIFICATE, CERTIFICATE)):
        with pytest.raises(UsageError, match=rf"^--tls {files[0]} {files[1]}: .*; both must be PEM files"):
            served(tls=files)


def test_two_consoles_of_a_team_serve_at_once(served):
    """Each on a port of its own; a login at one is none at the other, and takes none away."""
    own, first, second = browser(), served().address, served().address
    assert status(own, first) == 200
    assert status(own, second.partition("/login")[0]) == 401
    assert status(own, second) == 200
    assert status(own, first.partition("/login")[0]) == 200


def test_over_tls_the_printed_address_is_https_and_nothing_is_answered_in_plain_text(served):
    """The cookie goes over TLS alone."""
    address = served(tls=(CERTIFICATE, KEY)).address
    assert address.startswith("https://127.0.0.1:")
    own = browser(trusting())
    assert status(own, address) == 200
    assert status(own, address.partition("/login")[0] + "/api/status") == 200
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        urllib.request.urlopen(address.replace("https:", "http:"), timeout=10)


class Proxy(BaseHTTPRequestHandler):
    """A reverse proxy that speaks TLS to the world, and passes on what a proxy does."""

    port = 0

    def do_GET(self):
        """Pass a request on."""
        inside = http.client.HTTPConnection("127.0.0.1", self.port)
        sent = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        inside.request(self.command, self.path, headers={**sent, "X-Forwarded-Proto": "https"})
        answer = inside.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        inside.close()

    def log_message(self, *_):
        """Say nothing."""


def test_a_program_asks_through_a_proxy_that_speaks_tls(team, served):
    """As a chat product does through a tunnel: it reads the description and asks with a token, by the public name."""
    team.context(settings='[console]\nhosts = ["team.example.org"]\n')
    _, token, _ = run(team, "console", "token", "create", "chat", "--scope", "read")
    console = served()
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Proxy.port, context = console.place[1], ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(path, host="team.example.org", **headers):
            outside = http.client.HTTPSConnection("127.0.0.1", server.server_port, context=trusting())
            with closing(outside):
                outside.request("GET", path, headers={"Host": host, **headers})
                answer = outside.getresponse()
                return answer.status, answer.headers, answer.read()

        bearer = {"Authorization": f"Bearer {token.strip()}"}
        assert ask("/api/status", **bearer)[0] == 200
        assert json.loads(ask("/api/openapi.json", **bearer)[2])["servers"][0]["url"] == "https://team.example.org"
        assert ask("/api/status")[0] == 401
        assert ask("/api/status", host="evil.example", **bearer)[0] == 421
        assert ask("/api/logins", **bearer)[0] == 403
        logged = ask(console.address[console.address.index("/login") :])
        assert "Secure" in logged[1]["set-cookie"]
        server.shutdown()


@pytest.mark.storm
def test_no_request_that_the_description_allows_or_forbids_ends_in_a_fault(served, tmp_path):
    """Schemathesis makes them up for every route, as a person who has logged in; none is answered 500 or above."""
    console = served()
    host, port = console.place
    with urllib.request.urlopen(
        urllib.request.Request(f"http://{host}:{port}/api/openapi.json", headers={"Cookie": console.cookie()})
    ) as answer:
        described = json.load(answer)
    for operation in (each for path in described["paths"].values() for each in path.values()):
        operation.pop("security", None)  # else it makes up logins, too
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    ended = subprocess.run(
        [
            sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", "openapi.json",
            "--url", f"http://{host}:{port}", "--header", f"Cookie: {console.cookie()}", "--no-color",
            "--checks", "not_a_server_error", "--max-examples", "10", "--phases", "coverage,fuzzing",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(ended.stdout[-3000:])
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
