"""Sprints on machines as people have them: real filters of git, other file systems, a home that nobody can write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ..read_only import MOUNTS, UNSHARED
from ..samples import STORM
from .test_scheduler import BIN, CLEAN, Project, project

__all__ = ["project"]


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def alone(project: Project) -> None:
    """Leave one persona on the roster."""
    for name in ("bob", "cyd"):
        (project.team / "personas" / f"{name}.md").unlink()


def kept(project: Project, name: str) -> bytes:
    """Return what git stores of a file on the sprint's branch, unfiltered."""
    words = ["git", "cat-file", "blob", f"team/sprint-1:{name}"]
    return subprocess.run(words, cwd=project.folder, check=True, capture_output=True).stdout


# -- filters


@needs("git-lfs")
def test_large_files_of_an_agent_land_as_pointers_of_git_lfs(project):
    """What it wrote is in the user's own store, so that a checkout of the branch has it."""
    alone(project)
    project.git("lfs", "install", "--local")
    (project.folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (project.folder / "old.bin").write_bytes(b"old data\n" * 99)
    project.git("add", ".gitattributes", "old.bin")
    project.git("commit", "--quiet", "-m", "Add data")
    project.agent("cat > /dev/null; head -c 9 old.bin > seen.txt; seq 1 99999 > new.bin; echo more >> old.bin")

    assert project.document("sprint")["landed"] == ["ann"]

    for name in ("old.bin", "new.bin"):
        assert kept(project, name).startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    project.git("checkout", "--quiet", "team/sprint-1")
    numbers = "".join(f"{number}\n" for number in range(1, 100_000))
    assert (project.folder / "new.bin").read_text() == numbers
    assert (project.folder / "seen.txt").read_text().startswith("version h"), "an agent gets pointers"


@needs("git-crypt")
def test_secrets_of_an_agent_land_encrypted_by_git_crypt(project, monkeypatch):
    """It sees plain text as its user does; what it adds below the pattern never lands as such."""
    alone(project)
    project.git("crypt", "init")
    (project.folder / ".gitattributes").write_text("secret/** filter=git-crypt diff=git-crypt\n")
    (project.folder / "secret").mkdir()
    (project.folder / "secret" / "old").write_text("old key\n")
    project.git("add", ".gitattributes", "secret")
    project.git("commit", "--quiet", "-m", "Add secrets")
    project.agent("cat > /dev/null; grep -q 'old key' secret/old && echo 'new key' > secret/new && echo x >> list.txt")

    assert project.document("sprint")["landed"] == ["ann"]

    assert kept(project, "secret/new").startswith(b"\0GITCRYPT\0")
    assert not [e for e in project.events() if "new key" in json.dumps(e)]
    project.git("checkout", "--quiet", "team/sprint-1")
    assert (project.folder / "secret" / "new").read_text() == "new key\n"


# -- file systems


def other_file_system(folder: Path) -> Path | None:
    places = [Path("/dev/shm"), Path("/var/tmp")]
    writable = (place for place in places if os.access(place, os.W_OK))
    return next((place for place in writable if place.stat().st_dev != folder.stat().st_dev), None)


def test_workspaces_may_lie_on_another_file_system(project, tmp_path):
    """A clone that cannot share objects by links is made all the same, and its patch lands."""
    if not (other := other_file_system(tmp_path)):
        pytest.skip("there is no other file system here")
    alone(project)
    with TemporaryDirectory(dir=other) as root:
        project.agent(more=f'[workspace]\nroot = "{root}"\n')
        assert project.document("sprint")["landed"] == ["ann"]
        (team,) = Path(root).iterdir()
        assert {path.name for path in team.iterdir()} == {"mirror.git", "slots", "team.json"}


@MOUNTS
@pytest.mark.parametrize("words", [("sprint",), pytest.param(("--dry-run",), marks=STORM)])
def test_a_home_that_nobody_can_write_is_one_line(project, tmp_path, words):
    """It names the folder, the reason and the setting; with that set, the sprint goes on."""
    alone(project)
    home = tmp_path / "home"
    home.mkdir()

    def scheduler() -> subprocess.CompletedProcess[str]:
        script = 'mount --bind "$HOME" "$HOME" && mount -o remount,ro,bind "$HOME" && exec "$@"'
        env = {name: value for name, value in CLEAN.items() if name != "XDG_STATE_HOME"}
        command = [*UNSHARED, "sh", "-c", script, "sh", BIN / "scheduler", *words, "--json"]
        return subprocess.run(
            command, cwd=project.folder, env=env | {"HOME": str(home)}, capture_output=True, text=True, check=False
        )

    refused = scheduler()
    assert refused.returncode == 2
    told = refused.stderr or refused.stdout
    assert f"cannot make workspaces in {home}/.local/state/team-mail" in told
    assert "the file system is read-only; set root in [workspace] of team.toml" in told
    project.agent(more=f'[workspace]\nroot = "{tmp_path}/runs"\n')
    assert scheduler().returncode == 0


@MOUNTS
def test_a_message_is_shown_where_nothing_can_be_written(project):
    """That it could not be marked is one line beside it, and no failure."""
    project.ok("team-mail", "send", "--to", "ann", "-s", "x", "-b", "the text")
    script = 'mount --bind .team .team && mount -o remount,ro,bind .team && exec "$@"'
    words = [*UNSHARED, "sh", "-c", script, "sh", BIN / "team-mail", "read", "2", "-p", "ann"]
    for _ in range(2):
        ended = subprocess.run(words, cwd=project.folder, env=CLEAN, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout.endswith("\n\nthe text\n")) == (0, True), ended
        assert ended.stderr.startswith("team-mail: not marked as read: cannot write the log in ")
        assert "the file system is read-only" in ended.stderr
    assert [event["kind"] for event in project.events()] == ["log.opened", "mail.sent"]


# -- names


def test_a_team_works_in_a_folder_of_any_name(project, tmp_path):
    """Wildcards, quotes, a backslash, a colon, a line break: agents, weaver, mail and database find their files."""
    folder = tmp_path / "a*b [1] {x} 'q\" \\ c:d?\n e$(x) é"
    project.folder.rename(folder)
    project = Project(folder)
    (tmp_path / "agent").write_text(
        "cat > /dev/null; echo $TEAM_PERSONA > $TEAM_PERSONA.txt\n"
        "team-mail check; team-mail send --to you --type fyi -s Done -b text || exit 9\n"
    )
    project.agent(f". {tmp_path}/agent")
    assert project.ok("scheduler", "--dry-run").count("first launch of the sprint") == 3
    assert sorted(project.document("sprint")["landed"]) == ["ann", "bob", "cyd"]
    assert project.ok("team-mail", "inbox", "-p", "you").count("Subject: Done") == 3
    for _ in range(2):
        assert project.ok("team-mail", "check", "-p", "you", code=3).count("Done") == 3
    assert project.ok("team-mail", "query", "SELECT count(*) FROM events WHERE subject = 'Done'") == "3\n"
    assert "verified" in project.ok("team-mail", "verify")
    assert project.document("status")["runs"]
    project.ok("scheduler", "land", "1")
    assert (folder / "ann.txt").read_text() == "ann\n"
