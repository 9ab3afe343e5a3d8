"""What `team doctor` says is next: for each fault that it can tell, what mends that fault."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from team_mail.team import doctor
from team_mail.team.doctor import Diagnosis, examine
from team_mail.team.init import make_team

SHELL = '[agents.shell]\ncommand = ["true"]\n'
TRIED = "team try shell   one small run shows whether it works here"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A team of one persona and a command that works, on a machine without any known agent."""
    folder = tmp_path / "shop"
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, "init", "-q", folder], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "Begin"], cwd=folder, check=True)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith("TEAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    made = make_team(folder, ["forge"])
    (made.home / "team.toml").write_text(SHELL)
    return made.home


def seen(home: Path, settings: str) -> Diagnosis:
    (home / "team.toml").write_text(settings)
    return examine(home)


def test_a_team_that_could_work_is_tried_next(home):
    diagnosis = examine(home)
    assert (diagnosis.healthy, diagnosis.next) == (True, TRIED)
    assert diagnosis.document()["next"] == TRIED


@pytest.mark.parametrize(
    ("settings", "next"),
    [
        ("[team]\nagent = ", "correct that in team.toml, then team doctor"),
        ("[sprint]\nmax_parallel = 0\n", "correct that in team.toml, then team doctor"),
        ('[workspace]\nroot = "inside"\n' + SHELL, "correct that in team.toml, then team doctor"),
        (f'[workspace]\nroot = "{{inside}}"\n{SHELL}', "set root in [workspace] of team.toml, then team doctor"),
        ('[team]\nagent = "codex"\n[agents.codex]\n', "npm install -g @openai/codex, then team doctor"),
        ('[agents.shell]\ncommand = ["no-such-agent"]\n', "correct [agents.shell] in team.toml, then team doctor"),
        ('[agents.shell]\ncommand = ["./agent.sh"]\n', "git add ./agent.sh && git commit"),
        (
            '[agents.shell]\nkind = "chat"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n',
            "start its server, or correct base_url of [agents.shell], then team doctor",
        ),
        (
            '[agents.shell]\ncommand = ["true"]\nenv = ["NOT_SET_HERE"]\n',
            "set NOT_SET_HERE; then team try shell",
        ),
    ],
)  # fmt: skip
def test_the_next_step_mends_the_fault(home, settings, next):
    """Below a fault, a trial would only fail in the same way."""
    (home.parent / "agent.sh").write_text("#!/bin/sh\n")
    (home.parent / "agent.sh").chmod(0o755)
    assert seen(home, settings.replace("{inside}", str(home.parent / "inside"))).next == next


def test_personas_that_are_not_read_and_none_at_all_come_next(home):
    (home / "personas" / "odd.md").write_text("---\nid: [\n---\n")
    assert examine(home).next.startswith("correct that file, or start its name with _; then team personas")
    for file in (home / "personas").iterdir():
        file.unlink()
    assert examine(home).next == "team init --personas forge,scribe,artisan"


def test_no_repository_no_git_and_no_agent_come_next(home, tmp_path, monkeypatch):
    assert examine(None).next == "install an agent, or name a command in team.toml"
    (home.parent / ".git").rename(tmp_path / "elsewhere")
    assert examine(home).next.startswith("make it a repository with a commit: git init")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examine(home).next == "install git 2.38 or later, then team doctor"
    assert {check.finding for check in examine(home).checks if check.mend} >= {doctor.Finding.TROUBLE}
