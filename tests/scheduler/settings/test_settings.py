"""Settings: defaults, which source overrides which, and how every mistake is reported."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.mail.team_file import read_directory
from team_mail.mail.text.units import byte_count, crontab, seconds, size, span
from team_mail.personas.agents.presets.preset import preset, presets
from team_mail.scheduler.settings.file import key_lines
from team_mail.scheduler.settings.local import local_model
from team_mail.scheduler.settings.reading import Loaded, read_settings

from ...samples import examples

CHAT = '[agents.local]\nkind = "chat"\nbase_url = "{}"\nmodel = "qwen3"\n'
WHOLE = """\
[team]
base = "trunk"
human = "ada"
agent = "claude"
auto_land = true

[agents.claude]
command = ["claude", "-p"]
timeout = "1h30m"
env = ["ANTHROPIC_API_KEY"]
env_file = "secrets.env"
max_output = "5MiB"

[agents.recorded]
kind = "replay"
folder = "patches"

[sprint]
parallel = "every  5"
sequential_only = [7]
pace = 0.5
fallback_above = 0

[gates.tests]
command = ["make", "test"]
threshold = 0.8
key = "rate"

[groups]
docs = ["scribe", "lore"]

[teams.code]
members = ["nova"]
reviewers = ["cipher"]
channel = "review"

[channels.review]
members = ["ada", "nova"]
"""


@pytest.fixture
def read(tmp_path):
    """Read settings from a text, an environment and flags."""

    def read(text: str = "", environ: dict[str, str] | None = None, flags: dict[str, str] | None = None) -> Loaded:
        (tmp_path / "team.toml").write_text(text)
        return read_settings(tmp_path, environ or {}, flags)

    return read


@pytest.fixture
def refusal(read):
    """Expect settings to be refused; return the one line that says so."""

    def refusal(*given) -> str:
        with pytest.raises(UsageError) as refused:
            read(*given)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return refusal


def test_every_key_has_a_default(tmp_path):
    """A team without a file has all settings by default."""
    loaded = read_settings(tmp_path, {})

    assert {origin.where for origin in loaded.origins.values()} == {"default"}
    assert loaded.settings.sprint.every == 900
    assert loaded.origins["sprint.deadline"].value == "4h"


def test_every_key_can_be_set_in_the_file(read, tmp_path):
    """Durations become seconds, sizes bytes, paths absolute, lists tuples."""
    settings = read(WHOLE).settings

    claude, recorded = settings.agents["claude"], settings.agents["recorded"]
    assert (claude.timeout, claude.max_output, claude.prompt) == (5_400, 5 << 20, "stdin")
    assert (claude.env_file, recorded.folder) == (
        str(tmp_path.parent / "secrets.env"),
        str(tmp_path.parent / "patches"),
    )
    assert (settings.sprint.parallel, settings.sprint.pace, settings.sprint.fallback_above) == ("every 5", 0.5, 0)
    assert (settings.gates["tests"].threshold, settings.gates["tests"].timeout) == (0.8, 600)


def test_a_table_with_the_name_of_a_preset_is_that_agent(read):
    """Two lines are enough; where each value comes from is told."""
    loaded = read('[team]\nagent = "claude"\n[agents.claude]\n')

    claude, known = loaded.settings.agents["claude"], preset("claude")
    assert (claude.command, claude.prompt, claude.env) == (known.words(), known.prompt, known.env)
    assert loaded.origins["agents.claude.command"].where == "preset claude"
    assert loaded.origins["agents.claude.timeout"].where == "default"


@pytest.mark.parametrize(
    ("table", "environ", "file", "shown"),
    [
        ("[agents.claude]\n", {"ANTHROPIC_BASE_URL": "http://localhost:4000"}, "", "ANTHROPIC_BASE_URL"),
        ('[agents.x]\ncommand = ["a"]\nenv = ["OLLAMA_HOST"]\n', {"OLLAMA_HOST": "127.0.0.1:11434"}, "", "OLLAMA_HOST"),
        ('[agents.x]\ncommand = ["a"]\nenv_file = "e"\n', {}, "OPENAI_API_BASE=http://[::1]:1/v1\n", "OPENAI_API_BASE"),
        ('[agents.codex]\nargs = ["--oss"]\n', {}, "", "--oss"),
        ('[agents.aider]\nmodel = "ollama_chat/qwen3"\n', {}, "", "ollama_chat/qwen3"),
        (CHAT.format("http://localhost:11434/v1"), {}, "", "base_url"),
        (CHAT.format("https://example.org/v1"), {}, "", ""),
        (CHAT.format("http://192.168.1.5:8000/v1"), {}, "", ""),
        ("[agents.claude]\n", {"ANTHROPIC_BASE_URL": "https://localhost.example.org"}, "", ""),
        ("[agents.claude]\n", {"OLLAMA_HOST": "localhost"}, "", ""),
        ('[agents.x]\ncommand = ["a"]\nenv = ["DB_HOST"]\n', {"DB_HOST": "localhost"}, "", ""),
        ('[agents.x]\ncommand = ["a"]\nenv_file = "e"\n', {}, "DATABASE_URL=postgres://localhost/test\n", ""),
        ("[agents.claude]\nmax_parallel = 4\n", {"ANTHROPIC_BASE_URL": "http://localhost:4000"}, "", None),
    ],
)
def test_a_model_on_this_machine_answers_one_run_at_a_time_unless_told_otherwise(
    read, tmp_path, table, environ, file, shown
):
    """What shows it is told; a variable that does not reach the agent shows nothing."""
    (tmp_path.parent / "e").write_text(file)
    loaded = read(table, environ)
    (name,) = loaded.settings.agents
    expected = (
        (4, "team.toml:2")
        if shown is None
        else (1, f"a model on this machine ({shown})")
        if shown
        else (None, "default")
    )
    found = loaded.settings.agents[name].max_parallel, loaded.origins[f"agents.{name}.max_parallel"].where
    assert found == expected


def test_the_address_of_a_model_is_known_by_every_name_that_a_preset_passes_on():
    """And by other names with a word for models in them."""
    names = {item.partition(" if ")[0] for known in presets() for item in known.env}
    addresses = {name for name in names if name.endswith(("_URL", "_BASE", "_HOST", "_ENDPOINT"))}
    assert len(addresses) > 8
    for name in (*addresses, "MY_LLM_URL", "LOCAL_AI_ENDPOINT"):
        assert local_model(["a"], {name: "http://127.0.0.1:8080/v1"}) == name
    for name in ("BASE_URL", "REDIS_HOST", "MAIL_HOST"):
        assert local_model(["a"], {name: "http://127.0.0.1:8080/v1"}) == ""


def test_several_agents_are_a_list_also_in_a_variable(read):
    """The order counts; one alone stays as it was written."""
    several = '[agents.x]\ncommand = ["a"]\n[agents.y]\ncommand = ["a"]\n'
    assert read(several + '[team]\nagent = ["y", "x"]\n').settings.team.agents == ("y", "x")
    assert read(several, {"TEAM_TEAM_AGENT": "x, y"}).settings.team.agents == ("x", "y")
    loaded = read(several, flags={"team.agent": "y"})
    assert (loaded.settings.team.agent, loaded.settings.team.agents) == ("y", ("y",))


def test_a_key_of_the_table_beats_its_preset(read):
    """A flag, a variable and the file all do; a model and more words go into the preset's command."""
    text = '[agents.mine]\npreset = "gemini"\nmodel = "flash"\nargs = ["--debug"]\nenv = ["MY_KEY"]\n'
    loaded = read(text, {"TEAM_AGENTS_MINE_MODEL": "pro"}, {"agents.mine.prompt": "file"})

    mine = loaded.settings.agents["mine"]
    assert mine.command == preset("gemini").words("pro", ["--debug"])
    assert (mine.env, mine.prompt) == (("MY_KEY",), "file")
    assert loaded.origins["agents.mine.env"].where == "team.toml:5"
    assert loaded.document()["agents.mine.command"]["from"] == "preset gemini"


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_a_table_that_says_mcp_gives_its_agent_the_mail_server(read, name):
    """Its words stand before those of `args`, wherever `team` is installed, and so in each command made of it."""
    loaded = read(f'[agents.{name}]\nmcp = true\nargs = ["--more"]\n')

    agent, known = loaded.settings.agents[name], preset(name)
    team = str(Path(sys.executable).with_name("team"))
    own = [word.replace("{team}", team) for word in known.mcp]
    assert any(team in word for word in own)
    assert agent.args == (*own, "--more")
    assert agent.command == known.words(None, [*own, "--more"])


def test_a_table_with_a_command_has_no_preset_unless_it_names_one(read):
    """What worked before a preset had that name goes on as it was."""
    alone = read('[agents.claude]\ncommand = ["claude", "-p"]\n').settings.agents["claude"]
    named = read('[agents.claude]\npreset = "claude"\ncommand = ["claude", "-p"]\n').settings.agents["claude"]

    assert (alone.preset, alone.env) == (None, ())
    assert (named.command, named.env) == (("claude", "-p"), preset("claude").env)


def test_in_a_sandbox_a_preset_brings_other_words_and_what_it_needs_at_home(read, tmp_path, monkeypatch):
    """Of its paths in the home folder it names those that are there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read('[agents.codex]\nsandbox = "bwrap"\n').settings.agents["codex"].home == ()
    (tmp_path / ".codex").mkdir()

    codex = read('[agents.codex]\nsandbox = "bwrap"\n').settings.agents["codex"]
    assert codex.home == (".codex",)
    assert "danger-full-access" in codex.command
    assert "danger-full-access" not in read("[agents.codex]\n").settings.agents["codex"].command
    own = read('[agents.codex]\nsandbox = "bwrap"\nhome = [".other"]\n').settings.agents["codex"]
    assert own.home == (".other",)


def test_mail_reads_the_same_file(read, tmp_path):
    """The address book and the settings agree on groups, teams, channels and the human."""
    settings = read(WHOLE).settings

    directory = read_directory(tmp_path)
    assert directory.human == settings.team.human
    assert directory.groups == {"docs": ("scribe", "lore"), "code": ("nova",)}
    assert directory.channels == settings.channel_members == {"review": ("ada", "nova", "cipher")}
    assert {**directory.groups, **directory.channels} == settings.addressed


def test_a_flag_overrides_the_environment_which_overrides_the_file(read):
    """The origin of each value is the source that set it."""
    loaded = read(
        "[sprint]\nmax_parallel = 2\nmax_attempts = 2\n\nmax_mails = 2\n",
        {"TEAM_SPRINT_MAX_PARALLEL": "3", "TEAM_SPRINT_MAX_ATTEMPTS": " 3 ", "TEAM_SPRINT_PACE": ""},
        {"sprint.max_parallel": "4"},
    )

    sprint = loaded.settings.sprint
    assert (sprint.max_parallel, sprint.max_attempts, sprint.max_mails, sprint.pace) == (4, 3, 2, 0)
    keys = ("sprint.max_parallel", "sprint.max_attempts", "sprint.max_mails", "sprint.pace")
    assert [loaded.origins[key] for key in keys] == [
        ("4", "flag"),
        ("3", "environment TEAM_SPRINT_MAX_ATTEMPTS"),
        (2, "team.toml:5"),
        ("0s", "default"),
    ]


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("TEAM_TEAM_HUMAN", "42", ("team", "human"), "42"),
        ("TEAM_TEAM_AUTO_LAND", "false", ("team", "auto_land"), False),
        ("TEAM_WORKSPACE_ROOT", "/var/tmp/team", ("workspace", "root"), "/var/tmp/team"),
        ("TEAM_DISPATCH_OUTSIDE", "/srv, ~/data", ("dispatch", "outside"), ("/srv", "~/data")),
        ("TEAM_SPRINT_PARALLEL", "every 3", ("sprint", "parallel"), "every 3"),
        ("TEAM_SPRINT_PARALLEL", "[3, 4]", ("sprint", "parallel"), (3, 4)),
        ("TEAM_SPRINT_SEQUENTIAL_ONLY", "3, 4", ("sprint", "sequential_only"), (3, 4)),
        ("TEAM_SPRINT_WAKES_NOT", "fyi, thanks_a-lot", ("sprint", "wakes_not"), ("fyi", "thanks_a-lot")),
        ("TEAM_SPRINT_WAKES_NOT", "[]", ("sprint", "wakes_not"), ()),
        ("TEAM_SPRINT_EVERY", "90", ("sprint", "every"), 90),
        ("TEAM_SPRINT_DEADLINE", "2h", ("sprint", "deadline"), 7200),
    ],
)
def test_text_of_a_variable_is_parsed_by_the_type_of_the_setting(read, variable, text, key, value):
    """The value is the same as in the file."""
    settings = read("", {variable: text}).settings

    assert getattr(getattr(settings, key[0]), key[1]) == value


def test_a_variable_can_set_an_agent_of_the_file(read):
    """Names of agents and gates are in capitals; commands are split like in a shell."""
    environ = {
        "TEAM_AGENTS_MY_AGENT_COMMAND": "sh -c './run me'",
        "TEAM_AGENTS_MY_AGENT_ENV": "A B,C",
        "TEAM_GATES_TESTS_TIMEOUT": "1m",
        "TEAM_AGENTS_NOBODY_TIMEOUT": "1m",
    }
    settings = read('[agents.my-agent]\ncommand = ["x"]\n[gates.tests]\ncommand = ["x"]\n', environ).settings

    assert settings.agents["my-agent"].command == ("sh", "-c", "./run me")
    assert settings.agents["my-agent"].env == ("A", "B", "C")
    assert settings.gates["tests"].timeout == 60


def test_other_variables_of_the_environment_are_ignored(read):
    """These are variables of a run and of other programs."""
    environ = {"TEAM_HOME": "/x", "TEAM_PERSONA": "lore", "TEAM_RUN": "r1", "TEAM_SPRINT_COLOUR": "blue"}

    assert read("", environ) == read("")


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ('["npm", "ci"]', (("npm", "ci"),)),
        ('[["uv", "sync"], ["npm", "ci"]]', (("uv", "sync"), ("npm", "ci"))),
        ("[]", ()),
    ],
)
def test_a_setup_is_one_command_or_several(read, text, commands):
    """One command, a list of words, stands for a list of one; a variable has it as a shell would read it."""
    assert read(f'[workspace]\nsetup = {text}\ncopy = [".env"]\n').settings.workspace.setup == commands
    assert read("", {"TEAM_WORKSPACE_SETUP": "npm ci"}).settings.workspace.setup == (("npm", "ci"),)
    assert read("", {"TEAM_WORKSPACE_SETUP": text}).settings.workspace.setup == commands


def test_a_variable_and_a_flag_set_the_workspace(read):
    """As for every other table."""
    loaded = read("", {"TEAM_WORKSPACE_COPY": ".env .npmrc"}, {"workspace.port": "30000"})

    assert loaded.settings.workspace.copies == (".env", ".npmrc")
    assert loaded.settings.workspace.port == 30_000
    assert loaded.origins["workspace.copy"].where == "environment TEAM_WORKSPACE_COPY"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('copy = ["/etc/passwd"]', None),
        ('copy = ["../secrets"]', "workspace.copy[0] must be a path within the repository"),
        ('copy = [".git/config"]', "workspace.copy[0] must be outside of .git and .team"),
        ('cache = ["*"]', "workspace.cache[0] must be the path of one folder"),
        ('setup = "npm ci"', "workspace.setup"),
        ('cache = ["/tmp/x"]', "workspace.cache[0] must be the path of a folder in the workspace"),
        ('cache = ["~/.npm"]', "workspace.cache[0] must be the path of a folder in the workspace"),
        ('cache = ["a", "ab", "a/b"]', "workspace.cache must be folders apart from each other, and a and a/b are not"),
        ('cache = ["a/b", "./a/"]', "workspace.cache must be folders apart from each other, and a/b and a are not"),
        ('cache = ["a", "a"]', "workspace.cache must be folders apart from each other"),
        ("setup = [[]]", "workspace.setup[0] must be the list of a command's words"),
        ('setup = [["sh"], []]', "workspace.setup[1] must be the list of a command's words, as in ["),
    ],
)
def test_a_workspace_takes_nothing_from_outside_of_the_checkout(read, refusal, text, message):
    """A path that begins with a slash counts from the top of the repository, as in every glob."""
    if message is None:
        assert read(f"[workspace]\n{text}\n").settings.workspace.copies == ("etc/passwd",)
    else:
        assert message in refusal(f"[workspace]\n{text}\n")


def test_cron_replaces_every(read):
    """The one from the source of higher priority replaces the other of the file."""
    nine = "0 9 * * mon-fri"

    assert read(f'[sprint]\ncron = "{nine}"').settings.sprint.every is None
    higher = read('[sprint]\nevery = "1h"', {"TEAM_SPRINT_CRON": nine}).settings.sprint
    assert (higher.every, higher.cron) == (None, nine)
    lower = read(f'[sprint]\ncron = "{nine}"', {}, {"sprint.every": "5m"}).settings.sprint
    assert (lower.every, lower.cron) == (300, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[team]\nhumn = "a"', "team.toml:2: team.humn is not a setting; did you mean human?"),
        ("[sprint]\n\nmax_paralel = 3", "team.toml:3: sprint.max_paralel is not a setting; did you mean max_parallel"),
        ('base = "x"', "team.toml:1: base is not a setting here; it belongs under [team]"),
        ("[team]\nmax_parallel = 3", "team.toml:2: team.max_parallel is not a setting here; it belongs under [sprint]"),
        ("[sprin]\n", "team.toml:1: sprin is not a setting; did you mean sprint?"),
        ("team = 3", "team.toml:1: team must be a table: write [team] above its settings"),
        ("[sprint]\nmax_parallel = 0", "team.toml:2: sprint.max_parallel must be 1 or more, not 0"),
        ('[sprint]\nmax_parallel = "8"', 'team.toml:2: sprint.max_parallel must be a whole number, not "8"'),
        ("[sprint]\nmax_parallel = true", "sprint.max_parallel must be a whole number, not true"),
        ("[sprint]\nfallback_above = 2", "team.toml:2: sprint.fallback_above must be at most 1, not 2"),
        ('[sprint]\nparallel = "sometimes"', 'must be "always", "never", "every 5" or a list of sprints'),
        ('[sprint]\nparallel = "every 0"', 'team.toml:2: sprint.parallel must be "always"'),
        ("[sprint]\nparallel = [1, true]", 'team.toml:2: sprint.parallel must be "always"'),
        ("[sprint]\nsequential_only = [1,\n0]", "team.toml:2: sprint.sequential_only[1] must be 1 or more, not 0"),
        ('[sprint]\ndeadline = "0s"', 'team.toml:2: sprint.deadline must be more than 0, not "0s"'),
        ("[sprint]\npace = -1", "team.toml:2: sprint.pace must be a span of time from 0 up to 366 days, not -1"),
        ("[sprint]\ndeadline = inf", "team.toml:2: sprint.deadline must be a span of time from 0 up"),
        ("[sprint]\ndeadline = nan", "team.toml:2: sprint.deadline must be a span of time from 0 up"),
        ('[sprint]\nevery = "15x"', 'sprint.every must be a span of time ("90s", "30m", "2h", "1d") or a number'),
        ('[sprint]\ncron = "0 9 * *"', "team.toml:2: sprint.cron '0 9 * *' has 4 fields where cron has 5"),
        ('[sprint]\nevery = "1h"\ncron = "* * * * *"', "team.toml:3: sprint.cron and sprint.every are both set"),
        ('[sprint]\nwake_not = ["fyi"]', "team.toml:2: sprint.wake_not is not a setting; did you mean wakes_not?"),
        ('[sprint]\nwakes_not = "fyi"', 'team.toml:2: sprint.wakes_not must be a list: […], not "fyi"'),
        ('[sprint]\nwakes_not = ["a", "Result"]', "sprint.wakes_not[1] is 'Result', and a type of mail is 1 to 32 of"),
        ('[sprint]\nwakes_not = ["Result"]', "of the letters a to z, '_' and '-'; did you mean result?"),
        ('[sprint]\nwakes_not = ["note"]', 'wakes_not[0] must not hold "note": mail without a type is of that type'),
        ("[agents.x]\n", 'team.toml:1: agents.x says no command, which kind "command" needs: write command = ['),
        ('[agents.x]\npreset = "cluade"', "team.toml:2: agents.x.preset is 'cluade', and no preset has that name; did"),
        ("[agents.x]\npreset = 3", "team.toml:2: agents.x.preset must be text in quotes, not 3"),
        ('[agents.x]\nkind = "scripted"\npreset = "claude"', 'says preset, which kind "scripted" has no use for'),
        ('[agents.claude]\ncommand = ["a"]\nargs = ["m"]', "team.toml:3: agents.claude.args is for the command of a"),
        ("[agents.gemini]\nmcp = true", "agents.gemini.mcp is nothing that Gemini CLI was seen to take; leave it out"),
        ('[agents.x]\ncommand = ["a"]\nmcp = true', "team.toml:3: agents.x.mcp is for the command of a preset"),
        ('[agents.claude]\nmcp = true\nsandbox = "bwrap"', "claude.mcp needs a program that is not in a sandbox"),
        ('[agents.amp]\nmodel = "m"', "team.toml:2: agents.amp.model is nothing that Amp can be told; leave it out"),
        ('[agents.x]\ncommand = ["a"]\nenv = ["A if"]', "team.toml:3: agents.x.env[0] must be the name of a variable"),
        ('[agents.x]\nkind = "replay"', 'agents.x says no folder, which kind "replay" needs: write folder ='),
        ('[agents.x]\nkind = "replay"\nfolder = "p"\ncommand = ["x"]', 'says command, which kind "replay" has no use'),
        ('[agents.x]\nkind = "scripted"\nfolder = "p"', 'agents.x says folder, which kind "scripted" has no use for'),
        ('[agents.x]\ncommand = "a b"', 'team.toml:2: agents.x.command must be a list: […], not "a b"'),
        ("[agents.x]\ncommand = []", "team.toml:2: agents.x.command must be the list of a command's words"),
        ('[agents.x]\ncommand = ["a", 3]', "team.toml:2: agents.x.command[1] must be text in quotes, not 3"),
        ('[agents.x]\ncommand = ["a"]\nprompt = "std"', 'prompt must be "stdin", "argument" or "file", not "std"'),
        ('[agents.x]\ncommand = ["a"]\nenv = ["A=b"]', "team.toml:3: agents.x.env[0] must be the name of a variable"),
        ('[agents.x]\ncommand = ["a"]\nmax_output = "10 XB"', 'agents.x.max_output must be a size ("10MB", "512KiB")'),
        ('[agents.x]\ncommand = ["a"]\nsandbox = "yes"', 'team.toml:3: agents.x.sandbox must be "none" or "bwrap"'),
        ('[agents.x]\ncommand = ["a"]\nhome = ["../x"]', "team.toml:3: agents.x.home[0] must be a path in the home"),
        ('[agents.x]\ncommand = ["a"]\nhome = ["~/.x"]', "team.toml:3: agents.x.home[0] must be a path in the home"),
        ('[agents.x]\ncommand = ["a"]\nhome = ["/x"]', "team.toml:3: agents.x.home[0] must be a path in the home"),
        ('[agents.x]\ncommand = ["a"]\nhome = ["./"]', "team.toml:3: agents.x.home[0] must be a path in the home"),
        ('[agents.x]\ncommand = ["a"]\nhome = ["a", "a/b"]', "agents.x.home must be folders apart from each other"),
        ('[agents.x]\ncommand = ["a"]\nnetwork = "off"', 'which only a sandbox can see to: write sandbox = "bwrap"'),
        ('[agents.x]\nkind = "scripted"\nsandbox = "bwrap"', 'says sandbox, which kind "scripted" has no use for'),
        ('[agents."a b"]\ncommand = ["a"]', "team.toml:1: agents.a b must be a name of letters"),
        ('[agents.x]\ncommand = ["a"]\n[team]\nagent = "y"', "team.toml:4: team.agent 'y' names no [agents.y]"),
        (
            '[agents.x]\ncommand = ["a"]\n[team]\nagent = ["x", "xy"]',
            "team.toml:4: team.agent 'xy' names no [agents.xy]; did you mean x?",
        ),
        ('[team]\nagent = ["x", "x"]', "team.toml:2: team.agent must be the name of an agent, or a list without"),
        ("[team]\nagent = []", "team.toml:2: team.agent must be the name of an agent, or a list without repetitions"),
        ("[route.docs]\n", 'team.toml:1: route.docs says no agent: write agent = ["claude", "codex"], or order ='),
        ('[route.docs]\nagents = "x"', "team.toml:2: route.docs.agents is not a setting; did you mean agent?"),
        ('[agents.x]\ncommand = ["a"]\n[route.r]\nagent = "y"', "team.toml:4: route.r.agent 'y' names no [agents.y]"),
        (
            '[agents.x]\ncommand = ["a"]\n[route.r]\nagent = "x"\npersonas = ["@d"]',
            "team.toml:5: route.r.personas: no group @d",
        ),
        ('[route.r]\norder = "cheap"', 'team.toml:2: route.r.order must be "given" or "cheapest", not "cheap"'),
        ('[route.r]\norder = "cheapest"\nbudget_left = 0.5', "team.toml:3: route.r.budget_left never fits without a"),
        ('[route.r]\norder = "cheapest"\ntasks = ["a"]\nreasons = ["mail"]', "route.r never fits: tasks are of disp"),
        ('[route.r]\norder = "cheapest"\nreasons = ["work"]', 'route.r.reasons[0] must be "batch", "mail"'),
        ('[route.r]\norder = "cheapest"\nbudget_left = 25', "route.r.budget_left must be at most 1, not 25"),
        ('[agents.x]\ncommand = ["a"]\nbudget = "5"', "team.toml:3: agents.x.budget must be an amount of money"),
        ("[gates.t]\n", "team.toml:1: gates.t needs one of command and report, and not both: write command = "),
        ('[gates.t]\ncommand = ["a"]\nreport = "ann"', "team.toml:1: gates.t needs one of command and report"),
        ('[gates.t]\ncommand = ["a"]\nveto = true', "team.toml:1: gates.t has veto, which only a report is judged by"),
        ('[gates.t]\ncommand = ["a"]\nat_most = 1', "gates.t has at_most, which only a report is judged by"),
        ('[gates.t]\nreport = "ann"', "team.toml:1: gates.t says not what the report is judged by: write veto = true"),
        ('[gates.t]\nreport = "ann"\nveto = true\nthreshold = 6', "gates.t has both veto and a threshold"),
        ('[gates.t]\nreport = "ann"\nkey = "score"', "gates.t has key but no threshold"),
        ('[deploy]\napprove = "always"', "team.toml:1: deploy says neither command nor persona"),
        ('[deploy]\npersona = "ann"\ncommand = ["a"]', "deploy says both command and persona: keep one"),
        ("[supervisor]\nimprove = true", "team.toml:2: supervisor.improve never ends by itself: write max_rounds"),
        ('[supervisor]\nreview = "later"', 'supervisor.review must be "this round" or "last round", not "later"'),
        ('[review.ann]\nbefore = ["a"]', "team.toml:1: review.ann is asked for no review: name ann in a gate's report"),
        ("[review.ann]\n", "team.toml:1: review.ann.before is missing"),
        ('[gates.t]\ncommand = ["a"]\nthreshold = nan', "team.toml:3: gates.t.threshold must be a number"),
        ('[gates.t]\ncommand = ["a"]\nkey = "k"', "team.toml:1: gates.t has key but no threshold"),
        ('[dispatch]\noutside = ["data"]', "team.toml:2: dispatch.outside[0] must begin with / or ~"),
        ('[dispatch]\noutsid = ["/x"]', "team.toml:2: dispatch.outsid is not a setting; did you mean outside"),
        ("dispatch = 3", "team.toml:1: dispatch must be a table: write [dispatch] above its settings"),
        ('[groups]\nall = ["x"]', "team.toml:2: groups.all must be a name"),
        ('[groups]\nALL = ["x"]', "team.toml:2: groups.ALL must be a name"),
        ("\n[teams.code]\n", 'team.toml:2: teams.code has no members: write members = ["nova"]'),
        ("[teams.code]\nmembers = []", 'team.toml:1: teams.code has no members: write members = ["nova"]'),
        ('[teams.code]\nmembers = "x"', 'team.toml:2: teams.code.members must be a list: […], not "x"'),
        ('[teams.code]\nmembers = ["scheduler"]', "team.toml:2: teams.code.members[0] must be a name"),
        ('[teams.All]\nmembers = ["x"]', "team.toml:1: teams.All must be a name"),
        ('[teams.code]\nmembers = ["x"]\nreviewer = ["y"]', "code.reviewer is not a setting; did you mean reviewers"),
        ('[teams.code]\nmembers = ["x"]\nchannel = "#code"', "team.toml:3: teams.code.channel must be a name"),
        ('[teams.code]\nmembers = ["x"]\nself_review = 1', "team.toml:3: teams.code.self_review must be true or false"),
        (
            '[teams.code]\nmembers = ["x", "x"]\nreviewers = ["y", "x"]',
            "team.toml:1: teams.code has x as its only member, and x would review itself: name another reviewer, or",
        ),
        ("teams = 3", "team.toml:1: teams must be a table: write [teams.code] above its settings"),
        ('[groups]\ncode = ["x"]\n[teams.code]\nmembers = ["y"]', "team.toml:3: teams.code has the name of a group"),
        ("[channels.review]\n", "team.toml:1: channels.review has no members: write members = ["),
        ('[channels.review]\nmember = ["x"]', "channels.review.member is not a setting; did you mean members"),
        ('[sprint]\nreviewers = ["x"]', "sprint.reviewers is not a setting here; it belongs under [teams.code]"),
        ('[groups]\ndocs = "x"', 'team.toml:2: groups.docs must be a list: […], not "x"'),
        ('[team]\nhuman = "weaver"', "team.toml:2: team.human must be a name of letters"),
        ('[team]\nbase = "a..b"', 'team.toml:2: team.base must be the name of a branch, not "a..b"'),
        ("[team]\nhuman = ", "team.toml:2: invalid value"),
        ("[team\n", "team.toml:1: expected ']' at the end of a table declaration at column 6"),
        ("[team]\na = 1\na = 2", "team.toml:3: cannot overwrite a value"),
        ("x = " + "[" * 5000, "team.toml:1: "),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_line(refusal, text, message):
    """One line names the place, the setting, and the valid values."""
    assert message in refusal(text)


def test_all_mistakes_are_reported_at_once(refusal):
    """They are in the order of the file."""
    message = refusal("[team]\nhumn = 1\nbase = 2\n[sprint]\npace = -1\n", {"TEAM_SPRINT_EVERY": "soon"})

    places = [problem.split(": ")[0] for problem in message.split("; ") if re.match("team|env", problem)]
    assert places == ["environment TEAM_SPRINT_EVERY", "team.toml:2", "team.toml:3", "team.toml:5"]


@pytest.mark.parametrize(
    ("environ", "flags", "message"),
    [
        ({"TEAM_SPRINT_MAX_PARALLEL": "four"}, {}, "environment TEAM_SPRINT_MAX_PARALLEL: sprint.max_parallel must be"),
        ({}, {"sprint.max_paralel": "4"}, "flag: sprint.max_paralel is not a setting; did you mean max_parallel"),
        ({}, {"agents.x.y": "4"}, "flag: agents.x.y is not a setting"),
        ({}, {"sprint.max_parallel": "4\nx = 5"}, "flag: sprint.max_parallel must be a whole number"),
    ],
)
def test_a_mistake_in_a_variable_or_flag_names_it(refusal, environ, flags, message):
    """The place is the whole name of the variable, or of the flag."""
    assert message in refusal("", environ, flags)


def test_an_unbalanced_quote_in_a_variable_is_refused(refusal):
    """The message names the variable."""
    message = refusal('[agents.x]\ncommand = ["a"]', {"TEAM_AGENTS_X_COMMAND": "sh -c 'x"})

    assert "environment TEAM_AGENTS_X_COMMAND: command: No closing quotation" in message


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path):
    """A folder of that name cannot be read, either."""
    (tmp_path / "team.toml").write_bytes(b"[team]\nhuman = '\xe9'\n")
    with pytest.raises(UsageError, match=r"team\.toml:2: not UTF-8"):
        read_settings(tmp_path, {})
    (tmp_path / "team.toml").unlink()
    (tmp_path / "team.toml").mkdir()
    with pytest.raises(UsageError, match=r"cannot read .*team\.toml: it is a folder"):
        read_settings(tmp_path, {})


def test_settings_are_frozen(read):
    """Reading them twice gives the same values."""
    with pytest.raises(ValueError, match="frozen"):
        read().settings.sprint.max_parallel = 3


KEYS = st.text("abc_-09", min_size=1, max_size=4) | st.sampled_from(["a b", "é", 'q"q', "x.y", "#", "[", "="])
SCALARS = st.sampled_from(
    ["1", "-0.5e3", "true", "1979-05-27T07:32:00Z", "07:32:00.5", "inf", "'a#=['", '"\\"]#"', '"""a\n"b" # =\n\\""""',
     "'''\n[x]\ny = 1''''", '""', "'''''''", "0x1f"],
)  # fmt: skip
GAPS = st.sampled_from(["", "\n", "\n\n", "# x = [1\n", "  # '''\n", "\t"])


@st.composite
def documents(draw):
    """A TOML document of tables, dotted keys, lists and inline tables, with the line on which each key was put."""
    text, lines = "", {}

    def put(piece: str) -> None:
        nonlocal text
        text += piece

    def note(key: tuple[str, ...]) -> None:
        for length in range(1, len(key) + 1):
            lines.setdefault(key[:length], text.count("\n") + 1)

    def name(key: str) -> str:
        bare = re.fullmatch("[A-Za-z0-9_-]+", key)
        return key if bare and draw(st.booleans()) else json.dumps(key, ensure_ascii=draw(st.booleans()))

    def value(key: tuple[str, ...], depth: int) -> None:
        kind = draw(st.sampled_from("ssslt")) if depth else "s"
        if kind == "s":
            put(draw(SCALARS))
        elif kind == "l":
            put("[")
            for _ in range(draw(st.integers(0, 3))):
                put(draw(GAPS))
                put(draw(SCALARS) if draw(st.booleans()) else "[ [], '}' ]")
                put(draw(GAPS) + ",")
            put(draw(GAPS) + "]")
        else:
            put("{")
            for count, inner in enumerate(draw(st.lists(KEYS, unique=True, max_size=3))):
                put(" , " if count else " ")
                note((*key, inner))
                put(f"{name(inner)} = ")
                value((*key, inner), depth - 1)
            put("}")

    def pairs(table: tuple[str, ...]) -> None:
        for key in draw(st.lists(KEYS, unique=True, max_size=3)):
            put(draw(GAPS.filter(lambda gap: gap.endswith("\n") or not gap.strip())))
            dotted = (*table, key, "deep") if draw(st.booleans()) else (*table, key)
            note(dotted)
            put(" . ".join(map(name, dotted[len(table) :])) + " = ")
            value(dotted, 2)
            put(draw(st.sampled_from(["\n", " # said\n"])))

    pairs(())
    for table in draw(st.lists(st.tuples(st.sampled_from(["T", "U"]), KEYS), unique=True, max_size=3)):
        note(table)
        put(f"[ {table[0]}.{name(table[1])} ]  # here\n")
        pairs(table)
    return text, lines


@settings(max_examples=examples(40), deadline=None, database=None)
@given(documents())
def test_every_key_is_found_on_its_line(document):
    """For any layout, the scanner finds the line of every key that tomllib reads."""
    text, lines = document
    tomllib.loads(text)

    assert key_lines(text) == lines


@given(st.integers(0, 366 * 86_400))
def test_a_formatted_duration_parses_to_the_same_value(value):
    """This holds for any number of seconds."""
    assert seconds(span(value)) == value


@given(st.integers(1, 1 << 40))
def test_a_formatted_size_parses_to_the_same_value(value):
    """This holds for any number of bytes."""
    assert byte_count(size(value)) == value


@pytest.mark.parametrize(
    "line", ["* * * * *", "*/5 0-6,12 1 jan-mar 7", "0 9 * * mon-fri", "5/10 * * * sat-sun", "0\t9  1-31/2 12 0"]
)
def test_a_crontab_line_is_accepted(line):
    """Fields are separated by single spaces afterwards."""
    assert crontab(line) == " ".join(line.split())


@pytest.mark.parametrize(
    "line", ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
             "* * * * fri-mon", "x * * * *", "1,, * * * *", "@daily", ""],
)  # fmt: skip
def test_an_invalid_crontab_line_is_refused(line):
    """Numbers out of range, unknown words and reversed ranges."""
    with pytest.raises(ValueError, match="cron"):
        crontab(line)


def test_a_tilde_is_the_home_folder(read):
    """Paths with `~` become absolute."""
    settings = read('[agents.x]\ncommand = ["x"]\nenv_file = "~/secrets"\n').settings

    assert settings.agents["x"].env_file == os.path.join(Path.home(), "secrets")  # noqa: PTH118


def test_a_forge_in_a_private_network_is_reached_if_that_is_meant(read, refusal):
    """By its address as well as by a name; never where no server of anybody's is."""
    table = '[github]\nrepo = "octo/app"\ntoken_file = "t"\napi = "https://{}/api/v3"\n'
    assert 'network = "private" allows it' in refusal(table.format("10.0.0.1"))
    private = f'{table}network = "private"\n'
    assert read(private.format("10.0.0.1")).settings.github.git_address == "https://10.0.0.1/octo/app.git"
    assert "must lead to a public address" in refusal(private.format("169.254.169.254"))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('kind = "chat"\nmodel = "m"', "says no base_url"),
        ('kind = "chat"\nbase_url = "http://localhost:1/v1"', "says no model"),
        ('kind = "chat"\nbase_url = "http://8.8.8.8/v1"\nmodel = "m"', "in no private network: write https"),
        ('kind = "chat"\nbase_url = "http://localhost/v1?a=b"\nmodel = "m"', "must have no ?"),
        (
            'kind = "chat"\nbase_url = "http://localhost:1/v1/chat/completions/"\nmodel = "m"',
            "must end before /chat/completions, which is added to it: http://localhost:1/v1",
        ),
        (
            'kind = "chat"\nbase_url = "http://localhost:1/v1"\nmodel = "m"\npush = true',
            'says push, which is for kind "jules"',
        ),
        ('command = ["a"]\nturns = 3', 'says turns, which is for kind "chat"'),
        ('kind = "chat"\nbase_url = "http://localhost:1/v1"\nmodel = "m"\ncommand = ["a"]', "says command"),
    ],
)
def test_what_a_chat_model_needs_and_has_no_use_for_is_told(read, table, why):
    with pytest.raises(UsageError, match=why):
        read(f"[agents.local]\n{table}\n")


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("ssh://git@example.org/app.git", True), ("git@example.org:octo/app.git", True), ("/srv/git/app.git", True),
        ("https://example.org/app.git", True), ("file:///srv/app.git", True), ("git://10.0.0.1/app", True),
        ("https://ada:hunter2@example.org/app.git", False), ("https://token@example.org/app.git", False),
        ("ssh://ada:hunter2@example.org/app.git", False), ("--upload-pack=touch hit", False),
        ("ext::sh -c touch% hit", False), ("app.git", False), ("/srv/a\nb", False), ("", False),
    ],
)  # fmt: skip
def test_an_address_with_a_password_or_a_helper_is_refused(tmp_path, value, valid):
    """Everybody reads the file, and git must take the address for neither an option nor a program."""
    (tmp_path / "team.toml").write_text(f"[workspace]\nremote = {json.dumps(value)}\n")
    if valid:
        assert read_settings(tmp_path, {}).settings.workspace.remote == value
    else:
        with pytest.raises(UsageError, match=r"team\.toml:2: workspace\.remote") as refused:
            read_settings(tmp_path, {})
        assert "hunter2" not in str(refused.value)
    name = value if valid else "origin"
    (tmp_path / "team.toml").write_text(f"[weaver]\npush = {json.dumps(name)}\n")
    assert read_settings(tmp_path, {}).settings.weaver.push == name
