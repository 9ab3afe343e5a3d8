"""The real server asked by curl: the examples of commands, and a sprint that outlives it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from ..test_webhooks import EXAMPLES, allow, fits

COMMAND = [sys.executable, "-c", "from team_mail.team.commands.entry import team; team()"]
CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")


def test_a_sprint_outlives_the_console_that_started_it(team):
    """The server is killed in the middle of it; it lands what it made, and is on record as ended."""
    script = f"until test -e {team.folder}/go; do sleep 0.05; done; echo new > new.txt"
    (team.home / "team.toml").write_text(f"[agents.shell]\ncommand = ['sh', '-c', {script!r}]\n")
    for name in ("bob", "cyd"):
        (team.home / "personas" / f"{name}.md").unlink()
    with console_in(team.folder) as (process, address, run):
        run("-L", address)
        base = address.partition("/login")[0]
        status, body = run("-d", "{}", f"{base}/api/sprints")
        assert status == 202, body
        process.kill()
        process.wait(20)
    (team.folder / "go").touch()
    psutil.Process(json.loads(body)["pid"]).wait(60)
    assert team.kinds("sprint") == ["sprint.started", "sprint.finished"]
    assert team.text("team/sprint-1", "new.txt") == ["new"]


@contextmanager
def console_in(folder):
    """Serve a console of the team in a folder; yield its process, its address, and what runs curl with its cookies."""
    jar = folder / "cookies"

    def run(*words, given=None):
        ended = subprocess.run(
            [CURL, "-sS", "-b", jar, "-c", jar, "-w", "\n%{http_code}", *words],
            input=given, capture_output=True, check=True, text=True,
        )  # fmt: skip
        body, _, status = ended.stdout.rpartition("\n")
        return int(status), body

    with subprocess.Popen(
        [*COMMAND, "console", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, re.search(r"http://\S+", process.stdout.readline())[0], run
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.fixture(scope="module")
def curl(tmp_path_factory):
    """Sends a payload to the console of a team of forge and scribe; returns the status and the answer."""
    folder = tmp_path_factory.mktemp("curl")
    personas = folder / ".team" / "personas"
    personas.mkdir(parents=True)
    for name in ("forge", "scribe"):
        (personas / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
    with console_in(folder) as (_, address, run):
        run("-L", address)
        base = address.partition("/login")[0]

        def send(payload, *words):
            status, body = run("-d", "@-", *words, f"{base}/api/commands", given=json.dumps(payload))
            return status, json.loads(body)

        send.home = folder / ".team"
        yield send


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_answered_as_it_shows(curl, example):
    """The request and each refusal, in the order of the file, to a team without mail."""
    shutil.rmtree(curl.home / "mail", ignore_errors=True)
    shown = json.loads(example.read_text())
    if "settings" in shown:
        allow(shown["settings"], curl.home.parent)
    for before in shown.get("before", ()):
        assert curl(before)[0] == 200
    for each in (shown, *shown["errors"]):
        status, document = curl(each["request"])
        assert status == each["answer"]["status"], document
        assert fits(each["answer"]["document"], document), document


def test_the_key_may_be_a_header(curl):
    """Sent twice, it is done once."""
    shutil.rmtree(curl.home / "mail", ignore_errors=True)
    curl({"command": "create_session", "session": "login"})
    memory = {"command": "store_memory", "session": "login", "key": "k", "value": "v"}
    first = curl(memory, "-H", "Idempotency-Key: once")[1]["result"]
    again = curl(memory, "-H", "Idempotency-Key: once")[1]["result"]
    assert (first["id"], first["repeated"], again["id"], again["repeated"]) == (first["id"], False, first["id"], True)
