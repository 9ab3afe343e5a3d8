"""`team personas`: the roster with files of other tools, what is imported, and what is exported."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from team_mail.mail.team_file import read_directory
from team_mail.personas.roster import read_roster
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.settings.reading import read_settings
from team_mail.scheduler.sprint import idle
from team_mail.team.open import open_team

from ..console import as_text, run_command

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "GIT_"))}
CRITIC = "---\nname: critic\ndescription: Reviews.\ntools: Read, Grep\nmodel: opus\ncolor: red\n---\n\nRead {{ x }}.\n"
CODEX = 'name = "mapper"\ndescription = "Maps."\nsandbox_mode = "read-only"\ndeveloper_instructions = "Map."\n'
CREW = "finder:\n  role: Finder\n  goal: Find it.\n  backstory: You find.\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def repository(tmp_path):
    """A team with one persona of its own, and agents of other tools beside it."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    write(tmp_path / ".team" / "personas" / "forge.md", "---\ndescription: Builds.\n---\nBuild.\n")
    write(
        tmp_path / ".team" / "team.toml",
        '[team]\nagent = "claude"\npersonas = [".claude/agents", "ai"]\n[agents.claude]\n',
    )
    write(tmp_path / ".claude" / "agents" / "deep" / "critic.md", CRITIC)
    write(tmp_path / ".claude" / "agents" / "forge.md", CRITIC)
    write(tmp_path / ".claude" / "agents" / "README.md", "# Agents")
    write(tmp_path / ".claude" / "agents" / "notes.md", "# Notes")
    write(tmp_path / "ai" / "mapper.toml", CODEX)
    write(tmp_path / "ai" / "agents.yaml", CREW)
    return tmp_path


def team(folder: Path, *words: str, json_too: bool = False) -> Any:
    """Run `team personas`; return its exit code, and its output as text or as JSON."""
    done = as_text(run_command("team", "personas", *words, cwd=folder, env=CLEAN | {"NO_COLOR": "1"}))
    return done.returncode, json.loads(done.stdout) if json_too else done.stdout, done.stderr


def test_folders_of_other_tools_are_read_where_they_lie(repository):
    """Mail reaches who is there, nobody of them is scheduled, ours wins, and what has no effect is told."""
    context = open_team(repository / ".team")
    roster = {persona.id: persona for persona in context.roster.personas}
    assert sorted(roster) == ["critic", "finder", "forge", "mapper"]
    assert [member.id for member in context.members] == ["forge"]
    assert (roster["critic"].prompt, roster["critic"].paths, roster["critic"].model) == ("Read {{ x }}.\n", (), "opus")
    assert roster["mapper"].paths == ()
    people = read_directory(repository / ".team", {}).personas
    assert people == context.mailbox.directory.personas
    assert {*roster} <= (people or set())
    code, out, err = team(repository)
    assert code == 0
    assert "critic" in out
    for says in ("color: is for that tool's own display (.claude/agents/deep/critic.md:6)", "forge.md is forge, too",
                 "notes.md: is not read: it has no front matter"):  # fmt: skip
        assert says in err
    assert "README" not in err
    _, document, _ = team(repository, "--json", json_too=True)
    assert {(note["key"], note["line"]) for note in document["notes"] if note["lost"]} == {("color", 6)}
    assert len(document["unread"]) == 2


def test_names_that_no_address_can_have_get_hyphens(repository):
    """Where they lie and imported: people name such files with spaces and dots."""
    for name in ("Code Reviewer.md", "next.js-expert.md", "v1.2.md", "Größe.md"):
        write(repository / ".claude" / "agents" / name, CRITIC)
    mine = {"Code-Reviewer", "next-js-expert", "v1-2", "Größe"}
    roster = read_roster(repository / ".team" / "personas", [repository / ".claude" / "agents"])
    assert {persona.id for persona in roster.personas} == {*mine, "critic", "forge"}
    assert roster.problems == ()
    assert mine <= (read_directory(repository / ".team", {}).personas or set())
    assert team(repository, "import", ".claude/agents")[0] == 1  # forge is there already
    assert mine <= {path.stem for path in (repository / ".team" / "personas").iterdir()}


def test_a_file_that_cannot_be_read_is_named_with_its_line(repository):
    """One bad file costs one persona, and the exit code."""
    write(repository / "ai" / "broken.toml", "name = [\n")
    outside = write(repository.parent / f"{repository.name}-outside.md", CRITIC)
    (repository / "ai" / "led.md").symlink_to(outside)
    write(repository / "ai" / "stored.md", "../.claude/agents/deep/critic.md")
    code, _, err = team(repository)
    assert code == 1
    for says in ("broken.toml:2: not TOML", "led.md: is a link that leads out", "stored.md:1: is a symbolic link"):
        assert says in err
    assert len(open_team(repository / ".team").roster.personas) == 4


def test_a_file_that_is_nobodys_stands_in_nobodys_way(repository):
    """Markdown beside the TOML of Codex, which installers leave there, and which Codex does not read."""
    for name, text in (("mapper.md", CRITIC), ("mapper.toml", CODEX)):
        write(repository / ".codex" / "agents" / name, text)
    roster = read_roster(repository / ".team" / "personas", [repository / ".codex" / "agents"])
    assert [persona.id for persona in roster.personas if persona.source] == ["forge", "mapper"]
    assert roster.problems == ()
    assert [text.partition(": ")[2] for text in roster.unread] == [
        "is not read: it lies where Codex keeps its agents, and Codex reads TOML alone"
    ]
    code, _, err = team(repository, "import", ".codex/agents")
    assert (code, "Codex reads TOML alone" in err) == (0, True)
    assert (repository / ".team" / "personas" / "mapper.md").is_file()


def test_a_folder_that_nobody_named_is_told(repository):
    """Nothing in it is read, as it might be hundreds."""
    (repository / ".team" / "team.toml").write_text("")
    code, out, err = team(repository)
    assert code == 0
    assert "critic" not in out
    assert 'personas = [".claude/agents"]' in err


def test_folders_are_named_in_the_file_alone(repository):
    """Mail reads them there, whatever a variable says; and a folder that is not there is told."""
    with pytest.raises(SettingsError, match="toml alone"):
        read_settings(repository / ".team", {"TEAM_TEAM_PERSONAS": "ai"})
    with pytest.raises(SettingsError, match="outside of"):
        read_settings(repository / ".team", {"TEAM_TEAM_PERSONAS": ".team/x"})
    (repository / ".team" / "team.toml").write_text('[team]\npersonas = ["none"]\n')
    code, _, err = team(repository)
    assert (code, "none: there is no such folder" in err) == (1, True)


def test_an_idle_tick_sees_a_change_in_such_a_folder(repository):
    """What the scheduler was told of the roster holds until a file of any of its folders changes."""
    home = repository / ".team"
    before = idle.seen(home, (), {})
    assert before == idle.seen(home, (), {})
    write(repository / "ai" / "more.toml", CODEX)
    assert before != idle.seen(home, (), {})


def test_files_of_other_tools_may_lie_among_our_own(tmp_path):
    """There they take part as every file does; braces are text, and what looks like a persona and is none is named."""
    folder = tmp_path / ".team" / "personas"
    write(folder / "critic.md", CRITIC)
    write(folder / "mapper.toml", CODEX)
    write(folder / "agents.yaml", CREW)
    write(folder / "Big Idea.agent.md", "---\ndescription: Thinks.\nagent: 'agent'\n---\nThink {{ a.b }}.\n")
    write(folder / "plain.md", "---\nname: plain\ndescription: Plain.\n---\nUse {{ secrets.TOKEN }}.\n")
    write(folder / "ours.md", "---\nname: ours\ndescription: Ours.\n---\nI am {{ id }}.\n")
    write(folder / "notes.txt", "mine")
    roster = read_roster(folder)
    assert roster.problems == ()
    assert {persona.id: persona.template for persona in roster.personas} == {
        "Big-Idea": False, "critic": False, "finder": False, "mapper": False, "ours": None, "plain": None,
    }  # fmt: skip
    assert len(roster.scheduled) == 6
    assert [text.partition(": ")[0].rpartition("/")[2] for text in roster.unread] == ["notes.txt"]
    assert read_directory(tmp_path / ".team", {}).personas == {persona.id for persona in roster.personas}


def test_a_file_of_ours_is_strict_and_its_braces_are_rendered(tmp_path):
    """One key that is ours alone makes it ours: a typo in a variable is an error, as ever."""
    write(tmp_path / ".team" / "personas" / "ours.md", "---\nemoji: 🐑\ntools: x\n---\nI am {{ nobody }}.\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    code, _, err = team(tmp_path)
    assert (code, "'nobody' is undefined" in err) == (1, True)


def test_an_import_writes_files_of_ours_and_overwrites_nothing(repository):
    """What was imported plays no part in sprints, keeps what we have no words for, and goes back as it came."""
    home = repository / ".team"
    (home / "team.toml").write_text('[team]\nagent = "codex"\n[agents.codex]\n[agents.wit]\npreset = "claude"\n')
    code, out, err = team(repository, "import", ".claude/agents/deep", "ai")
    assert (code, err) == (0, "")
    assert "3 personas read (1 claude, 1 codex, 1 crewai)" in out
    assert (home / "personas" / "critic.md").read_text() == (
        "---\nid: critic\ndescription: Reviews.\nagent: wit\nmodel: opus\npaths: []\ncommands: []\nscheduled: false\n"
        "template: false\nclaude:\n  tools: Read, Grep\n  color: red\n---\n\nRead {{ x }}.\n"
    )
    assert read_roster(home / "personas").problems == ()
    code, out, _ = team(repository, "import", "ai")
    assert (code, "2 files as before" in out) == (0, True)
    write(repository / "ai" / "mapper.toml", CODEX.replace("Map.", "Map it."))
    code, _, err = team(repository, "import", "ai")
    assert (code, "--force overwrites it" in err) == (1, True)
    assert team(repository, "import", "ai", "--force")[0] == 0
    code, _, err = team(repository, "import", ".claude/agents/forge.md")
    assert (code, "exists, and differs" in err) == (1, True)
    for name in ("critic", "mapper"):
        (repository / "back").mkdir(exist_ok=True)
        form, file = ("claude", "critic.md") if name == "critic" else ("codex", "mapper.toml")
        assert team(repository, "export", "--format", form, name, "--to", "back")[0] == 0
        again = team(repository, "import", f"back/{file}", "--to", "again", "--format", form)
        assert again[0] == 0
        assert (repository / "again" / f"{name}.md").read_bytes() == (home / "personas" / f"{name}.md").read_bytes()


def test_braces_that_may_be_a_mistake_are_told(tmp_path):
    """A file that may be another tool's is not refused for them, and nobody has to guess."""
    write(tmp_path / ".team" / "personas" / "plain.md", "---\nname: plain\ndescription: Plain.\n---\nUse {{ tokn }}.\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    code, _, err = team(tmp_path)
    assert (code, "its braces are taken as text: the prompt cannot be rendered: 'tokn' is undefined" in err) == (
        0,
        True,
    )


def test_an_import_of_a_repository_finds_the_folders_of_all_tools(repository):
    """They are hidden ones."""
    _, document, _ = team(repository, "import", "--dry-run", "--json", ".", json_too=True)
    assert document["read"] == {"claude": 2, "codex": 1, "crewai": 1}


def test_a_dry_import_counts_a_folder_and_writes_nothing(repository):
    """Every file is read, refused with its line, or skipped with a reason."""
    write(repository / "ai" / "broken.toml", "name = [\n")
    code, document, _ = team(repository, "import", "--dry-run", "--json", "ai", ".claude", json_too=True)
    assert code == 1
    assert document["read"] == {"claude": 2, "codex": 1, "crewai": 1}
    assert (document["refused"], document["exists"], document["skipped"]) == (1, 1, 1)
    assert sorted(path.name for path in (repository / ".team" / "personas").iterdir()) == ["forge.md"]
    refused = next(file for file in document["files"] if file["status"] == "refused")
    assert "broken.toml:2: not TOML" in refused["why"]


@pytest.mark.parametrize(
    ("form", "file", "says"),
    [
        ("claude", ".claude/agents/forge.md", "name: forge"),
        ("codex", ".codex/agents/forge.toml", "developer_instructions = '''\nBuild.\n'''"),
        ("gemini", ".gemini/agents/forge.md", "description: Builds."),
        ("opencode", ".opencode/agents/forge.md", "description: Builds."),
        ("copilot", ".github/agents/forge.agent.md", "name: Forge"),
        ("crewai", "agents.yaml", "  backstory: Build."),
        ("egregora", "personas/forge/prompt.md.j2", "id: forge"),
    ],
)
def test_an_export_writes_where_its_tool_looks(repository, form, file, says):
    """What cannot be said there is told; a file that is there is left alone."""
    (repository / ".claude" / "agents" / "forge.md").unlink()
    code, out, err = team(repository, "export", "--format", form, "forge")
    assert (code, err) == (0, "")
    assert says in (repository / file).read_text()
    assert form == "egregora" or "scheduled: it is called" in out
    assert f"1 persona to export (1 {form})" in out
    (repository / file).write_text("mine")
    assert team(repository, "export", "--format", form, "forge")[0] == 1
    assert (repository / file).read_text() == "mine"
