"""The console as a program that is asked to end while agents work: streams end at once, and no run is forgotten."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, closing

import pytest

from ....waiting import until_there

COMMAND = [sys.executable, "-c", "from team_mail.team.commands.entry import team; team()", "console", "--port", "0"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs do not outlive their scheduler")


class Served:
    """A console in a process of its own, and a browser that has logged in."""

    def __init__(self, team) -> None:
        self.process = subprocess.Popen(COMMAND, cwd=team.folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        address = re.search(r"http://127.0.0.1:(\d+)(/login\S+)", self.process.stdout.readline())
        assert address
        self.port = int(address[1])
        with closing(self.connection()) as connection:
            connection.request("GET", address[2])
            self.cookie = str(connection.getresponse().getheader("set-cookie")).partition(";")[0]

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, connection: http.client.HTTPConnection, path: str, *personas: str) -> http.client.HTTPResponse:
        body = {"tasks": [{"persona": name, "prompt": "Do it."} for name in personas]}
        connection.request("POST", path, json.dumps(body), {"cookie": self.cookie})
        return connection.getresponse()

    def status_of(self, path: str) -> int:
        """Post nothing to a path, and return the status of the answer."""
        with closing(self.connection()) as connection:
            connection.request("POST", path, b"", {"cookie": self.cookie})
            return connection.getresponse().status

    def watch(self, connection: http.client.HTTPConnection, ask: str) -> http.client.HTTPResponse:
        connection.request("GET", f"{ask}/stream", headers={"cookie": self.cookie})
        return connection.getresponse()

    def read(self, path: str) -> str:
        with closing(self.connection()) as connection:
            connection.request("GET", path, headers={"cookie": self.cookie})
            return connection.getresponse().read().decode()


def rest_of(stream: http.client.HTTPResponse) -> bytes:
    """Read a stream that may break off."""
    try:
        return stream.read()
    except (http.client.IncompleteRead, ConnectionError) as error:
        return getattr(error, "partial", b"")


@pytest.fixture
def serve(team):
    """Start consoles of a team, and end them after the test."""
    with ExitStack() as stack:

        def start() -> Served:
            served = Served(team)
            stack.enter_context(served.process)
            stack.callback(served.process.kill)
            return served

        yield start


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_streams_end_at_once_and_detached_asks_go_on_with_the_next_console(team, serve, how):
    """The one-shot ask ends with the first console, the other one is finished by the next, and both are on record."""
    begun, go = team.folder.with_name("begun"), team.folder.with_name("go")
    script = f"cat >/dev/null; echo one; touch {begun}-$TEAM_PERSONA; until test -e {go}; do sleep 0.02; done; echo two"
    (team.home / "team.toml").write_text(f'[team]\nagent = "sh"\n[agents.sh]\ncommand = ["sh", "-c", "{script}"]\n')
    first = serve()
    with closing(first.connection()) as watching, closing(first.connection()) as other:
        detached = json.loads(first.ask(other, "/api/asks", "ann").read())["id"]
        stream = first.ask(watching, "/api/chat/multi", "bob")
        for name in ("ann", "bob"):
            until_there(begun.with_name(f"begun-{name}"), lambda: first.process.poll() is None)
        assert stream.readline().startswith(b"id: ")
        first.process.send_signal(how)
        assert b"complete" not in rest_of(stream)
        assert first.process.wait(20) in {0, -signal.SIGKILL}
    go.touch()
    second = serve()
    text = second.read(f"/api/asks/{detached}/stream")
    assert "event: ann\ndata: one\n" in text
    assert text.endswith("event: complete\ndata: [COMPLETE]\n\n")
    assert "event: done_ann\n" in text
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(20) == 0
    ends = [kind for kind in team.kinds("run") if kind != "run.started"]
    assert sorted(ends) == ["run.finished", "run.lost"]


def test_an_ask_of_another_console_is_followed_live(team, serve):
    """Its words come while they are written, and its runs can be ended from here, one by one.

    Once the other console is killed, its asks go on in this one, in the same stream.
    """
    begun, go = team.folder.with_name("begun"), team.folder.with_name("go")
    wait = f"touch {begun}-$TEAM_PERSONA; until test -e {go}-$TEAM_PERSONA; do sleep 0.02; done"
    script = f"cat >/dev/null; echo one; {wait}; echo two"
    (team.home / "team.toml").write_text(f'[team]\nagent = "sh"\n[agents.sh]\ncommand = ["sh", "-c", "{script}"]\n')
    first, second = serve(), serve()

    def asked(*names: str) -> str:
        with closing(first.connection()) as connection:
            path = f"/api/asks/{json.loads(first.ask(connection, '/api/asks', *names).read())['id']}"
        for name in names:
            until_there(begun.with_name(f"begun-{name}"), lambda: first.process.poll() is None)
        return path

    ask = asked("ann", "bob")
    with closing(second.connection()) as watching:
        stream, seen = second.watch(watching, ask), b""
        while seen.count(b"data: one") < 2:
            seen += stream.readline()
        assert [row["over"] for row in json.loads(second.read("/api/asks"))] == [False]
        assert second.status_of(f"{ask}/tasks/bob/stop") == 202
        while b"event: error_bob" not in seen:
            seen += stream.readline()
        go.with_name("go-ann").touch()
        seen += stream.read()
    assert b"event: ann\ndata: \ndata: two\n" in seen
    assert b"event: done_ann\n" in seen
    assert seen.endswith(b"event: complete\ndata: [COMPLETE]\n\n")
    assert json.loads(second.read(ask))["over"]

    ask = asked("cyd")
    with closing(second.connection()) as watching:
        stream = second.watch(watching, ask)
        seen = stream.readline()
        first.process.kill()
        first.process.wait(20)
        go.with_name("go-cyd").touch()
        seen += stream.read()
    assert b"event: cyd\ndata: \ndata: two\n" in seen
    assert b"event: done_cyd\n" in seen
    assert b"event: error_" not in seen
    assert json.loads(second.read(ask))["over"]


def test_the_whole_ask_of_another_console_is_stopped_from_here(team, serve):
    """What runs is ended and what waits is not started, by whoever carries it out, and it is over on record."""
    begun = team.folder.with_name("begun")
    script = f"cat >/dev/null; touch {begun}-$TEAM_PERSONA; sleep 60"
    (team.home / "team.toml").write_text(f'[team]\nagent = "sh"\n[agents.sh]\ncommand = ["sh", "-c", "{script}"]\n')
    first, second = serve(), serve()
    with closing(first.connection()) as connection:
        ask = f"/api/asks/{json.loads(first.ask(connection, '/api/asks', 'ann', 'bob').read())['id']}"
    for name in ("ann", "bob"):
        until_there(begun.with_name(f"begun-{name}"), lambda: first.process.poll() is None)
    with closing(second.connection()) as watching:
        stream = second.watch(watching, ask)
        assert stream.readline()
        assert second.status_of(f"{ask}/stop") == 202
        seen = stream.read()
    assert seen.count(b"event: error_") == 2
    assert json.loads(second.read(ask))["over"]
    assert first.process.poll() is None
    assert team.kinds("dispatch") == ["dispatch.started", "dispatch.stopped", "dispatch.finished"]
