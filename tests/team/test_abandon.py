"""A sprint that cannot go on: status says why and with which command it ends, and its work is kept."""

from __future__ import annotations

import json

import pytest
from team_mail.personas.errors import GitError
from team_mail.scheduler.errors import BranchMoved, NoSuchRun, NotLeader
from team_mail.scheduler.kinds import NeedKind
from team_mail.scheduler.leader import Leader
from team_mail.team.api import control, records
from team_mail.team.commands import scheduler as scheduler_command
from typer.testing import CliRunner

from ..conftest import run_batch


def needs(team) -> list[tuple[str, str]]:
    found = records.status(team.context()).document()["needs"]
    return [(need["text"], need["command"]) for need in found if need["kind"] == NeedKind.SPRINT]


def half_done(team):
    """A sprint in which two patches wait for the weaver."""
    ticker = team.ticker({"ann": team.replaced(3, "ann"), "bob": team.replaced(13, "bob")})
    run_batch(ticker)
    return ticker


def test_a_sprint_that_git_holds_up_needs_a_person_until_it_goes_on(team):
    """Its commits are kept though the branch could not be moved."""
    ticker = half_done(team)
    lock = team.folder / ".git/refs/heads/team/sprint-1.lock"
    lock.touch()
    with pytest.raises(GitError) as failed:
        run_batch(ticker)
    assert "scheduler abandon 1 ends the sprint" in failed.value.__notes__[0]
    ((text, command),) = needs(team)
    assert "sprint-1.lock" in text
    assert command == "scheduler abandon 1"
    lock.unlink()
    team.git("gc", "--quiet", "--prune=now")
    assert run_batch(ticker).plan.finish == "converged"
    assert needs(team) == []
    assert (team.text("team/sprint-1")[3], team.text("team/sprint-1")[13]) == ("ann", "bob")


def test_a_sprint_with_nothing_left_to_stand_on_is_abandoned_and_its_patches_are_kept(team, monkeypatch):
    """Only a person does it, while no scheduler leads; the next sprint starts as any other."""
    ticker = half_done(team)
    context = ticker.context
    with pytest.raises(NoSuchRun, match="sprint 2 is not open; sprint 1 is"):
        control.abandon(context, 2, "you")
    with Leader(team.home / "work"), pytest.raises(NotLeader):
        control.abandon(context, 1, "you")
    team.git("checkout", "--quiet", "--orphan", "trunk")
    team.git("commit", "--quiet", "-m", "Another history")
    team.git("branch", "--quiet", "-D", "main", "team/sprint-1")
    for ref in team.git("for-each-ref", "--format=%(refname)", "refs/team").split():
        team.git("update-ref", "-d", ref)
    team.git("reflog", "expire", "--expire=now", "--all")
    team.git("gc", "--quiet", "--prune=now")
    with pytest.raises(BranchMoved, match="scheduler abandon 1 ends the sprint"):
        run_batch(ticker)
    assert [command for _, command in needs(team)] == ["scheduler abandon 1"]
    monkeypatch.chdir(team.folder)
    ended = CliRunner().invoke(scheduler_command.app, ["abandon", "1", "--why", "main is gone", "--json"])
    assert ended.exit_code == 0, ended.output
    done = json.loads(ended.stdout)
    assert (done["kept"], sorted(patch["persona"] for patch in done["patches"])) == (None, ["ann", "bob"])
    assert needs(team) == []
    assert records.history(context).document()[0]["outcome"] == "abandoned"
    assert team.kinds("sprint") == ["sprint.started", "sprint.stuck", "sprint.abandoned", "sprint.finished"]
    result = team.sprint({"ann": team.replaced(5, "ann")}, '[team]\nbase = "trunk"\n')
    assert (result.sprint, result.outcome) == (2, "converged")
    assert [team.text("team/sprint-2")[line] for line in (3, 13, 5)] == ["ann", "bob", "ann"]
