"""The agent of a chat model below a real keeper: which model and key it takes, and what it passes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.personas.chat.agent import chat_agent
from team_mail.personas.chat.orders import ChatError, Orders
from team_mail.personas.kinds import OutcomeStatus
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.rules import Rules
from team_mail.personas.spending.throttle import throttled

from ...chat_model import MODEL, Reply, call, calls, refuses, says


@pytest.fixture
def agent(model, tmp_path):
    """Make an agent of the fake model; its env_file has a key."""
    (tmp_path / "key.env").write_text("OTHER=plain-text\nFILE_KEY=sk-of-the-file\n")

    def make(*env: str, file: bool = True, **orders):
        orders = Orders(**{"base_url": model.url, "model": MODEL, **orders})
        return chat_agent("local", orders, env, tmp_path / "key.env" if file else None)

    return make


def played(agent, job, **fields):
    job = replace(job(), **fields)
    RunFolder(job.workspace).make()
    return agent.play(job)


def test_the_model_and_the_rules_of_the_persona_count(agent, job, model):
    """Globs with braces come through the command line as they are."""
    model.replies = [
        calls(call("write_file", path="b.txt", content=""), call("write_file", 1, path="{run}.txt", content="")),
        calls(call("run", command="echo {run}"), call("run", 1, command="true")), says("done"),
    ]  # fmt: skip
    rules = Rules(("{run}.txt",), ("echo *",))
    outcome = played(agent(commands=("echo {run}", "true")), job, model="big-one", rules=rules)
    assert (outcome.status, outcome.usage.model) == (OutcomeStatus.OK, "big-one")
    assert {request["model"] for request in model.requests} == {"big-one"}
    results = [each["content"] for each in model.requests[-1]["messages"] if each["role"] == "tool"]
    assert "is not this persona's to change" in results[0]
    assert results[1].startswith("created {run}.txt")
    assert results[2] == "exit 0\n{run}\n"
    assert "is no command that it may run" in results[3]


def test_the_key_is_that_of_env_else_of_the_file_and_no_other_is_sent(agent, job, model, monkeypatch, output):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")
    model.replies = [says("I say sk-of-the-file and sk-of-the-user."), says("x"), says("x")]
    one = job()
    RunFolder(one.workspace).make()
    assert agent().play(one).status == OutcomeStatus.OK
    assert "I say *** and sk-of-the-user." in output(one)
    played(agent("OPENAI_API_KEY"), job)
    played(agent(file=False), job)
    sent = dict.fromkeys(headers.get("Authorization") for headers in model.headers)
    assert [*sent] == ["Bearer sk-of-the-file", "Bearer sk-of-the-user", None]


def test_what_the_next_run_would_meet_again_is_told_as_hopeless(agent, job, model):
    model.replies = [refuses(401, "who are you?")]
    outcome = played(agent(), job)
    assert (outcome.status, outcome.hopeless) == (OutcomeStatus.FAILED, True)
    assert "look at FILE_KEY" in outcome.detail
    model.replies = [refuses(418, "not now")]
    assert not played(agent(), job).hopeless


def test_a_limit_of_rate_is_told_so_that_the_agent_is_parked_until_then(agent, job, model):
    """The scheduler reads it as it reads what other agents say of their services."""
    model.replies = [refuses(429, "the quota is used up", Retry_After="5000")]
    now = datetime.now(UTC)
    refused = throttled(played(agent(), job).detail, now)
    assert refused
    assert refused.until
    assert timedelta(seconds=4_900) < refused.until - now < timedelta(seconds=5_100)


def test_a_look_tells_what_is_wrong_with_the_server(agent, model):
    assert agent().look().startswith(f"{MODEL} is there; context 32,768 tokens")
    with pytest.raises(ChatError, match="has no model 'other'; it has qwen3"):
        agent(model="other").look()
    with pytest.raises(ChatError, match=r"no server answers .*ollama serve"):
        agent(base_url="http://127.0.0.1:9/v1").look()
    model.pages = {"/v1/models": Reply(status=301, headers={"Location": "https://example.org/v1/models"})}
    with pytest.raises(
        ChatError, match=r"it has moved to https://example\.org/v1/models, and redirects are not followed"
    ):
        agent().look()
    with pytest.raises(ChatError, match=r"TLS failed: .*look at base_url \(https://.*") as caught:
        agent(base_url=model.url.replace("http:", "https:")).look()
    assert "ollama serve" not in str(caught.value)  # a server is there
    with pytest.raises(ChatError, match="base_url usually ends with /v1"):
        agent(base_url=model.url.removesuffix("/v1")).look()
