"""A filter of the user's git settings ends with the command of git that started it, whatever it does."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from team_mail.personas.errors import GitError
from team_mail.personas.git import Git
from team_mail.personas.workspace import Mirror, Workspace

DAEMON = """\
import os, sys, time
if not os.fork():
    os.setsid()
    if not os.fork():
        open({pid!r}, "a").write(f"{{os.getpid()}}\\n")
        os.execvp("sleep", ["sleep", "1000"])
    os._exit(0)
os.wait()
while not (os.path.exists({pid!r}) and open({pid!r}).read().endswith("\\n")):
    time.sleep(0.01)
sys.stdout.write(sys.stdin.read().upper())
"""


class Filtered:
    """A repository whose files `*.up` the filter `own` of the user's settings reads and writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, folder.parent / "gitconfig"
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        (folder / ".gitattributes").write_text("*.up filter=own\n")
        (folder / "old.up").write_text("OLD\n")
        self.git("add", "-A")
        self.git("-c", "user.name=ada", "-c", "user.email=ada@example.org", "commit", "-qm", "begin")

    def git(self, *words: str) -> str:
        ended = subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return ended.stdout.strip()

    def filters(self, **commands: object) -> None:
        """Set the commands of the filter."""
        rows = "".join(f'\t{key} = "{command}"\n' for key, command in commands.items())
        self.settings.write_text(f'[filter "own"]\n{rows}\trequired = true\n')

    def workspace(self) -> Workspace:
        head = self.git("rev-parse", "HEAD")
        return Mirror(self.folder / ".git", self.folder.parent / "work").workspace("run-1", head)


@pytest.fixture
def user(tmp_path, monkeypatch) -> Filtered:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    return Filtered(tmp_path / "project")


def test_a_daemon_that_a_filter_leaves_ends_with_the_command(user, tmp_path):
    """It left the session and holds all pipes open: nobody waits for it, at checkout or at capture."""
    script, pids = tmp_path / "daemon.py", tmp_path / "pids"
    script.write_text(DAEMON.format(pid=str(pids)))
    user.filters(clean=f"python3 {script}", smudge=f"python3 {script}")

    made = user.workspace()
    assert not running(pids)
    (made.path / "new.up").write_text("text\n")
    captured = made.capture()

    assert b"+TEXT\n" in captured.patch
    assert len(pids.read_text().split()) > 1
    assert not running(pids)


def running(pids: Path) -> list[int]:
    return [int(pid) for pid in pids.read_text().split() if psutil.pid_exists(int(pid))]


def test_a_filter_that_never_returns_is_ended_with_the_command(user, tmp_path):
    """The command ends as one that was killed, within its limit, and says why."""
    user.filters(clean=f"echo $$ >> {tmp_path}/pids; sleep 1000", smudge="cat")
    made = user.workspace()
    (made.path / "new.up").write_text("text\n")
    git = made.fresh_git(tmp_path)

    ended = git.run("add", "--all", timeout=1.5)

    assert ended.returncode == -signal.SIGKILL
    assert not running(tmp_path / "pids")
    with pytest.raises(GitError, match=r"no end within 1\.5s: a filter of your git settings may hang"):
        Git.output(("add",), ended)


def test_a_filter_sees_the_harmless_part_of_the_environment(user, tmp_path, monkeypatch):
    """What the scheduler has in its environment does not choose what a filter does."""
    monkeypatch.setenv("MY_SECRET", "hunter3")
    user.filters(clean=f"env > {tmp_path}/seen; cat", smudge="cat")
    made = user.workspace()
    (made.path / "new.up").write_text("text\n")
    made.capture()
    seen = (tmp_path / "seen").read_text()
    assert "hunter3" not in seen
    assert "\nPATH=" in f"\n{seen}"


def test_a_repository_without_a_filter_starts_no_keeper(user):
    """What can start no program of others runs as it is."""
    user.filters(clean="cat", smudge="cat")
    (user.folder / ".gitattributes").write_text("*.up text\n")
    user.git("-c", "user.name=ada", "-c", "user.email=ada@example.org", "commit", "-qam", "no filter")
    made = user.workspace()
    (made.path / "new.up").write_text("text\n")
    made.capture()
    assert not [folder for folder, _, _ in os.walk(user.folder.parent / "work") if folder.endswith("/kept")]
