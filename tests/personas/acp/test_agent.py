"""The agent as a scheduler starts it: below a keeper, which ends it, and judges it by what its client prints."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from team_mail.personas.acp.agent import acp_agent
from team_mail.personas.acp.orders import Orders
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.presets.preset import names, preset
from team_mail.personas.agents.sandbox import Sandbox
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.process import RunLimits
from team_mail.personas.running.rules import Rules
from team_mail.scheduler.settings.settings import AgentSettings
from team_mail.team.open import mail_server, make_agent

from ...waiting import until_there

FAKE = Path(__file__).with_name("fake.py")


@pytest.fixture
def agent(tmp_path):
    """Make the agent that carries out the steps of its turns."""

    def make(*turns, **script):
        file, heard = tmp_path / "script.json", tmp_path / "heard.jsonl"
        file.write_text(
            json.dumps({"turns": turns, "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}, **script})
        )
        heard.touch()
        words = (sys.executable, "-I", "-S", str(FAKE), str(file), str(heard))
        return acp_agent(CommandAgent("fake", words, limits=RunLimits(grace=3.0)))

    return make


def heard(folder, method):
    rows = map(json.loads, (folder / "heard.jsonl").read_text().splitlines())
    return [row["params"] for row in rows if row.get("method") == method]


def test_a_run_is_judged_by_its_session(job, agent, tmp_path):
    """Figures and the agent's own session are on record; what was refused is no success if nothing changed."""
    this = replace(job(), rules=Rules(paths=()))
    RunFolder(this.workspace).make()
    refused = {"ask": {"kind": "edit", "locations": [{"path": "a.txt"}]}}
    outcome = agent([refused, {"say": "Done."}]).play(this)
    assert (outcome.status, outcome.exit) == ("ok", 0)
    assert outcome.unless_changed == "it was not allowed to use edit, and changed nothing"
    assert (outcome.usage.input, outcome.usage.output, outcome.usage.session) == (7, 3, "s1")
    assert heard(tmp_path, "session/prompt")[0]["prompt"][0]["text"] == "do it"
    assert heard(tmp_path, "session/new")[0]["cwd"] == str(this.workspace)

    outcome = agent([{"say": "Half."}, {"stop": "refusal"}]).play(this)
    assert outcome.status == "failed"
    assert outcome.detail == "exit 1; the agent reported an error: its model refused to go on: Half."


def test_a_run_that_is_stopped_cancels_its_turn_and_leaves_no_process(job, agent, tmp_path, survivors):
    """The agent is asked to end its turn by the protocol, though it hears nothing else."""
    began = tmp_path / "began"
    this = job(timeout=60)
    deaf = agent([{"say": "Half."}, {"err": "429 once more"}, {"write": str(began)}, {"hang": True}])
    threading.Thread(target=lambda: (until_there(began), this.stop.set()), daemon=True).start()
    outcome = deaf.play(this)
    assert outcome.status == "stopped"
    assert heard(tmp_path, "session/cancel") in ([{"sessionId": "s1"}], [])  # it was asked to end at the same time
    assert survivors(this.run) == []
    said = "it was ended before its turn was over; the last that it printed: 429 once more"
    assert f'"result": "{said}' in (this.folder / "output.log").read_text()


def test_a_run_that_takes_too_long_has_not_succeeded(job, agent, survivors):
    this = job(timeout=1.5)
    outcome = agent([{"say": "Half."}, {"hang": True}]).play(this)
    assert (outcome.status, survivors(this.run)) == ("timeout", [])


def test_the_model_of_a_persona_beats_that_of_the_agent(job):
    """By the words of its preset where it has some, else in the session."""
    this = job()
    gemini = acp_agent(CommandAgent("gemini", ("gemini", "--acp")), preset="gemini", model="pro")
    claude = acp_agent(CommandAgent("claude", ("claude-agent-acp",)), preset="claude", model="opus")
    assert words(gemini, this) == (["gemini", "--acp", "-m", "pro"], "")
    assert words(gemini, replace(this, model="flash")) == (["gemini", "--acp", "-m", "flash"], "")
    assert words(claude, this) == (["claude-agent-acp"], "opus")
    assert words(claude, replace(this, model="haiku", resume="s7")) == (["claude-agent-acp"], "haiku")


def words(agent, job):
    """Return the agent's own words, and the model that its client is told to ask for."""
    argv = agent._argv(job, Path("prompt.md"), {})
    assert argv[:4] == [sys.executable, "-P", "-m", "team_mail.personas.acp.play"]
    orders = Orders.read(argv[4])
    assert (orders.resume, orders.rules) == (job.resume, job.rules)
    return argv[5:], orders.model


def test_the_sandbox_is_around_the_agent_and_not_around_its_client(job):
    """So the agent cannot reach who answers it."""
    agent = acp_agent(
        CommandAgent("codex", ("codex-acp",), sandbox=Sandbox()), preset="codex", mail=("/bin/team", "mcp")
    )
    assert agent.orders.mode == "agent-full-access"  # it cannot make a sandbox of its own within ours


def test_a_persona_that_may_run_some_commands_alone_has_a_mode_of_its_own(job):
    """Where the preset names one, and neither the table nor the sandbox asks for another."""

    def mode(rules: Rules, preset: str = "codex", **settings) -> str:
        sandbox = settings.pop("sandbox", None)
        agent = acp_agent(CommandAgent("its", ("its-acp",), sandbox=sandbox), preset=preset, **settings)
        return Orders.read(agent._argv(replace(job(), rules=rules), Path("prompt.md"), {})[4]).mode

    some = Rules(commands=("cat *",))
    assert mode(Rules()) == mode(Rules(paths=("src/**",))) == "workspace-write"
    assert mode(some) == mode(Rules(commands=())) == "read-only"
    assert mode(some, mode="agent") == "agent"
    assert mode(some, sandbox=Sandbox()) == "agent-full-access"
    assert mode(some, "claude") == "default"


@pytest.mark.parametrize("name", [name for name in names() if preset(name).acp])
def test_each_preset_that_speaks_it_can_be_started(name):
    """A table with its name and the kind is enough."""
    known = preset(name).by_protocol()
    agent = make_agent(name, AgentSettings(kind="acp", preset=name, command=known.command))
    assert agent.command[0] == known.program
    assert agent.orders.counts == known.acp.counts
    assert agent.orders.how == known.login.how
    assert {*known.acp.login.values()} <= {*known.login.variables}


@pytest.mark.parametrize(
    ("name", "why"),
    [("claude", ""), ("gemini", "over ACP it finds"), ("opencode", "its sessions work"), ("qwen", "its sessions are")],
)
def test_a_session_of_a_folder_that_is_gone_is_not_asked_for(name, why):
    """So that nothing says of the run that it goes on with one."""
    agent = make_agent(name, AgentSettings(kind="acp", preset=name, command=("a",)))
    told = agent.unresumable("s7")
    assert (bool(told), told.startswith(why)) == (bool(why), True)


def test_without_its_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("team_mail.personas.acp.agent.find_spec", lambda _: None)
    agent = acp_agent(CommandAgent("fake", ("true",)))
    assert agent.trouble() == "agent fake speaks ACP, for which a package is missing: pip install 'team-mail[acp]'"


def test_an_adapter_that_is_missing_is_told_with_its_package(monkeypatch):
    """Its name alone does not tell what to install; of a command of somebody's own nobody knows."""
    monkeypatch.setenv("PATH", "")
    agent = make_agent("claude", AgentSettings(kind="acp", preset="claude", command=("claude-agent-acp",)))
    assert agent.trouble().endswith(": npm install -g @agentclientprotocol/claude-agent-acp")
    other = make_agent("claude", AgentSettings(kind="acp", preset="claude", command=("mine",)))
    assert other.trouble().endswith("give its full path in the command")


def test_an_agent_that_takes_no_servers_by_the_protocol_gets_ours_in_its_words(job):
    """Copilot leaves out those of a session; without the packages there is none."""
    known = preset("copilot").by_protocol()
    agent = acp_agent(CommandAgent("copilot", known.command), preset="copilot", mail=("/bin/team", "mcp"))
    own, _ = words(agent, job())
    (config,) = [word for word in own if word.startswith("{")]
    assert json.loads(config)["mcpServers"]["team-mail"]["command"] == "/bin/team"
    assert agent.orders.mail == ()
    bare = acp_agent(CommandAgent("copilot", known.command), preset="copilot")
    assert not any("mcpServers" in word for word in words(bare, job())[0])


def test_mail_tools_are_given_where_their_packages_are():
    words = mail_server()
    assert not words or (Path(words[0]).name, words[1]) == ("team", "mcp")
