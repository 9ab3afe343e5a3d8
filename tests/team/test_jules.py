"""`team jules`: sessions of Jules by hand, against the shipped fake."""

from __future__ import annotations

import json

import pytest
from team_mail.mail.errors import UsageError
from team_mail.personas.jules.fake import FakeJules, Play
from team_mail.personas.jules.record import Record, Records
from team_mail.scheduler.errors import NotReady, SettingsError
from team_mail.team.api import agents, sprints
from team_mail.team.api.outside import jules as api
from team_mail.team.commands.common.paid import first_on_paid
from team_mail.team.commands.team import app
from team_mail.team.open import open_team
from team_mail.team.show import agents as show
from typer.testing import CliRunner

KEY = "AIza-of-nobody"
TABLE = """\
[agents.jules]
kind = "jules"
source = "acme/shop"
plan = "human"
pull_request = true
env_file = "jules.env"
"""


@pytest.fixture
def jules(team):
    """A fake, and a team with an agent that speaks to it; its key is in a file."""
    (team.folder / "jules.env").write_text(f"JULES_API_KEY={KEY}\n")
    with FakeJules(Play("--- a/x\n+++ b/x\n", "c0ffee", says="Do\x1bne."), key=KEY) as fake:
        team.settings = f'{TABLE}url = "{fake.url}"\n'
        yield fake


def test_the_commands_do_what_the_functions_do(team, jules, monkeypatch):
    """Create, look, say, approve; each as JSON as well, and without the key."""
    context = team.context({}, team.settings)
    monkeypatch.chdir(team.folder)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA"):
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        ended = CliRunner().invoke(app, ["jules", *words, "--json"])
        assert ended.exit_code == 0, ended.output
        assert KEY not in ended.output
        return json.loads(ended.stdout)

    made = run("create", "Mend the log-in")
    name = made["session"]
    body = jules.sessions[name]
    assert (body["title"], body["automationMode"], body["requirePlanApproval"]) == (
        "Mend the log-in", "AUTO_CREATE_PR", True,
    )  # fmt: skip
    Records(team.home).write(Record("ann", "sprints", "run1", "mark", "ann", "2026-01-01T00:00:00Z", name))
    assert [(each["session"], each["persona"], each["run"]) for each in run("status")] == [(name, "ann", "run1")]
    assert run("send", name, "Keep it small") == {"session": name, "sent": True}
    assert jules.said(name) == ["Keep it small"]
    assert run("approve", name) == {"session": name, "approved": True}
    while (looked := api.look(context, name)).shown.session.state != "COMPLETED":
        continue
    document = run("status", made["url"])
    assert document == looked.document()
    assert document["change_set"] == {"base": "c0ffee", "message": "Do what was asked", "patch": "--- a/x\n+++ b/x\n"}
    assert [each["text"] for each in document["activities"] if each["kind"] == "agentMessaged"] == [r"Do\x1bne."]


def test_a_team_of_jules_is_told_what_comes_next(team, jules):
    """There is nothing to try elsewhere, and nothing to install; the first sprint may cost."""
    team.context({}, f'[team]\nagent = "jules"\n{team.settings}')
    context = open_team(team.home, {})
    question = first_on_paid(context, sprints.preview_sprint(context).plan)
    assert question == "sprint 1 starts 3 runs of jules, and up to 3 runs of each persona in all; it may cost money"
    seen = agents.doctor(team.home)
    assert ("[agents.jules]", "it can be started") in [(each.what, each.text) for each in seen.checks]
    assert [*show.diagnosis(seen)][-1] == "next: scheduler --dry-run   shows what a sprint would do"


def test_what_cannot_be_done_says_what_to_do(team, jules, monkeypatch):
    """No agent of the kind, no key, a name that is none; and a run of the team creates nothing."""
    with pytest.raises(NotReady, match=r'no agent of kind "jules" in team.toml; add \[agents.jules\]'):
        api.desk(team.context({}))
    context = team.context({}, team.settings)
    with pytest.raises(NotReady, match=r"no agent julse of kind jules in .*; did you mean jules"):
        api.desk(context, "julse")
    (team.folder / "jules.env").write_text("")
    monkeypatch.delenv("JULES_API_KEY", raising=False)
    with pytest.raises(UsageError, match="no API key of Jules: set JULES_API_KEY"):
        api.look(context, "1")
    assert open_team(team.home, {}).agents["jules"].trouble().startswith("agent jules: JULES_API_KEY is not set")
    with pytest.raises(UsageError, match="nothing to try here; `team jules status` shows whether its key works"):
        agents.candidates(team.home, "jules")
    monkeypatch.setenv("TEAM_RUN", "ed8b5a3e-0000-8000-8000-000000000000")
    for act in (api.create, api.send, api.approve):
        with pytest.raises(UsageError, match=f"`team jules {act.__name__}` can only be used by a person"):
            act(context, "1", "x")
    assert jules.requests == []


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('kind = "jules"', 'says no source, which kind "jules" needs: write source = "sources/github/OWNER/REPO"'),
        ('kind = "jules"\nsource = "shop"', "must be a repository as Jules names it"),
        ('kind = "jules"\nsource = "a/b"\ncommand = ["x"]', 'says command, which kind "jules" has no use for'),
        ('command = ["x"]\npoll = "1s"', 'says poll, which is for kind "jules"; leave it out'),
        ('kind = "jules"\nsource = "a/b"\nurl = "http://example.org/v1alpha"', "must begin with https://"),
    ],
)
def test_a_table_that_is_wrong_is_told(team, table, problem):
    """Before anything starts, with what to write."""
    (team.home / "team.toml").write_text(f"[agents.jules]\n{table}\n")
    with pytest.raises(SettingsError) as told:
        open_team(team.home, {})
    assert problem in str(told.value)
