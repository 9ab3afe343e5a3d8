"""A change is traced to the process that asks for it: agents get nothing by a login that they have found."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from http.cookiejar import CookieJar
from urllib.parse import urlsplit

import pytest
from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.running.process import RunLimits
from team_mail.team.console.access import peer
from team_mail.team.console.access.peer import Ends, why_not

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell which process asks")
COMMAND = [sys.executable, "-c", "from team_mail.team.commands.entry import team; team()"]
ASK = """
import json, sys
from http.client import HTTPConnection
file, port, cookie, *methods = sys.argv[1:]
asked = HTTPConnection("127.0.0.1", int(port))
answers = []
for method in methods:
    asked.request(method, "/api/logins", headers={"Cookie": cookie})
    answer = asked.getresponse()
    answers.append([answer.status, json.loads(answer.read())])
with open(file + ".new", "w") as out:
    json.dump(answers, out)
import os
os.replace(file + ".new", file)
"""
WAYS = {
    "as it is": "{command}",
    "without variables": "env -i {command}",
    "in a session of its own": "setsid -w env -i {command}",
    "orphaned": "(setsid env -i sh -c '({command}) & exit' &)",
}


def ends_of(connection):
    """The ends of a connection that a server accepted."""
    return Ends(connection.getpeername()[:2], connection.getsockname()[:2])


def test_an_agent_with_a_persons_login_reads_and_changes_nothing(team, tmp_path):
    """However it was started: with a cleared environment, in another session, forked twice. A person may."""
    team.context()
    (tmp_path / "ask.py").write_text(ASK)
    (tmp_path / "work").mkdir()
    with subprocess.Popen([*COMMAND, "console", "--port", "0"], cwd=team.folder, stdout=-1, text=True) as server:
        try:
            address = re.search(r"http://\S+", server.stdout.readline())[0]
            jar, port = CookieJar(), urlsplit(address).port
            urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open(address).close()
            cookie = "; ".join(f"{each.name}={each.value}" for each in jar)
            answers, script = {way: tmp_path / f"{way}.json" for way in (*WAYS, "a person")}, ""
            command = f"{sys.executable} -I -S {tmp_path}/ask.py '{{file}}' {port} {cookie} GET POST"
            for way, words in WAYS.items():
                script += words.format(command=command.format(file=answers[way]).replace("'", '"')) + "\n"
                script += f'while ! test -e "{answers[way]}"; do sleep 0.01; done\n'
            job = Job("run-1", "ann", 1, 7, "", tmp_path / "work", tmp_path / "runs", team.home, 30.0)
            assert CommandAgent("a", ("sh", "-c", script), limits=RunLimits(grace=0.2)).play(job).status == "ok"
            subprocess.run(["sh", "-c", command.format(file=answers["a person"])], check=True)
        finally:
            server.send_signal(signal.SIGTERM)
    told = {way: json.loads(file.read_text()) for way, file in answers.items()}
    assert {way: [status for status, _ in pair] for way, pair in told.items()} == {
        **{way: [200, 403] for way in WAYS},
        "a person": [200, 201],
    }
    assert all("the keeper of run run-1 is above it" in told[way][1][1]["error"] for way in WAYS)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_asks_is_found_over_either_protocol(tmp_path, family, host):
    """This process may; one that says of itself that it is of a run may not, and none that has ended."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, 0), family=family))
        port = server.getsockname()[1]
        stack.enter_context(socket.create_connection((host, port)))
        assert why_not(tmp_path, ends_of(stack.enter_context(server.accept()[0]))) == ""
        code = f"import socket; s = socket.create_connection(({host!r}, {port})); s.recv(1)"
        env = {"TEAM_RUN": "run-1", "TEAM_RUN_OF": str(tmp_path)}
        with subprocess.Popen([sys.executable, "-ISc", code], env=env) as agent:
            theirs = stack.enter_context(server.accept()[0])
            assert why_not(tmp_path, ends_of(theirs)).startswith(f"process {agent.pid} belongs to a run: TEAM_RUN is")
            assert why_not(tmp_path / "another", ends_of(theirs)) == ""
            ends = ends_of(theirs)
            theirs.sendall(b"x")
        assert "it has ended" in why_not(tmp_path, ends)


def test_a_connection_by_ipv4_to_a_server_for_both_is_traced(tmp_path):
    """There its addresses are written as those of IPv6."""
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.create_connection(("127.0.0.1", server.getsockname()[1])),
        server.accept()[0] as accepted,
    ):
        assert accepted.getpeername()[0].startswith("::ffff:")
        assert why_not(tmp_path, ends_of(accepted)) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "198.51.100.2"])
def test_what_says_that_it_is_of_this_machine_and_is_not_found_is_refused(tmp_path, host):
    """So is a connection that nobody knows anything of; one from another machine is known by its login."""
    assert "nobody can tell" in why_not(tmp_path, Ends((host, 9), (host, 8420)))
    assert "nobody can tell" in why_not(tmp_path, None)
    assert why_not(tmp_path, Ends(("198.51.100.7", 9), ("198.51.100.2", 8420))) == ""


def test_where_no_process_can_be_traced_nothing_is_changed(tmp_path, monkeypatch):
    """A system without /proc/net/tcp, or one that hides it."""
    monkeypatch.setattr(peer, "_TABLES", (tmp_path / "tcp", tmp_path / "tcp6"))
    assert "nobody can tell" in why_not(tmp_path, Ends(("127.0.0.1", 9), ("127.0.0.1", 8420)))
