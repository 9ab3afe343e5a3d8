"""What the faces ask for: where a team stands, its sprints, and one of them in figures, all as values."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from team_mail.mail.letter import Letter
from team_mail.personas.agent import Outcome
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.leader import Leader
from team_mail.scheduler.moments.history import history, report
from team_mail.scheduler.sprint.control import approve_patch, pause
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.status import status

from ...conftest import run_batch

ASKED = StartRequest("asked for")


def test_a_new_team_has_no_leader_no_sprint_and_no_history(team):
    """Before the first sprint everything is empty, and nothing fails."""
    context = team.context()

    current = status(context, context.clock.now())

    assert (current.leader, current.paused, current.sprint, current.runs) == (None, None, None, ())
    assert current.document()["sprint"] is None
    assert history(context, context.clock.now()).document() == []
    with pytest.raises(NoSuchRun, match="no sprint yet"):
        report(context, None, context.clock.now())


def test_the_status_shows_runs_held_patches_and_unread_mail_of_the_last_sprint(team):
    """After a sprint each persona has its newest run, and what waits for people or personas is listed."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    team.sprint({"ann": ann, "bob": team.replaced(3, "bob")})
    context = team.context()
    context.mailbox.send(Letter("you", ["cyd"], "Please", "Look."))
    pause(context, "you")

    with Leader(team.home / "work"):
        current = status(context, context.clock.now())

    assert current.leader == os.getpid()
    assert "paused by you" in str(current.paused)
    assert sorted((pulse.run.persona, pulse.run.status) for pulse in current.runs) == [
        ("ann", "ok"), ("bob", "ok"), ("cyd", "ok"),
    ]  # fmt: skip
    document = current.document()
    assert document["leader"] == {"pid": os.getpid()}
    assert document["sprint"]["outcome"] == "converged"
    assert [(held["persona"], held["files"]) for held in document["held"]] == [("ann", [".gitattributes"])]
    assert document["unread"] == {"cyd": 1}


def test_the_pulse_of_an_open_run_tells_its_age_and_a_heartbeat_that_is_late(team):
    """A run without a heartbeat file is being set up; one whose heartbeat stopped is named."""
    started, end = threading.Event(), threading.Event()

    def ann(job):
        started.set()
        assert end.wait(20)
        return Outcome("ok", 0, 0.1, "")

    ticker = team.ticker({"ann": ann})
    with ThreadPoolExecutor(1) as pool:
        ticking = pool.submit(run_batch, ticker)
        try:
            assert started.wait(20)
            context = team.context()
            now = context.clock.now() + timedelta(seconds=60)
            (before,) = [pulse for pulse in status(context, now).runs if pulse.run.persona == "ann"]
            heartbeat = team.home / "runs" / before.run.id / "heartbeat"
            heartbeat.parent.mkdir(parents=True, exist_ok=True)
            heartbeat.touch()
            (after,) = [pulse for pulse in status(context, now).runs if pulse.run.persona == "ann"]
        finally:
            end.set()
        ticking.result()
    assert before.since.endswith("being set up")
    assert "no heartbeat for" in after.since


def test_the_history_has_every_sprint_and_a_report_has_one_of_them(team):
    """Sprints are summed up oldest first; a report is of the last sprint unless a number is given."""
    for number in (1, 2):
        team.sprint({"ann": team.replaced(number, "ann")})
    context = team.context()
    now = context.clock.now()

    past = history(context, now)

    assert [(each.sprint, each.outcome, each.patches) for each in past.sprints] == [
        (1, "converged", 1), (2, "converged", 1),
    ]  # fmt: skip
    assert [each["outcome"] for each in past.document()] == ["converged", "converged"]
    assert all(each.started < now.isoformat() for each in past.sprints)
    assert (report(context, None, now).sprint, report(context, 1, now).sprint) == (2, 1)
    with pytest.raises(NoSuchRun, match="no sprint 3; the last is 2, scheduler history lists them"):
        report(context, 3, now)


def test_a_report_covers_a_patch_that_was_held_in_an_earlier_sprint(team):
    """Approved in between, it lands in sprint 2 without a run of its own there; its attempt is that of its run."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    team.sprint({"ann": ann})
    approve_patch(team.context(), "ann", "you")
    team.sprint({"bob": team.replaced(3, "bob")})
    context = team.context()

    figures = report(context, 2, context.clock.now())

    assert sorted((node.persona, node.attempt, node.status) for node in figures.nodes) == [
        ("ann", 1, "landed"), ("bob", 1, "landed"),
    ]  # fmt: skip
    assert figures.document()["patches"] == {"landed": 2}
