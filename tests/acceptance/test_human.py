"""The human of a team, set in the file, the environment or a flag: the same for scheduler, mail and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..console import as_text, run_command

BIN = Path(sys.executable).parent
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEAM_", "_TEAM", "PYTHON", "EDITOR", "VISUAL", "GIT_", "COV"))
} | {
    "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
AGENT = "cat > /dev/null; echo {persona} > {persona}.txt; team-mail send --to bob --subject 'From the run' --body done"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one persona, whose agent makes a file and writes to bob; the file names ada as the human."""
    folder = tmp_path / "project"
    (folder / ".team" / "personas").mkdir(parents=True)
    (folder / ".team" / "personas" / "ann.md").write_text("---\nid: ann\n---\nDo your part.\n")
    command = json.dumps(["sh", "-c", AGENT])
    (folder / ".team" / "team.toml").write_text(f'[team]\nhuman = "ada"\n[agents.shell]\ncommand = {command}\n')
    (folder / "README").write_text("A project.\n")
    for line in ("init --quiet --initial-branch=main", "add README", "commit --quiet -m Begin"):
        subprocess.run(["git", *line.split()], cwd=folder, env=CLEAN, check=True)
    return folder


def run(folder: Path, command: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{CLEAN['PATH']}"
    return as_text(run_command(command, *words, cwd=folder, env=CLEAN | {"PATH": path} | environ, timeout=60))


@pytest.mark.parametrize("source", ["environment", "flag"])
def test_a_sprint_writes_to_the_human_set_outside_of_the_file(source, project):
    """Settings, address book and runs agree on bob, so patches land, the sprint ends, and its mail arrives."""
    flag = ["--set", "team.human=bob"] if source == "flag" else []
    environ = {"TEAM_TEAM_HUMAN": "bob"} if source == "environment" else {}
    ended = run(project, "scheduler", "sprint", "--json", *flag, **environ)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["landed"] == ["ann"]
    listed = json.loads(run(project, "team-mail", "inbox", "-p", "bob", "--json", TEAM_TEAM_HUMAN="bob").stdout)
    assert sorted(message["sender"] for message in listed) == ["ann", "scheduler"]
    assert [message["subject"] for message in listed if message["sender"] == "ann"] == ["From the run"]
    assert json.loads(run(project, "team-mail", "inbox", "-p", "ada", "--json").stdout) == []


def test_settings_and_mail_read_a_file_with_a_byte_order_mark(project):
    """The human and the agent are those of the file."""
    file = project / ".team" / "team.toml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    config = run(project, "team", "config", "--json")
    assert (config.returncode, json.loads(config.stdout)["team.human"]["value"]) == (0, "ada"), config.stderr
    sent = run(project, "team-mail", "send", "--to", "ada", "--subject", "x", "--json")
    assert sent.returncode == 0, sent.stderr
    (message,) = json.loads(run(project, "team-mail", "inbox", "-p", "ada", "--json").stdout)
    assert (message["sender"], message["recipients"]) == ("ada", ["ada"])
