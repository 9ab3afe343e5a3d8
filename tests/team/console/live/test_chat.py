"""Asks over HTTP: what a client sends, and what it gets, byte for byte; and everything that is refused."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from team_mail.personas.agents.function import FunctionAgent
from team_mail.team.console.common.console import Console, ConsoleOptions
from team_mail.team.console.guard.login import cookie_name
from team_mail.team.console.live import door
from team_mail.team.console.live.asks import Asks
from team_mail.team.console.server import listening
from team_mail.team.dispatcher import ParallelDispatcher
from team_mail.team.open import open_for_dispatch

GOLDEN = Path(__file__).parents[3] / "golden" / "console"
WORDS = {
    "kart": "Here's my analysis...",
    "riggs": "I found 3 potential issues...",
    "ada": "API documentation:...",
}


class Site:
    """A console that is served on loopback by a thread, with an agent that is a function."""

    def __init__(self, team) -> None:
        team.roster(*WORDS, "broken")
        self.team = team
        (team.home / "team.toml").write_text("")
        self.play = lambda job: job.say(f"{WORDS[job.persona]}\n")
        agent = FunctionAgent(lambda job: self.play(job))  # noqa: PLW0108 - tests replace it
        console = Console(lambda: open_for_dispatch(team.home)[0], ConsoleOptions(port=0))
        self.asks = Asks(
            lambda: console.context, 16, 30.0, lambda config: ParallelDispatcher(config, agent=agent, home=team.home)
        )
        console._parts[door._made] = self.asks
        console.on_stop.append(self.asks.close)
        self.stack = ExitStack()
        server, place = self.stack.enter_context(listening(console))
        thread = threading.Thread(target=server.run, args=[[place]])
        thread.start()
        self.stack.callback(thread.join, 20)
        self.stack.callback(server.end)
        self.port = console.options.port
        key = console.logins.log_in(console.logins.new_key(), "")
        self.cookie = f"{cookie_name(console.options)}={key}"

    def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Send a request; return status, text and headers of the answer."""
        data = body if isinstance(body, bytes | str | None) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, data, {"cookie": self.cookie} | named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}


@pytest.fixture
def site(team, monkeypatch) -> Iterator[Site]:
    """A console, which is ended after the test."""
    monkeypatch.chdir(team.folder)
    site = Site(team)
    yield site
    site.stack.close()


def many(*personas: str) -> dict[str, object]:
    prompts = {"Kart": "Analyze this", "Riggs": "Test this", "Ada": "Document this"}
    return {"tasks": [{"persona": name, "prompt": prompts.get(name, "Do it")} for name in personas]}


def without_ids(text: str) -> str:
    return re.sub(r"^id: .*\n", "", text, flags=re.MULTILINE)


def test_the_documented_exchange_is_answered_byte_for_byte(site):
    """But for the `id:` lines, and the order of those who work side by side."""
    request = json.loads((GOLDEN / "request.json").read_text())
    status, text, headers = site.send("POST", "/api/chat/multi", request)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    expected = (GOLDEN / "response.txt").read_text()
    blocks, golden = without_ids(text).split("\n\n"), expected.split("\n\n")
    assert sorted(blocks[:-2]) == sorted(golden[:-2])
    assert blocks[-2:] == golden[-2:] == ["event: complete\ndata: [COMPLETE]", ""]


def test_one_persona_is_asked_in_the_same_way(site):
    """Its stream has its name."""
    status, text, _ = site.send("POST", "/api/chat", {"persona": "Ada", "prompt": "Document this"})
    assert (status, without_ids(text).split("\n\n")[0]) == (200, "event: Ada\ndata: API documentation:...")


def test_a_detached_ask_is_accepted_watched_and_listed(site):
    """Its stream is where the answer says, and can be gone on with."""
    status, text, headers = site.send("POST", "/api/asks", many("Kart"))
    id = json.loads(text)["id"]  # noqa: A001
    assert (status, headers["location"]) == (202, f"/api/asks/{id}/stream")
    _, whole, _ = site.send("GET", headers["location"])
    _, rest, _ = site.send("GET", headers["location"], last_event_id=f"{id}:0")
    assert without_ids(rest) == without_ids(whole).partition("\n\n")[2]
    _, again, _ = site.send("POST", "/api/chat/multi", b"nonsense", last_event_id=f"{id}:0")
    assert again == rest
    assert [row["id"] for row in json.loads(site.send("GET", "/api/asks")[1])] == [id]
    assert json.loads(site.send("GET", f"/api/asks/{id}")[1])["tasks"][0]["status"] == "success"
    assert site.send("POST", f"/api/asks/{id}/retry")[0] == 409
    assert site.send("POST", f"/api/asks/{id}/tasks/t0/stop")[0] == 404
    assert site.send("POST", f"/api/asks/{id}/stop")[0] == 202


NOBODY = "00000000-0000-0000-0000-000000000000"
BIG = json.dumps({"tasks": [{"persona": "Kart", "prompt": "x" * (1 << 20)}]})


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "words"),
    [
        ("POST", "/api/chat/multi", None, {}, 400, "not JSON"),
        ("POST", "/api/chat/multi", b"{", {}, 400, "not JSON"),
        ("POST", "/api/chat/multi", b'{"tasks": [], "tasks": []}', {}, 400, "twice"),
        ("POST", "/api/chat/multi", b"\xff", {}, 400, "not JSON"),
        ("POST", "/api/chat/multi", BIG, {}, 413, "bytes"),
        ("POST", "/api/chat/multi", {"tasks": []}, {}, 422, "tasks: at least one"),
        ("POST", "/api/chat/multi", {}, {}, 422, "tasks: at least one"),
        ("POST", "/api/chat/multi", [], {}, 422, ""),
        ("POST", "/api/chat/multi", {"tasks": [{"persona": "Kart"}]}, {}, 422, "tasks[0].prompt: Field required"),
        ("POST", "/api/chat/multi", many("Kart", "kurt"), {}, 422, "did you mean kart"),
        ("POST", "/api/chat/multi", many("Kart\nevent: complete"), {}, 422, "tasks[0].persona: is not a name"),
        ("POST", "/api/chat/multi", many("../x"), {}, 422, "tasks[0].persona: is not a name"),
        ("POST", "/api/chat/multi", many("x" * 10_000), {}, 422, "tasks[0].persona: is not a name"),
        ("POST", "/api/chat/multi", many("\x1b[31mKart"), {}, 422, "tasks[0].persona: is not a name"),
        ("POST", "/api/chat/multi", many(*["Kart"] * 51), {}, 422, "at most 50"),
        ("POST", "/api/chat/multi", many("Kart"), {"last_event_id": "garbage"}, 400, "Last-Event-ID"),
        ("POST", "/api/chat/multi", many("Kart"), {"last_event_id": f"{NOBODY}:3"}, 410, "no such ask"),
        ("POST", "/api/chat/multi", many("Kart"), {"idempotency_key": "a b"}, 400, "Idempotency-Key"),
        ("POST", "/api/chat", {"persona": "Kart", "prompt": "x", "promt": "y"}, {}, 422, "promt"),
        ("GET", "/api/chat/multi", None, {}, 405, ""),
        ("GET", f"/api/asks/{NOBODY}", None, {}, 404, "no ask"),
        ("GET", f"/api/asks/{NOBODY}/stream", None, {"last_event_id": f"{NOBODY[:-1]}1:0"}, 410, "another ask"),
        ("POST", f"/api/asks/{NOBODY}/stop", None, {}, 404, "no ask"),
        ("POST", "/api/chat/multi", many("Kart"), {"cookie": ""}, 401, "log in"),
        ("GET", f"/api/runs/{NOBODY}/output", None, {}, 404, "no run"),
        ("GET", "/api/runs/..%2f..%2fteam.toml/output", None, {}, 404, ""),
    ],
)
def test_what_cannot_be_answered_is_refused_and_starts_nothing(site, method, path, body, headers, status, words):
    """With a sentence that says what is wrong; nothing of the team's changes."""
    got, text, _ = site.send(method, path, body, **headers)
    assert got == status, text
    assert words in text
    assert site.asks.listed("login:") == []


def test_an_agent_that_is_not_installed_is_told_before_the_stream(site):
    """No stream begins."""
    (site.team.home / "team.toml").write_text('[team]\nagent = "none"\n[agents.none]\ncommand = ["no-such-program"]\n')
    site.asks.dispatching = None
    status, text, _ = site.send("POST", "/api/chat/multi", many("Kart"))
    assert status == 409
    assert "no-such-program" in text


def test_events_beyond_the_documented_ones_come_to_who_asks_for_them(site):
    """Tool calls only with `?tools=1`."""
    call = {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "1", "name": "Bash", "input": {}}]}}
    site.play = lambda job: job.say(json.dumps(call) + "\n")
    for query, accept, expected in (
        ("", "text/event-stream", {"done_Kart", "complete"}),
        ("?tools=1", "text/event-stream; team=1", {"tool_Kart", "done_Kart", "complete"}),
    ):
        _, text, _ = site.send("POST", f"/api/chat/multi{query}", many("Kart"), accept=accept)
        assert {*re.findall(r"^event: (.*)$", text, re.MULTILINE)} == expected


def test_the_output_of_a_run_is_there_from_any_byte_and_live(site):
    """As bytes, and as events whose ids are bytes; a link in its place leads nowhere."""
    gate = threading.Event()

    def play(job):
        job.say("Grüße\n")
        gate.wait(10)
        job.say("end\n")

    site.play = play
    site.send("POST", "/api/asks", many("Kart"))
    run = first_run(site)
    assert site.send("GET", f"/api/runs/{run}/output?from=4")[1] == "ße\n"
    assert site.send("GET", f"/api/runs/{run}/output?from=x")[0] == 400
    gate.set()
    _, stream, _ = site.send("GET", f"/api/runs/{run}/output", accept="text/event-stream")
    assert stream.endswith("event: complete\ndata: [COMPLETE]\n\n")
    data = "\n".join(re.findall(r"^data: (.*)$", stream, re.MULTILINE))
    assert data.replace("\n", "") == "Grüßeend[COMPLETE]"
    assert f"id: {len('Grüße end '.encode())}\n" in stream
    _, rest, _ = site.send("GET", f"/api/runs/{run}/output", accept="text/event-stream", last_event_id="8")
    assert rest.startswith("id: 12\nevent: output\ndata: end\ndata: \n\n")
    output = site.team.home / "runs" / run / "output.log"
    output.unlink()
    output.symlink_to(site.team.home / "team.toml")
    assert site.send("GET", f"/api/runs/{run}/output")[1] == ""


def first_run(site: Site) -> str:
    """Wait for the first words of the only ask, and return the run that says them."""
    (carrier,) = site.asks._carriers.values()
    ask = carrier.ask
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)) as connection:
        connection.request("GET", f"/api/asks/{ask.id}/stream", headers={"cookie": site.cookie})
        connection.getresponse().readline()
    return ask.parts[0].run
