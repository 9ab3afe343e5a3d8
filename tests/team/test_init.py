"""Creating a team: what a new user gets, what is left unchanged, and what is refused before anything is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from team_mail.mail.errors import TeamMailError, UsageError
from team_mail.personas.agents.presets.preset import preset, presets
from team_mail.personas.bundled import library
from team_mail.scheduler.settings.reading import read_settings
from team_mail.team.init import PROPOSED, make_team

from ..console import as_text, run_command

NAMES = sorted(file.name.split(".")[0] for file in library())
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "GIT_"))}


def git(folder: Path, *words: str) -> str:
    options = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *options, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def team(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command itself."""
    return as_text(run_command("team", *words, cwd=folder, env=CLEAN | {"NO_COLOR": "1", "PATH": "/usr/bin:/bin"}))


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit, on trunk."""
    folder = tmp_path / "shop with a space"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Begin")
    return folder


def test_a_new_team_has_settings_personas_and_ignored_mail(repository):
    """The file is valid as it stands, starts from the branch at hand, and shows every key."""
    made = make_team(repository, environ={})

    settings = read_settings(made.home, {})
    assert (made.settings, made.base, sorted(made.personas)) == (True, "trunk", sorted(PROPOSED))
    assert settings.settings.team.base == "trunk"
    assert settings.settings.agents["shell"].command is not None
    silent = {key for key, origin in settings.origins.items() if origin.where == "default"}
    assert silent == {
        "sprint.cron",
        "team.oracle",
        "workspace.root",
        "workspace.remote",
        "weaver.sign",
        "weaver.push",
        "supervisor.max_rounds",
        "supervisor.max_time",
        "log.url",
        "log.name",
        "logging.file",
        "console.secret_file",
        "otel.endpoint",
        "otel.headers_file",
        *(f"deploy.{key}" for key in ("command", "persona", "approve", "check", "timeout", "env")),
        *(f"github.{key}" for key in ("repo", "token_file", "api", "remote", "network", "base", "authors", "to")),
        *(f"github.{key}" for key in ("publish", "labels", "poll", "login", "webhook_secret_file")),
        *(f"budget.{key}" for key in ("sprint", "day", "persona", "run")),
    } | {
        f"agents.shell.{key}"
        for key in (
            "kind", "preset", "model", "args", "mcp", "env_file", "folder", "idle", "max_parallel", "budget",
            "base_url", "context", "commands", "tools", "turns", "mode", "startup",
            "source", "branch", "plan", "pull_request", "ask", "creates", "poll", "remote", "url", "push",
        )
    }  # fmt: skip
    assert git(repository, "status", "--porcelain", "--ignored") == "?? .team/"


def test_every_example_that_is_commented_out_is_valid(repository):
    """Without the `#`, each agent, gate, group, team and channel gives valid settings."""
    home = make_team(repository, environ={}).home
    text = (home / "team.toml").read_text()
    (home / "team.toml").write_text(re.sub(r"(?m)^# (?=\[|\w+ = )", "", text))

    settings = read_settings(home, {}).settings
    assert settings.agents.keys() == {"shell", "local", "recorded", "rehearsal", *(each.name for each in presets())}
    assert settings.gates.keys() == {"tests", "coverage", "security"}
    assert settings.notify.keys() == {"phone", "ci", "script"}
    assert settings.github.repo == "octo/app"
    assert settings.otel.endpoint == "http://localhost:4318"
    assert settings.groups["docs"] == ("scribe", "lore", "curator")
    assert settings.channel_members == {"review": ("artisan", "scribe"), "code": ("forge", "artisan")}


def test_defaults_shown_in_the_file_are_those_of_the_code(repository, tmp_path):
    """The settings are the same without them."""
    shown = read_settings(make_team(repository, environ={}).home, {}).settings
    silent = read_settings(tmp_path, {}).settings

    assert shown.sprint == silent.sprint
    assert shown.workspace == silent.workspace
    assert shown.team == silent.team.model_copy(update={"base": "trunk"})


def test_nothing_is_overwritten(repository):
    """Made a second time, a team stays as it was changed; who is missing comes when it is asked for."""
    home = make_team(repository, ["forge"], {}).home
    (home / "team.toml").write_text('[team]\nhuman = "ada"\n')
    (home / "personas" / "forge.md").write_text("---\nid: forge\n---\nMine.\n")
    assert make_team(repository, environ={}).personas == ()
    again = make_team(repository, ["all"], {})

    assert (again.settings, sorted(again.personas)) == (False, [name for name in NAMES if name != "forge"])
    assert (home / "team.toml").read_text() == '[team]\nhuman = "ada"\n'
    assert (home / "personas" / "forge.md").read_text().endswith("Mine.\n")


def test_a_few_personas_can_be_chosen(repository):
    """Only those named are copied; an unknown name is refused before anything is written."""
    with pytest.raises(UsageError, match="no bundled persona 'scrib'; did you mean scribe"):
        make_team(repository, ["forge", "scrib"], {})
    assert not (repository / ".team").exists()

    assert sorted(make_team(repository, ["scribe", "forge"], {}).personas) == ["forge", "scribe"]


def test_the_team_is_made_at_the_top_of_the_checkout(repository):
    """Whoever stands in a folder below, or in a linked worktree, gets one team at the top, on that one's branch."""
    below = repository / "docs"
    below.mkdir()
    git(repository, "worktree", "add", "-q", "-b", "side", str(repository.parent / "side"))

    assert make_team(below, ["forge"], {}).home == repository / ".team"
    side = make_team(repository.parent / "side", ["forge"], {})
    assert (side.home, side.base) == (repository.parent / "side" / ".team", "side")


@pytest.fixture
def install(tmp_path):
    """Put programs that do nothing into a folder of their own; return the PATH that names it alone."""

    def put(*names: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / preset(name).program).write_text("#!/bin/sh\n")
            (folder / preset(name).program).chmod(0o755)
        return str(folder)

    return put


def test_the_agents_in_the_path_are_live_and_the_first_one_plays(repository, install, tmp_path):
    """What is installed needs no edit; the others are commented out."""
    made = make_team(repository, ["forge"], {"PATH": install("aider", "cursor"), "HOME": str(tmp_path)})

    settings = read_settings(made.home, {}).settings
    assert (made.agents, made.agent) == (("aider", "cursor"), "aider")
    assert settings.agents.keys() == {"aider", "cursor", "shell"}
    assert settings.team.agent == "aider"
    assert settings.agents["aider"].command == preset("aider").words()
    text = (made.home / "team.toml").read_text()
    for each in presets():
        lines = f'[agents.{each.name}]\npreset = "{each.name}"\n'
        assert lines in text if each.name in made.agents else lines.replace("\n", "\n# ", 1) in text
    assert len('[agents.aider]\npreset = "aider"\n'.splitlines()) <= 5


def test_an_agent_with_a_key_plays_before_one_without(repository, install, tmp_path):
    """Who is logged in is whom the user works with; a login is a file in the home folder."""
    environ = {"PATH": install("claude", "gemini", "qwen"), "HOME": str(tmp_path), "OPENAI_API_KEY": "sk-1"}
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini" / "oauth_creds.json").touch()

    assert make_team(repository, ["forge"], environ).agents == ("gemini", "qwen", "claude")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ([], "is not in a git repository; run `git init`"),
        ([("init", "-q")], 'has no commit yet; make the first: git add . && git commit -m "Begin"'),
        ([("init", "-q", "--bare")], "is in a bare git repository"),
        (
            [("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x"), ("checkout", "-q", "--detach")],
            "has no branch checked out (detached at ",
        ),
    ],
)
def test_no_team_is_created_where_no_sprint_could_start(tmp_path, make, message):
    """No repository, no commit, no checkout, no branch: each gives one line, and no file is left."""
    for words in make:
        git(tmp_path, *words)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(UsageError) as refused:
        make_team(tmp_path, environ={})
    assert message in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_an_error(repository):
    """A file in the place of the folder gives one line."""
    (repository / ".team").write_text("mine")

    with pytest.raises(TeamMailError, match=r"cannot write .*\.team: File exists; nothing was overwritten"):
        make_team(repository, environ={})


def test_the_command_shows_the_next_steps(repository):
    """`team init` ends with them and with the number of runs that a sprint will start."""
    ended = team(repository, "init", "-p", "forge,scribe")

    assert (ended.returncode, ended.stderr) == (0, "")
    steps = [
        "name your agent in .team/team.toml",
        "scheduler --dry-run",
        "scheduler sprint",
        "team-mail inbox --persona you",
    ]
    assert [ended.stdout.index(step) for step in steps] == sorted(ended.stdout.index(step) for step in steps)
    assert "A sprint starts 2 runs of your agent" in ended.stdout
    assert "6 runs at most" in ended.stdout


def test_the_command_shows_settings_and_roster(repository):
    """`config` tells values and origins, `personas` the roster; a file that is none is named and makes exit code 1."""
    make_team(repository, ["forge"], {})
    (repository / ".team" / "personas" / "odd.md").write_text("---\nid: [\n---\n")
    (repository / ".team" / "team.toml").write_text('[agents.me]\ncommand = ["me"]\n[team]\nbase = "trunk"\n')

    plain = team(repository, "config", "--origin").stdout.splitlines()
    assert 'team.base\t"trunk"\tteam.toml:4' in plain
    assert json.loads(team(repository, "config", "--json").stdout)["sprint.every"] == {"value": 900, "from": "default"}
    listed = team(repository, "personas", "--json")
    assert [persona["id"] for persona in json.loads(listed.stdout)["personas"]] == ["forge"]
    assert (listed.returncode, len(json.loads(listed.stdout)["problems"])) == (1, 1)


def test_the_command_refuses_in_one_line(tmp_path):
    """Outside of a repository: exit code 2, one line on stderr, nothing on stdout."""
    ended = team(tmp_path, "init")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("team: ")
    assert ended.stderr.count("\n") == 1


def test_what_goes_with_what_is_here_is_offered_in_a_line_each(repository, install):
    """Agents of other tools, hooks for one's own sessions, mail by tools; of what is not here not a word."""
    assert (make_team(repository, environ={}).others, make_team(repository, environ={}).hooks) == ((), ())
    crew = "  role: r\n  goal: g\n  backstory: b\n"
    files = {
        ".claude/agents/critic.md": "---\nname: critic\ndescription: c\n---\nRead.\n",
        ".codex/agents/finder.toml": 'name = "f"\ndescription = "d"\ndeveloper_instructions = "Find."\n',
        ".github/chatmodes/plan.chatmode.md": "---\ndescription: d\n---\nPlan.\n",
        "src/my crew/config/agents.yaml": "a:\n" + crew + "c:\n" + crew,
        "personas/sheep/prompt.md.j2": "---\nid: sheep\n---\nGraze.\n",
        "docs/agents.yaml": "no: crew\n",
    }
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True)
        (repository / name).write_text(text)
    programs = install("claude", "codex", "qwen")
    shutil.rmtree(repository / ".team")

    ended = as_text(
        run_command("team", "init", cwd=repository, env=CLEAN | {"NO_COLOR": "1", "PATH": f"{programs}:/usr/bin:/bin"})
    )

    for says in (
        ".codex/agents .github/chatmodes personas 'src/my crew/config/agents.yaml' copies what may be 6 agents",
        "team hook install claude shows mail in your own sessions of it (or of codex)\n",
        "mcp = true below [agents.claude] in team.toml gives its runs mail by tools (extra mcp)\n",
    ):
        assert says in ended.stdout
    document = make_team(repository, environ={"PATH": programs}).document()
    assert document["others"][-1] == {"path": "src/my crew/config/agents.yaml", "count": 2}
    assert (document["hooks"], document["tools"]) == (["claude", "codex"], ["claude", "codex"])
    done = team(repository, "personas", "import", "--dry-run", *(each["path"] for each in document["others"]))
    assert "6 personas read" in done.stdout
