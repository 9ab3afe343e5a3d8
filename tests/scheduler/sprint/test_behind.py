"""A log that was put back to an older state, while git has what landed since: nothing lands twice."""

from __future__ import annotations

import shutil

import pytest
from team_mail.mail.archive.witness import known_to_git, lost
from team_mail.scheduler.errors import LogBehind
from team_mail.scheduler.kinds import NeedKind
from team_mail.scheduler.overview.overview import overview
from team_mail.team.dispatcher import ParallelDispatcher

from ...conftest import run_batch


def grown(name):
    """Return a script that adds a line to a file of its own, which does it twice if its patch lands twice."""

    def play(job):
        with (job.workspace / f"{name}.txt").open("a") as file:
            file.write(f"{name}\n")

    return play


SCRIPTS = {"ann": grown("ann"), "bob": grown("bob")}


def nothing(team):
    pass


def landed_and_deleted(team):
    team.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    team.git("branch", "--delete", "--force", "team/sprint-1")


def in_a_work_tree(team):
    team.git("worktree", "add", "--quiet", "../look", "team/sprint-1")


@pytest.mark.parametrize("disturb", [nothing, landed_and_deleted, in_a_work_tree])
def test_a_log_put_back_stops_the_leader_and_what_is_accepted_lands_once(team, disturb):
    """Git has the patches on a branch, and the log has them waiting."""
    ticker = team.ticker(SCRIPTS)
    run_batch(ticker)
    mail, before = team.home / "mail", team.home.parent.with_name("before")
    shutil.copytree(mail, before)
    assert run_batch(ticker).plan.finish == "converged"
    disturb(team)
    shutil.rmtree(mail)
    before.replace(mail)
    kinds = team.kinds()
    (need, *_) = overview(team.context(), team.context().clock.now()).needs
    assert (need.kind, need.command, need.urgent) == (NeedKind.LOG, "team-mail verify", True)
    assert "on a branch, and the log ends before it landed" in need.text
    with pytest.raises(LogBehind, match="on a branch, and the log ends before it landed"):
        team.sprint(SCRIPTS)
    with pytest.raises(LogBehind, match="repair --accept-loss"):
        ParallelDispatcher(home=team.home, agent="scripted").dispatch([{"task_id": "a", "agent": "ann"}])
    assert team.kinds() == kinds
    log = team.context().mailbox.log
    log.repair([each.event[:2] for each in lost(log, known_to_git(team.home))])
    assert not [need for need in overview(team.context(), team.context().clock.now()).needs if need.kind == "log"]
    assert team.sprint(SCRIPTS).outcome == "converged"
    runs = team.git("log", "--all", "--format=%(trailers:key=Team-Mail-Run,valueonly)").split()
    assert len(runs) == len({*runs}) == 2
    assert [team.text("team/sprint-1", f"{name}.txt") for name in SCRIPTS] == [["ann"], ["bob"]]


def test_what_anybodys_branch_says_stops_no_leader(team, tmp_path):
    """A commit that claims to be the weaver's may come with any pull request that was fetched."""
    tree, main = team.git("rev-parse", "main^{tree}", "main").split()
    signed = "weaver <weaver@team-mail> 1700000000 +0000"
    head = [f"tree {tree}", f"parent {main}", f"author {signed}", f"committer {signed}"]
    (tmp_path / "commit").write_text("\n".join([*head, "", "x", "", f"Team-Mail-Head: 999999:{'0' * 32}", ""]))
    team.git("branch", "pull-7", team.git("hash-object", "-t", "commit", "-w", str(tmp_path / "commit")))
    assert team.sprint({"ann": grown("ann")}).outcome == "converged"
    team.git("merge", "--quiet", "--ff-only", "pull-7")
    with pytest.raises(LogBehind, match="git knows event 999999"):
        team.sprint({"ann": grown("ann")})
