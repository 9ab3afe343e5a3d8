"""The command `team mcp` as agents start it: on standard input, and over HTTP with a token."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mcp import StdioServerParameters, stdio_client
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.mail_process import MailProcess
from team_mail.team.console.access.tokens import Tokens

from ...console import run_command
from .talking import asked, asked_over_http

TEAM = str(Path(sys.executable).with_name("team"))
PLAIN = {"PATH": os.environ["PATH"]}
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip
ASK = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], b"{}", {"authorization": "Bearer " + sys.argv[2]}))
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.fixture
def home(tmp_path) -> Path:
    home = tmp_path / "project" / ".team"
    (home / "personas").mkdir(parents=True)
    for name in ("ann", "bob"):
        (home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nWork.\n")
    open_mailbox(home, create=True).send(Letter("bob", ["ann"], "Hello", "The word is plum."))
    return home


def started(folder: Path, *words: str, **variables: str):
    """The transport to `team mcp` as an agent starts it in a folder, with little of its own environment."""
    return stdio_client(StdioServerParameters(command=TEAM, args=["mcp", *words], env=PLAIN | variables, cwd=folder))


def test_an_agent_starts_it_for_a_persona(home):
    """The persona comes from the variable that `team join` sets, or from an option."""
    listed, sent = asked(
        started(home.parent, TEAM_PERSONA="ann"), ("inbox", {}), ("send", {"to": ["bob"], "body": "Thanks."})
    )
    assert listed == "[ NEW ] 2 | From: bob | Subject: Hello\n"
    assert sent == "sent 3 to bob\n"


def test_within_a_run_it_is_that_run(home, tmp_path):
    """An agent that gives its servers no variables at all still has the run's own mail, by its folder."""
    workspace = tmp_path / "state" / "work"
    (workspace / "src").mkdir(parents=True)
    RunFolder(workspace).make()
    with MailProcess(workspace, "ann", "run-1", home):
        texts = asked(started(workspace / "src"), ("inbox", {}), ("send", {"to": ["bob"], "body": "Thanks."}))
    (event,) = (each for each in open_mailbox(home).log.read() if each.sender == "ann")
    assert texts == ["[ NEW ] 2 | From: bob | Subject: Hello\n", f"sent {event.seq} to bob\n"]
    assert event.run == "run-1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "who are you? pass --persona or set TEAM_PERSONA"),
        (("--persona", "nan"), "no persona 'nan'; did you mean ann"),
        (("--http", "--persona", "ann"), "each as its sender; leave --persona out"),
    ],
)
def test_it_does_not_start_for_nobody(home, words, said):
    """What is wrong is one line on standard error, which agents show for a server that does not start."""
    ended = run_command("team", "mcp", *words, cwd=home.parent, env=PLAIN)
    assert ended.returncode == 2
    assert said in ended.stderr.decode()
    assert not ended.stdout


@pytest.mark.parametrize("end", ["interrupted", "unread"])
def test_it_ends_while_its_client_keeps_it_waiting(home, end):
    """By Ctrl-C, and when nobody reads its answers: neither waits for a next line on standard input."""
    with subprocess.Popen([TEAM, "mcp", "-p", "ann"], cwd=home.parent, env=PLAIN, stdin=-1, stdout=-1) as server:
        try:
            server.stdin.write(f"{json.dumps(HELLO)}\n".encode())
            server.stdin.flush()
            assert b"serverInfo" in server.stdout.readline()
            if end == "interrupted":
                server.send_signal(signal.SIGINT)
            else:
                server.stdout.close()
                server.stdin.write(f"{json.dumps({**HELLO, 'id': 2, 'method': 'ping'})}\n".encode())
                server.stdin.flush()
            code = server.wait(20)
        finally:
            server.kill()
    assert code == (-signal.SIGINT if end == "interrupted" else -signal.SIGPIPE)


def test_a_session_is_not_taken_over_with_another_token(home):
    """Whoever learns the id of a session can neither go on with it nor end it, in the name of another persona."""
    tokens = Tokens(home)
    ann, bob = (tokens.create(name, ["mail"], name) for name in ("ann", "bob"))
    with subprocess.Popen([TEAM, "mcp", "--http", "--port", "0"], cwd=home.parent, env=PLAIN, stdout=-1) as server:
        try:
            address = server.stdout.readline().decode().strip()
            told = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
            begin = urllib.request.Request(
                address, json.dumps(HELLO).encode(), {**told, "authorization": f"Bearer {ann}"}
            )
            with urllib.request.urlopen(begin, timeout=20) as answer:
                session = answer.headers["mcp-session-id"]
            theirs = {**told, "mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
            assert status(address, **theirs, authorization=f"Bearer {bob}") == 404
            assert status(address, **theirs, authorization=f"Bearer {ann}") == 400
        finally:
            server.terminate()


def test_over_http_it_ends_without_a_word_while_a_client_is_connected(home):
    """A client keeps a connection open for what the server may tell it; that this ends with the server is no error."""
    token = Tokens(home).create("ann", ["mail"], "ann")
    told = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
    words = [TEAM, "mcp", "--http", "--port", "0"]
    with subprocess.Popen(words, cwd=home.parent, env=PLAIN, stdout=-1, stderr=-1) as server:
        address = server.stdout.readline().decode().strip()
        begin = urllib.request.Request(address, json.dumps(HELLO).encode(), told | {"content-type": "application/json"})
        with urllib.request.urlopen(begin, timeout=20) as answer:
            told["mcp-session-id"] = answer.headers["mcp-session-id"]
        with urllib.request.urlopen(urllib.request.Request(address, headers=told), timeout=20):
            server.send_signal(signal.SIGINT)
            _, err = server.communicate(timeout=20)
    assert (server.returncode, err) == (0, b"")


def test_over_http_a_token_says_who_asks(home):
    """A token of another scope, a page of another site, and another name of this machine are refused."""
    tokens = Tokens(home)
    token, other = tokens.create("ann", ["mail"], "ann"), tokens.create("ci", ["read"], "you")
    with subprocess.Popen([TEAM, "mcp", "--http", "--port", "0"], cwd=home.parent, env=PLAIN, stdout=-1) as server:
        try:
            address = server.stdout.readline().decode().strip()
            texts = asked_over_http(address, token, ("inbox", {}), ("send", {"to": ["bob"], "body": "Thanks."}))
            refused = [
                status(address),
                status(address, authorization=f"Bearer {token}x"),
                status(address, authorization=f"Bearer {other}"),
                status(address, authorization=f"Bearer {token}", origin="http://evil.example"),
                status(address, authorization=f"Bearer {token}", host="evil.example"),
            ]
            of_run = subprocess.run(
                [sys.executable, "-c", ASK, address, token], env=PLAIN | {"TEAM_RUN": "run-1", "TEAM_HOME": str(home)},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        finally:
            server.terminate()
    assert server.returncode == 0
    assert texts == ["[ NEW ] 2 | From: bob | Subject: Hello\n", "sent 3 to bob\n"]
    assert refused == [401, 401, 403, 403, 421]
    assert of_run.stdout.startswith("403 ")
    assert "belongs to a run" in of_run.stdout
    assert [event.sender for event in open_mailbox(home).log.read() if event.kind == "mail.sent"] == ["bob", "ann"]


def status(address: str, **headers: str) -> int:
    """The status of a request with some headers."""
    request = urllib.request.Request(address, json.dumps({}).encode(), {"content-type": "application/json", **headers})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    with refused.value as answer:
        return answer.code
