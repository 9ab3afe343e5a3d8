"""The examples of commands, sent by curl to the real server."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys

import pytest

from ..test_webhooks import EXAMPLES, fits

COMMAND = [sys.executable, "-c", "from team_mail.team.commands.entry import team; team()"]
CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def curl(tmp_path_factory):
    """Sends a payload to the console of a team of forge and scribe; returns the status and the answer."""
    folder = tmp_path_factory.mktemp("curl")
    personas = folder / ".team" / "personas"
    personas.mkdir(parents=True)
    for name in ("forge", "scribe"):
        (personas / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
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
            address = re.search(r"http://\S+", process.stdout.readline())[0]
            run("-L", address)
            base = address.partition("/login")[0]

            def send(payload, *words):
                status, body = run("-d", "@-", *words, f"{base}/api/commands", given=json.dumps(payload))
                return status, json.loads(body)

            send.home = folder / ".team"
            yield send
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_answered_as_it_shows(curl, example):
    """The request and each refusal, in the order of the file, to a team without mail."""
    shutil.rmtree(curl.home / "mail", ignore_errors=True)
    shown = json.loads(example.read_text())
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
