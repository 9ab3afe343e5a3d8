"""Commands as JSON: every example with its answer and refusals, keys, batches, and who may send them."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
from team_mail.mail.open import open_log
from team_mail.mail.process import ORPHAN
from team_mail.team import session, webhooks
from team_mail.team.commands import team as team_command
from typer.testing import CliRunner

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "examples" / "webhooks").glob("*.json"))
LOGIN = {"command": "create_session", "session": "login"}


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Sends a payload to a team of forge and scribe; returns the status and the answer."""
    monkeypatch.chdir(tmp_path)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".team" / "personas").mkdir(parents=True)
    for name in ("forge", "scribe"):
        (tmp_path / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
    context = cache(session.reading_context)

    def send(payload, key=None):
        answer = webhooks.answer(context(), payload, "you", key)
        return answer.status, json.loads(json.dumps(answer.document()))

    return send


def allow(text, folder=Path()):
    """Makes the folder of the team a repository with a commit, and writes its settings."""
    (folder / ".team" / "team.toml").write_text(text)
    (folder / ".gitignore").write_text(".team\ncookies\n")
    who = ("-c", "user.name=You", "-c", "user.email=you@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", ".gitignore"), (*who, "commit", "-q", "-m", "Begin")):
        subprocess.run(["git", *words], check=True, cwd=folder)


def events():
    return [*open_log().read()]


def fits(shown, made):
    """Tell whether an answer is the one that is shown, but for what is not."""
    if isinstance(shown, dict):
        return isinstance(made, dict) and shown.keys() == made.keys() and all(fits(shown[k], made[k]) for k in shown)
    if isinstance(shown, list):
        return isinstance(made, list) and len(shown) == len(made) and all(map(fits, shown, made))
    return shown == "…" or shown == made


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_answered_as_it_shows(ask, example):
    """The request and each refusal, in the order of the file."""
    shown = json.loads(example.read_text())
    if "settings" in shown:
        allow(shown["settings"])
    for before in shown.get("before", ()):
        assert ask(before)[0] == 200
    for each in (shown, *shown["errors"]):
        status, document = ask(each["request"])
        assert status == each["answer"]["status"]
        assert fits(each["answer"]["document"], document), document
    assert shown["errors"]


def test_every_command_has_an_example_and_a_row():
    """None is added without them."""
    page = (EXAMPLES[0].parent.parent.parent / "docs" / "llm-api.md").read_text()
    assert {path.stem for path in EXAMPLES} == set(webhooks.COMMANDS)
    for name, (_, fields) in webhooks.COMMANDS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert [field for field in fields if f"`{field}`" not in row] == []


@pytest.mark.parametrize("name", ["conversation_batch", "store_memory", "delegate_task", "add_artifact"])
def test_a_command_with_a_key_is_done_once(ask, name):
    """Who sends it again gets what was written before, and nothing more is."""
    example = next(path for path in EXAMPLES if path.stem == name)
    request = json.loads(example.read_text())["request"] | {"idempotency_key": "k"}
    ask(LOGIN)
    first = ask(request)
    head = len(events())
    again = ask(request)
    assert (first[0], again[0], len(events())) == (200, 200, head)
    assert '"repeated": true' not in json.dumps(first[1])
    assert json.dumps(again[1]).replace("true", "false") == json.dumps(first[1]).replace("true", "false")
    assert events()[-1].data["session"] == "login"


def test_a_session_and_a_task_are_made_once_by_their_key(ask):
    """A task without a name has one by the key; the same key with other content is refused."""
    assert ask(LOGIN | {"title": "a"}, "k")[0] == ask(LOGIN | {"title": "a"}, "k")[0] == 200
    assert ask(LOGIN | {"title": "b"}, "k")[0] == 409
    tasks = [ask({"command": "delegate_task", "title": "Fix it"}, "t")[1]["result"]["task"] for _ in range(2)]
    assert tasks[0] == tasks[1]
    assert ask({"command": "delegate_task", "title": "Other"}, "t")[0] == 409
    assert ask({"command": "delegate_task", "title": "Other"})[0] == 400
    kinds = [event.kind for event in events()]
    assert (kinds.count("session.created"), kinds.count("task.opened")) == (1, 1)


def test_a_batch_with_a_key_is_gone_on_with(ask):
    """What was done is not done again; what comes after a refusal is done once that is corrected."""
    remember = {"command": "store_memory", "session": "login", "key": "a", "value": "b"}
    assert ask({"command": "batch", "commands": [remember]}, "k")[1]["result"]["done"] == 0
    ask(LOGIN)
    for repeated in (False, True):
        result = ask({"command": "batch", "commands": [remember]}, "k")[1]["result"]
        assert (result["done"], result["results"][0]["result"]["repeated"]) == (1, repeated)


@pytest.mark.parametrize(
    "payload",
    [None, [], "x", {}, {"command": 7}, LOGIN | {"idempotency_key": ""}, LOGIN | {"idempotency_key": 7},
     LOGIN | {"participants": "forge"}, LOGIN | {"participants": [7]}, LOGIN | {"title": 7}, LOGIN | {"sender": "x"},
     {"command": "store_memory", "session": "login", "key": "a", "value": {"b": 1}},
     {"command": "conversation_batch", "session": "login", "messages": ["x"]},
     {"command": "conversation_batch", "session": "login", "to": ["x"], "messages": [{"role": "a", "content": "b"}]},
     {"command": "task_command", "type": "shell", "name": "rm -rf ."}],
)  # fmt: skip
def test_a_payload_that_makes_no_sense_is_refused_and_nothing_is_written(ask, payload):
    """Status 400, whatever is wrong; the answer never raises."""
    status, document = ask(payload)
    assert (status, document["ok"], document["error"]["code"]) == (400, False, "REFUSED")
    assert events() == []


def test_a_run_sends_no_commands(ask, monkeypatch):
    """It has its own `team-mail`."""
    ask(LOGIN)
    head = len(events())
    said = {"command": "conversation_batch", "session": "login", "messages": [{"role": "a", "content": "b"}]}
    with monkeypatch.context() as within:
        within.setattr("team_mail.mail.process.runs_above", lambda: (ORPHAN,))
        run = {"command": "task_command", "type": "git", "words": ["log"]}
        for payload in (LOGIN | {"session": "other"}, {"command": "delegate_task", "task": "fix"}, said, run):
            assert ask(payload)[0] == 400
    assert len(events()) == head


def test_team_command_prints_the_answer_and_exits_by_it(ask):
    """A refusal is an answer on standard output, too."""

    def run(given, *words):
        ended = CliRunner().invoke(team_command.app, ["command", *words], input=given)
        return ended.exit_code, json.loads(ended.stdout) if ended.stdout else str(ended.exception)

    code, made = run(json.dumps(LOGIN), "--key", "k")
    assert (code, made["ok"], made["result"]["session"]) == (0, True, "login")
    assert run(json.dumps(LOGIN), "--key", "k")[0] == 0
    code, refused = run(json.dumps(LOGIN))
    assert (code, refused["error"]["code"]) == (1, "SESSION_EXISTS")
    assert run("{}")[0] == 2
    for text in ("", "{", '{"command": "batch", "command": "batch"}'):
        assert "the payload is not JSON" in run(text)[1]
