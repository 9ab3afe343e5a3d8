"""Agents of the kind `acp` in the settings of a team, and in those that a new team gets."""

from __future__ import annotations

import pytest
from team_mail.personas.acp.agent import AcpAgent
from team_mail.personas.agents.presets.preset import preset
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.settings.reading import read_settings
from team_mail.team.blocks import with_agents
from team_mail.team.checks import agent_state
from team_mail.team.open import make_agent


@pytest.fixture
def settings(tmp_path):
    """Read the settings that one table makes."""

    def read(table):
        (tmp_path / "team.toml").write_text(table)
        return read_settings(tmp_path, {}).settings

    return read


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('[agents.mine]\nkind = "acp"', 'says no command, which kind "acp" needs: write command = '),
        ('[agents.aider]\nkind = "acp"', 'says no command, which kind "acp" needs'),  # it does not speak it
        ('[agents.a]\ncommand = ["x"]\nmode = "ask"', 'says mode, which is for kind "acp"; leave it out'),
        ('[agents.a]\nkind = "acp"\ncommand = ["x"]\npoll = "1s"', 'says poll, which is for kind "jules"'),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_is_told(settings, table, why):
    with pytest.raises(SettingsError, match=why.replace("[", r"\[").replace("(", r"\(")):
        settings(table)


def test_the_kind_alone_makes_a_preset_speak_it(settings):
    """Command, variables and mode are those of the preset; what the table says beats them."""
    tables = settings(
        '[agents.claude]\nkind = "acp"\nmodel = "opus"\nmode = "acceptEdits"\nstartup = "1m"\nargs = ["--x"]\n'
        '[agents.mine]\nkind = "acp"\ncommand = ["my-agent"]\nenv = ["KEY"]\n'
    ).agents
    claude, mine = (make_agent(name, tables[name]) for name in ("claude", "mine"))
    assert isinstance(claude, AcpAgent)
    assert isinstance(mine, AcpAgent)
    assert (claude.command, claude.prompt) == (("claude-agent-acp", "--x"), "stdin")
    assert {"ANTHROPIC_API_KEY", "CLAUDE_CODE_EXECUTABLE"} <= {*claude.env}
    assert (claude.orders.mode, claude.orders.model, claude.orders.startup) == ("acceptEdits", "opus", 60.0)
    assert (mine.command, mine.env, mine.orders.mode, mine.orders.counts) == (("my-agent",), ("KEY",), "", "session")


def test_what_is_seen_of_it_is_that_of_its_adapter(settings, tmp_path):
    """Login and keys are those of the agent; the program and its version those of what speaks the protocol."""
    state = agent_state("claude", settings('[agents.claude]\nkind = "acp"\n').agents["claude"])
    assert state.preset
    assert state.preset.package == "@agentclientprotocol/claude-agent-acp"
    assert state.preset.login == preset("claude").login


def test_a_new_team_speaks_to_agents_that_can_be_spoken_to():
    text = with_agents("#: agents\n", [preset("gemini"), preset("claude")], ["gemini"])
    assert '\n[agents.gemini]\npreset = "gemini"\nkind = "acp"\n' in text
    assert '\n[agents.claude]\npreset = "claude"\n\n' in text
    assert '# [agents.qwen]\n# preset = "qwen"\n' in text
