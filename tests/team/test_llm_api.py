"""docs/llm-api.md tried out: each prompt is sent to a fake model over HTTP, and what that calls for is carried out.

The model is a server on loopback that speaks as OpenAI's chat completions do, and answers a prompt with the payload
that the page shows for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from team_mail.mail.open import open_log
from team_mail.team import session, webhooks
from team_mail.team.commands import team as team_command
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent.parent
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("llm-api", "llm-api-actions", "llm-api-phone")}
SCRIPT = ROOT / "examples" / "model" / "ask_model.py"
TOOL = json.loads(SCRIPT.with_name("tool.json").read_text())
CODES = {
    "REFUSED", "NOT_ALLOWED", "SESSION_NOT_FOUND", "TASK_NOT_FOUND", "SESSION_EXISTS", "SESSION_REFUSED",
    "CLAIM_REFUSED", "KEY_REUSED", "COMMAND_CUT_OFF",
}  # fmt: skip


class Shown(NamedTuple):
    """What the page shows of a command: two prompts with their payloads, the answer to the first, and the rest."""

    prompts: dict[str, dict]
    answer: dict
    text: str


def shown():
    """Every command of the page."""
    page = PAGES["llm-api"]
    part = re.search(r"^## Each command\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)[1]
    commands = {}
    for name, text in re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", part, re.DOTALL | re.MULTILINE):
        first, answer, second = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
        prompts = re.findall(r"^\*\*Prompt:\*\* (.+)$", text, re.MULTILINE)
        commands[name] = Shown(dict(zip(prompts, (first, second), strict=True)), answer, text)
    return commands


SHOWN = shown()
PAYLOADS = {prompt: payload for each in SHOWN.values() for prompt, payload in each.prompts.items()}


class Model(BaseHTTPRequestHandler):
    """A model that knows what each prompt calls for, and ends once it has got the answer."""

    def do_POST(self):
        """Answer with a tool call, or after its answer with a text."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        *_, last = asked["messages"]
        known = self.path == "/v1/chat/completions" and asked["tools"] == [TOOL]
        if last["role"] == "tool":
            message = {"role": "assistant", "content": f"Done: {json.loads(last['content'])['ok']}"}
        elif known and last["content"] in PAYLOADS and asked["messages"][0]["role"] == "system":
            call = {"name": "team_command", "arguments": json.dumps(PAYLOADS[last["content"]])}
            calls = [{"id": "call-1", "type": "function", "function": call}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        else:
            self.send_error(400)
            return
        body = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def model():
    """The address of the model."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def team(tmp_path, monkeypatch):
    """A repository with a team of forge and scribe, a session, and the settings that the page shows."""
    monkeypatch.chdir(tmp_path)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    Path(".team/personas").mkdir(parents=True)
    for name in ("forge", "scribe"):
        Path(".team/personas", f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
    Path(".team/team.toml").write_text(re.search(r"```toml\n(\[webhooks\].*?)```", PAGES["llm-api"], re.DOTALL)[1])
    Path("Makefile").write_text("test:\n\t@echo passed\n")
    who = ("-c", "user.name=You", "-c", "user.email=you@example.org")
    for words in (("init", "-q"), ("add", "Makefile"), (*who, "commit", "-q", "-m", "Begin")):
        subprocess.run(["git", *words], check=True)
    webhooks.answer(session.reading_context(), {"command": "create_session", "session": "login"}, "you")
    return tmp_path


def script():
    """The example that sends prompts, as a module."""
    spec = importlib.util.spec_from_file_location("ask_model", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fits(told, made):
    """Tell whether an answer is the one that is shown, but for what is not."""
    if isinstance(told, dict):
        return isinstance(made, dict) and told.keys() == made.keys() and all(fits(told[k], made[k]) for k in told)
    if isinstance(told, list):
        return isinstance(made, list) and len(told) == len(made) and all(map(fits, told, made))
    return told == "…" or told == made


def test_every_command_is_shown_with_two_prompts_errors_and_best_practice():
    """No two prompts are alike, each is answered by the command, and the errors are codes that there are."""
    assert set(SHOWN) == set(webhooks.COMMANDS)
    assert len(PAYLOADS) == 2 * len(SHOWN)
    for name, each in SHOWN.items():
        assert {payload["command"] for payload in each.prompts.values()} == {each.answer["command"]} == {name}
        errors = re.search(r"^\*\*Errors:\*\* (.+)$", each.text, re.MULTILINE)[1]
        assert set(re.findall(r"`([A-Z_]+)`", errors)) <= CODES
        assert re.search(r"^\*\*Best practice:\*\* \w", each.text, re.MULTILINE)
    assert (
        set(re.findall(r"`([A-Z_]{7,})`", re.search(r"## Answers\n(.*?)\n## ", PAGES["llm-api"], re.DOTALL)[1]))
        == CODES
    )


@pytest.mark.parametrize("name", SHOWN)
def test_the_prompts_of_a_command_do_what_the_page_says(team, model, name):
    """The model is asked, its call goes to `team command`, and the answer is the one that is shown."""
    answers = []

    def carry_out(payload):
        ended = CliRunner().invoke(team_command.app, ["command"], input=payload)
        answers.append((ended.exit_code, json.loads(ended.stdout)))
        return ended.stdout

    example = script()
    complete = example.endpoint(model, "any", "")
    for prompt in SHOWN[name].prompts:
        assert example.converse(prompt, complete, carry_out) == "Done: True"
    (code, first), (again, second) = answers
    assert (code, again, second["ok"]) == (0, 0, True)
    assert fits(SHOWN[name].answer, first), first
    assert second["result"].keys() == first["result"].keys()
    assert second["result"].get("not_done", 0) == second["result"].get("exit", 0) == 0


def test_the_script_is_a_program_of_its_own(team, model):
    """It finds `team` in PATH, prints the last answer, and what was asked for is in the log."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    prompt = next(iter(SHOWN["store_memory"].prompts))
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), prompt], env=os.environ | {"PATH": path, "MODEL_URL": model},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "Done: True\n"), ended.stderr
    assert [event.body for event in open_log().read() if event.kind == "mail.sent"] == ["Use passkeys, keep passwords"]
    assert subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, check=False).returncode == 1


def test_the_tool_has_every_command_and_field():
    """And what is told to a model is the same on the page and in the script."""
    given = TOOL["function"]["parameters"]
    fields = {field for _, fields in webhooks.COMMANDS.values() for field in fields}
    assert set(given["properties"]) == {"command", "idempotency_key", *fields}
    assert given["properties"]["command"]["enum"] == [*webhooks.COMMANDS]
    kinds = {"string": str, "array": list, "boolean": bool, "object": dict}
    for payload in PAYLOADS.values():
        for field, value in payload.items():
            kind = given["properties"][field].get("type")
            assert kind is None or isinstance(value, kinds[kind]), field
    assert script().SYSTEM in PAGES["llm-api"]


@contextmanager
def ssh_of(folder):
    """A `ssh` in PATH that does what the shell of a host would, in a folder beside the project."""
    (folder / "ssh").write_text('#!/bin/sh\nshift\ncd .. && exec sh -c "$*"\n')
    (folder / "ssh").chmod(0o755)
    yield f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def test_a_phone_sends_commands_as_its_page_says(tmp_path, monkeypatch):
    """The lines of the page are run with a shell in the place of ssh's other end."""
    (tmp_path / "project" / ".team").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    webhooks.answer(session.reading_context(), {"command": "create_session", "session": "login"}, "you")
    lines = re.search(r"## By ssh\n.*?```sh\n(.*?)```", PAGES["llm-api-phone"], re.DOTALL)[1].splitlines()
    Path("payload.json").write_text(
        json.dumps({"command": "store_memory", "session": "login", "key": "a", "value": "b"})
    )
    with ssh_of(tmp_path / "bin") as path:
        for line in lines[:2]:
            ended = subprocess.run(line, shell=True, env=os.environ | {"PATH": path}, capture_output=True, check=False)
            assert (ended.returncode, json.loads(ended.stdout)["ok"]) == (0, True), ended.stderr
    assert len([event for event in open_log().read() if event.kind == "mail.sent"]) == 1


@pytest.mark.parametrize("page", ["llm-api-actions", "llm-api-phone"])
def test_payloads_on_the_other_pages_are_commands(page):
    """Every one that is shown whole names a command and fields that there are."""
    for text in re.findall(r"(\{\"command\".*?\})(?:'|\n| \|)", PAGES[page]):
        if "%" not in text:
            payload = json.loads(text)
            assert set(payload) <= {"command", "idempotency_key", *webhooks.COMMANDS[payload["command"]][1]}
