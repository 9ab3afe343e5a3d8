"""Where a team is found, from every folder of its repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from team_mail.mail.errors import NoTeam
from team_mail.mail.home import find_home, planned_home
from team_mail.mail.open import first_mail


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path) -> Path:
    """A repository with a committed `.team`, also in a folder of its own."""
    folder = tmp_path / "project"
    for place in (folder, folder / "app"):
        (place / ".team").mkdir(parents=True)
        (place / ".team" / "team.toml").write_text("")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    return folder


def test_a_team_is_found_from_every_folder_and_linked_worktree(project, tmp_path):
    """A worktree has the committed files of `.team`, and no mailbox of its own."""
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "topic")
    (tmp_path / "linked" / "deep").mkdir()
    for folder in (project, tmp_path / "linked", tmp_path / "linked" / "deep"):
        assert find_home(folder, {}) == project / ".team"
    assert find_home(tmp_path / "linked" / "app", {}) == project / "app" / ".team"


def test_a_team_that_is_not_committed_is_found_from_a_linked_worktree(project, tmp_path):
    """There the folder is missing altogether, and a new one goes to the main checkout, too."""
    git(project, "rm", "-rq", ".team", "app")
    git(project, "commit", "-qm", "No team")
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "topic")
    with pytest.raises(NoTeam):
        find_home(tmp_path / "linked", {})
    assert planned_home(tmp_path / "linked") == project / ".team"
    (project / ".team").mkdir()
    assert find_home(tmp_path / "linked", {}) == project / ".team"


def test_the_worktrees_of_a_bare_repository_have_one_team(project, tmp_path):
    """It is in the one that has mail; before the first mail, in each."""
    git(tmp_path, "clone", "-q", "--bare", str(project), "bare.git")
    for name in ("a", "b"):
        git(tmp_path / "bare.git", "worktree", "add", "-q", str(tmp_path / name), "-b", name)
    assert find_home(tmp_path / "a", {}) == tmp_path / "a" / ".team"
    (tmp_path / "b" / ".team" / "mail").mkdir()
    assert find_home(tmp_path / "a", {}) == tmp_path / "b" / ".team"


def test_a_clone_and_a_submodule_are_teams_of_their_own(project, tmp_path):
    """They are other repositories."""
    git(tmp_path, "clone", "-q", str(project), "clone")
    assert find_home(tmp_path / "clone", {}) == tmp_path / "clone" / ".team"
    git(tmp_path, "init", "-q", "above")
    git(tmp_path / "above", "submodule", "add", "-q", str(project), "below")
    assert find_home(tmp_path / "above" / "below", {}) == tmp_path / "above" / "below" / ".team"


@pytest.mark.parametrize("text", ["", "gitdir: /nowhere", "gitdir: .", "\0", "x" * 100_000])
def test_a_git_file_of_another_form_is_not_followed(tmp_path, text):
    """The nearest `.team` counts."""
    (tmp_path / ".git").write_text(text)
    (tmp_path / ".team").mkdir()
    assert find_home(tmp_path, {}) == tmp_path / ".team"


def test_a_clone_says_at_its_first_mail_that_it_is_a_team_of_its_own(project, tmp_path, monkeypatch, capsys):
    """Its committed `.team` looks as if it were the team that it was cloned from."""
    git(tmp_path, "clone", "-q", str(project), "clone")
    monkeypatch.delenv("TEAM_HOME", raising=False)
    for folder, note in ((project, ""), (tmp_path / "clone", "other clones of the repository have teams of their own")):
        monkeypatch.chdir(folder)
        for line in (note, ""):
            with first_mail() as home:
                (home / "mail").mkdir(exist_ok=True)
            notice = capsys.readouterr().err
            assert line in notice
            assert bool(notice) == bool(line)


@pytest.mark.parametrize("name", ["mail", "runs", "work", "run", "logs"])
def test_a_persona_may_be_called_as_a_folder_of_the_team(project, monkeypatch, name):
    """Git ignores what lies directly in `.team`, and no persona of that name."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("TEAM_HOME", raising=False)
    with first_mail() as home:
        (home / name).mkdir()
        (home / name / "file").write_text("")
    for place in (home / "personas" / name / "prompt.md", home / "personas" / f"{name}.md"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"---\nid: {name}\n---\n")
    ended = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=project, check=True, capture_output=True)
    assert ended.stdout.decode().split() == [
        "??", ".team/.gitignore", "??", f".team/personas/{name}.md", "??", f".team/personas/{name}/prompt.md",
    ]  # fmt: skip


@pytest.mark.parametrize("above", ["", "deep", "deep/er"])
@pytest.mark.parametrize("name", ["plain", "a\nb", "it's [1] {x} *?", 'say "hi" \\ $HOME', " space "])
def test_a_home_is_found_whatever_the_folders_are_called(tmp_path, name, above):
    """From the folder itself and from below it, and no sibling's is taken for it."""
    folder = tmp_path / name
    (folder / above).mkdir(parents=True)
    for team in (folder, tmp_path / f"{name}x"):
        (team / ".team").mkdir(parents=True)
    assert find_home(folder / above, {}) == folder / ".team"
    assert planned_home(folder / above) == folder / above / ".team"
