"""What an agent is told of the persona that it plays: its model, and that it may do less."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.presets.preset import preset
from team_mail.personas.agents.recipe import Recipe, has_model
from team_mail.personas.running.rules import Rules
from team_mail.scheduler.settings.reading import of_preset
from team_mail.scheduler.settings.settings import AgentSettings
from team_mail.team.open import make_agent

MAIL = "Bash(team-mail:*),Bash(.team/run/team-mail:*)"


def allowed(**rules: tuple[str, ...] | None) -> tuple[str, list[str]]:
    """Return what Claude is allowed by these rules, and the words that follow."""
    words = Recipe(preset("claude"), args=("--verbose",)).words("", Rules(**rules))
    at = words.index("--allowedTools")
    return words[at + 1], [*words[at + 2 :]]


def test_claude_is_allowed_what_the_rules_of_a_persona_leave():
    """Tools are left out or narrowed; whatever a user wrote into args stays behind them."""
    deny = ["--disallowedTools=Edit,Write,NotebookEdit", "--verbose"]
    assert allowed() == ("Bash,Edit,Write", ["--verbose"])
    assert allowed(paths=()) == ("Bash", deny)
    assert allowed(paths=("docs/**",)) == ("Bash,Edit,Write", ["--verbose"])
    assert allowed(commands=()) == (f"{MAIL},Edit,Write", ["--verbose"])
    assert allowed(paths=(), commands=("git *", "npm test", "make *x", "echo (a,b)")) == (
        f"{MAIL},Bash(git:*),Bash(npm test)", deny,
    )  # fmt: skip


@given(st.lists(st.text(max_size=12)), st.sampled_from([None, (), ("docs/**",)]))
def test_no_command_of_a_persona_allows_another_tool(commands, paths):
    """Whatever a file says, the list has nothing but commands and what stood there before."""
    tools, _ = allowed(commands=tuple(commands), paths=paths)
    for tool in tools.split(","):
        assert tool in {"Edit", "Write"} or (tool.startswith("Bash(") and tool.endswith(")") and tool.count("(") == 1)


def test_copilot_may_not_write_for_a_persona_that_changes_no_file():
    words = Recipe(preset("copilot")).words("", Rules(paths=()))
    assert words[-1] == "--deny-tool=write"
    assert "--deny-tool=write" not in Recipe(preset("copilot")).words("", Rules(commands=()))


@pytest.mark.parametrize(
    ("agent", "model", "told"),
    [("claude", "sonnet", True), ("codex", "sonnet", False), ("codex", "gpt-5.2", True), ("claude", "my-model", True),
     ("claude", "GPT-5", False), ("aider", "sonnet", True), ("opencode", "anthropic/claude-opus-4", True),
     ("gemini", "anthropic/claude-opus-4", False), ("copilot", "claude-sonnet-4.5", True), ("amp", "gpt-5", False)],
)  # fmt: skip
def test_an_agent_is_told_a_model_that_it_may_have(agent, model, told):
    """A model that only others have would fail every run."""
    assert has_model(preset(agent), model) == told
    assert (model in Recipe(preset(agent), "other").words(model)) == told
    assert ("other" in Recipe(preset(agent), "other").words(model)) == (not told and bool(preset(agent).model))


def test_a_run_has_the_words_that_its_persona_asks_for(job, output):
    """The agent itself prints what it was started with."""
    echo = ("printf", "%s ", "--allowedTools", "Bash,Edit")
    agent = CommandAgent("a", echo, recipe=Recipe(replace(preset("claude"), command=echo)))
    this = replace(job(), model="opus", rules=Rules((), ("git *",)))
    assert agent.play(this).status == "ok"
    assert output(this).split() == [
        "--allowedTools", f"{MAIL},Bash(git:*)", "--disallowedTools=Edit,Write,NotebookEdit", "--model", "opus",
    ]  # fmt: skip


def test_a_command_of_ones_own_names_the_model_itself(job, output):
    """`{model}` is the persona's, else the table's; without either it is told before anything starts."""
    agent = CommandAgent("a", ("printf", "%s", "{model}"))
    assert "write model for the others" in (agent.trouble() or "")
    assert replace(agent, model="big").trouble() is None
    this = job()
    replace(agent, model="big").play(this)
    assert output(this) == "big"
    other = replace(job(attempt=2), model="small", folder=this.folder.with_name("other"))
    replace(agent, model="big").play(other)
    assert output(other) == "small"


def test_only_a_command_that_a_preset_made_is_made_anew():
    """Who wrote a command out has it as it stands."""
    made = make_agent("claude", of_preset("claude"))
    own = make_agent("claude", AgentSettings(preset="claude", command=("claude", "-p")))
    assert isinstance(made, CommandAgent)
    assert isinstance(own, CommandAgent)
    assert made.recipe is not None
    assert made.recipe.words() == made.command
    assert own.recipe is None
