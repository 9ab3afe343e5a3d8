"""A console over a team of scripted personas."""

from __future__ import annotations

import json
import os

import pytest
from team_mail.team import session
from team_mail.team.console.common.console import Console

from ...console import run_command
from .asking import Asker


@pytest.fixture
def ask(team, monkeypatch):
    """Asks the console of the team of ann, bob and cyd, as its human."""
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(team.folder)
    team.context()
    return Asker(Console(session.reading_context, reopen_team=session.context))


@pytest.fixture(scope="session")
def printed_in():
    """Returns the document that a command prints with `--json` in a folder."""

    def run(folder, *words):
        env = {name: value for name, value in os.environ.items() if not name.startswith("TEAM_")}
        env["TEAM_PERSONA"] = "you"
        form = () if "export" in words else ("--json",)
        ended = run_command(words[0], *words[1:], *form, cwd=folder, env=env)
        assert ended.stdout, ended.stderr
        return json.loads(ended.stdout)

    return run
