"""A gate that lacked something outside of the repository judges a sprint again, and what it held up lands."""

from __future__ import annotations

import json

import pytest
from team_mail.mail.errors import UsageError
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.kinds import NeedKind
from team_mail.scheduler.overview.overview import overview
from team_mail.team.api import control
from team_mail.team.commands import scheduler as scheduler_command
from typer.testing import CliRunner


def needs(context):
    return [need.kind for need in overview(context, context.clock.now()).needs if need.kind == NeedKind.GATE]


@pytest.fixture
def red(team, tmp_path):
    """A team whose sprint landed something that its gate could not judge, and the file that the gate lacks."""
    flag = tmp_path / "service"
    settings = f'[gates.tests]\ncommand = ["test", "-e", "{flag}"]\n'
    settings = "[team]\nauto_land = true\n" + settings
    assert team.sprint({"ann": team.replaced(3, "by ann")}, settings).outcome == "unjudged"
    return team.context({}, settings), flag


def test_a_sprint_that_was_not_judged_lands_once_its_gates_pass_again(team, red):
    """Base and result are judged on the same trees, each on record; before that, nothing moves."""
    context, flag = red
    base, tip = team.git("rev-parse", "main", "team/sprint-1").split()
    assert needs(context) == [NeedKind.GATE]
    assert [(each.commit, each.status) for each in control.gates(context).found.gates] == [
        (base, "failed"), (tip, "failed"),
    ]  # fmt: skip
    again = control.gates(context, again=True)
    assert (again.are_green, team.git("rev-parse", "main")) == (False, base)
    assert again.found.landing[0].startswith("auto_land did not move the base branch: gate tests has not passed")

    flag.touch()
    again = control.gates(context, 1, again=True)
    assert again.are_green
    assert again.found.landing == (f"auto_land moved main to {tip[:12]}.",)
    assert team.git("rev-parse", "main") == tip
    assert needs(context) == []
    judged = [each.data for each in context.mailbox.log.read() if each.kind == "gate.judged"]
    assert [(each["commit"], each["passed"]) for each in judged[-2:]] == [(base, True), (tip, True)]

    count = len(judged)
    assert control.gates(context, again=True).are_green
    assert sum(each.kind == "gate.judged" for each in context.mailbox.log.read()) == count


def test_the_command_says_what_the_gates_say_and_is_for_people(team, red, monkeypatch):
    """Exit code 4 as long as one has not passed on the result."""
    context, flag = red
    monkeypatch.chdir(team.folder)
    runner = CliRunner()
    shown = runner.invoke(scheduler_command.app, ["gates", "--json"])
    assert (shown.exit_code, [each["status"] for each in json.loads(shown.stdout)["gates"]]) == (
        0,
        ["failed", "failed"],
    )
    assert runner.invoke(scheduler_command.app, ["gates", "1", "--again"]).exit_code == 4
    flag.touch()
    done = runner.invoke(scheduler_command.app, ["gates", "--again"])
    assert done.exit_code == 0
    assert "auto_land moved main" in done.stdout
    with pytest.raises(NoSuchRun):
        control.gates(context, 7)
    monkeypatch.setenv("TEAM_RUN", "run-1")
    with pytest.raises(UsageError, match="can only be used by a person"):
        control.gates(context, again=True)
