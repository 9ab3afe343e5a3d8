"""Git as personas use it: finding the repository, moving a checkout, and keeping other settings out."""

from __future__ import annotations

import os
import subprocess

import pytest
from team_mail.personas.errors import (
    BareRepository,
    GitError,
    GitTooOld,
    NotARepository,
    NotTrusted,
    RepositoryBroken,
)
from team_mail.personas.git import Git, find_repository, move_checkout, with_drivers


def run(folder, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path):
    """Make a repository with two commits that differ in one file."""
    folder = tmp_path / "project"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    for text in ("one\n", "two\n"):
        (folder / "file").write_text(text)
        run(folder, "add", "file")
        run(folder, "-c", "user.name=ada", "-c", "user.email=ada@example.org", "commit", "-qm", text.strip())
    return folder


def test_the_repository_of_a_folder_is_found(project):
    """From any folder inside, and from a linked worktree, whose git directory is shared."""
    (project / "deep").mkdir()
    run(project, "worktree", "add", "-q", str(project.parent / "linked"), "main~1")

    assert find_repository(project / "deep") == (Git(project / ".git"), project)
    assert find_repository(project.parent / "linked") == (Git(project / ".git"), project.parent / "linked")


def test_a_folder_without_a_usable_repository_is_refused(project, tmp_path):
    """The message says what to do: outside of any repository, and in a bare one."""
    run(project, "clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    (tmp_path / "empty").mkdir()

    with pytest.raises(NotARepository, match="is not in a git repository; run `git init`"):
        find_repository(tmp_path / "empty")
    with pytest.raises(BareRepository, match="bare git repository; a team needs a checkout"):
        find_repository(tmp_path / "bare.git")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to somebody else")
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda git: (git / "HEAD").unlink(), r"\.git is there, and git says: not a git repository .*clone anew"),
        (lambda git: (git / "config").write_text("[core"), "cannot use the repository of .*: bad config line"),
        (
            lambda git: (git / "config").write_text("[core]\nrepositoryformatversion = 99\n"),
            "cannot use the repository of .*: Expected git repo version <= 1, found 99; mend that, then see git status",
        ),
        (
            lambda git: (git / "config").write_text("[core]\nrepositoryformatversion = 1\n[extensions]\nodd = 1\n"),
            "cannot use the repository of .*: unknown repository extension found: odd; ",
        ),
        (lambda git: git.rename(git.with_name("away")) and git.write_text("gitdir: gone\n"), "not a git repository: "),
        (lambda git: git.rename(git.with_name("away")) and git.write_text("junk\n"), "invalid gitfile format: "),
    ],
    ids=["no-head", "config", "version", "extension", "link", "junk"],
)
def test_a_repository_that_git_cannot_use_is_told_in_gits_own_words(project, harm, said):
    """Nobody is told to make a new repository over one that is damaged, or of a later version of git."""
    harm(project / ".git")
    with pytest.raises(RepositoryBroken, match=said) as refused:
        find_repository(project)
    assert "git init" not in str(refused.value)


def test_a_repository_of_another_user_is_trusted_as_git_was_told(project, tmp_path, monkeypatch):
    """Without `safe.directory` the refusal has the command that allows it; with it the repository is found."""
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    settings.write_text("")
    for path in (project, project / ".git"):
        os.chown(path, 12345, 12345)

    with pytest.raises(NotTrusted, match=r"another owner.*git config --global --add safe\.directory "):
        find_repository(project)

    settings.write_text(f"[safe]\n\tdirectory = {project}\n")
    assert find_repository(project) == (Git(project / ".git"), project)


def test_a_git_that_is_missing_or_too_old_is_refused(project, tmp_path, monkeypatch):
    """Both messages name the version that is needed."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(GitTooOld, match=r"git is not installed, or not in PATH; a sprint needs git 2\.38"):
        find_repository(project)

    (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho git version 2.30.1\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    with pytest.raises(GitTooOld, match=r"git version 2\.30\.1 is too old"):
        find_repository(project)


def test_a_failed_command_raises_gits_own_message(project):
    """The first line of stderr is the message, without git's prefix; a command without one gives its exit code."""
    git = Git(project / ".git")
    with pytest.raises(GitError, match=r"^git cat-file: Not a valid object name nothing$"):
        git("cat-file", "-p", "nothing")
    with pytest.raises(GitError, match=r"^git rev-parse: exit 1$") as refused:
        git("rev-parse", "--verify", "--quiet", "nothing")
    assert refused.value.exit == 1


def test_output_as_text_has_no_last_newline(project):
    """Ids and names are used as they are."""
    assert Git(project / ".git").line("rev-parse", "main") == run(project, "rev-parse", "main")


def test_a_command_that_takes_too_long_is_killed(project):
    """The exit code is that of SIGKILL, and the message has the limit."""
    ended = Git(project / ".git").run("cat-file", "--batch", wrapper=("sh", "-c", "exec sleep 60"), timeout=0.1)
    assert (ended.returncode, ended.stderr) == (-9, b"no end within 0.1 s")


def test_a_checkout_moves_with_its_branch(project):
    """The files of the new commit are there, and a file in between that nobody changed does not matter."""
    old, new = run(project, "rev-parse", "main"), run(project, "rev-parse", "main~1")

    move_checkout(project, old, new)

    assert (project / "file").read_text() == "one\n"


def test_a_checkout_with_a_local_change_in_the_way_is_left_alone(project):
    """The error is git's, and the local change is kept."""
    old, new = run(project, "rev-parse", "main"), run(project, "rev-parse", "main~1")
    (project / "file").write_text("mine\n")

    with pytest.raises(GitError, match=r"git read-tree: .*file"):
        move_checkout(project, old, new)

    assert (project / "file").read_text() == "mine\n"


def test_a_checkout_is_put_back_if_git_stops_halfway(project):
    """At a filter that fails: the files before it are the old ones again, and those that are new are gone."""
    old = run(project, "rev-parse", "main")
    (project / ".gitattributes").write_text("*.sealed filter=seal\n")
    for name in ("a", "file", "z.sealed"):
        (project / name).write_text("new\n")
    run(project, "add", ".")
    run(project, "commit", "--quiet", "-m", "Add")
    new = run(project, "rev-parse", "main")
    run(project, "reset", "--quiet", "--hard", old)
    run(project, "config", "filter.seal.smudge", "false")
    run(project, "config", "filter.seal.required", "true")

    with pytest.raises(GitError, match="filter"):
        move_checkout(project, old, new)

    assert run(project, "status", "--porcelain") == ""


def test_only_merge_drivers_are_taken_from_the_users_settings(project, tmp_path, monkeypatch):
    """A driver with quotes in its command arrives unchanged; other settings of the user do not apply."""
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    settings.write_text("")
    git = Git(project / ".git")
    assert with_drivers(git) is git

    settings.write_text('[merge "union"]\n\tdriver = "echo \'it is\' %A!"\n[user]\n\tname = ada\n')
    both = with_drivers(git)

    assert both.line("config", "merge.union.driver") == "echo 'it is' %A!"
    with pytest.raises(GitError, match="exit 1"):
        both("config", "user.name")
