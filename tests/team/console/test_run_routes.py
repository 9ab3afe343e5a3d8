"""Runs over HTTP: the list with its filters and pages, a trace and a patch."""

from __future__ import annotations

from shutil import rmtree

import pytest
from team_mail.mail.log.event import Draft
from team_mail.team.api import sprints
from team_mail.team.open import open_team

from ...conftest import replaced


def began(number, persona="ann", **data):
    """The start of a run of sprint 1."""
    run = f"{number:08x}-0000-7000-8000-000000000000"
    given = {"persona": persona, "attempt": 1, "tick": 1, "sprint": 1, "base": "b", "agent": "shell", "reason": "batch"}
    return Draft("run.started", "scheduler", run=run, data=given | {"mail": [], "supervisor": {}} | data)


def ended(number, status="ok"):
    """The end of a run."""
    run = f"{number:08x}-0000-7000-8000-000000000000"
    return Draft("run.finished", "scheduler", run=run, data={"status": status, "seconds": 1.0, "detail": ""})


@pytest.fixture
def played(team, ask):
    """A team with three runs: one that failed, one of bob that is open, one of a dispatch that was lost."""
    lost = Draft(
        "run.lost", "scheduler", run="00000003-0000-7000-8000-000000000000",
        data={"why": "gone", "dispatch": "d-1", "task": "t"},
    )  # fmt: skip
    start = {"dispatch": "d-1", "tasks": [], "config": {}, "agent": None, "base": "", "branch": "", "supervisor": {}}
    open_team(team.home, {}).append([
        began(1), ended(1, "failed"), began(2, "bob"), Draft("dispatch.started", "scheduler", data=start),
        began(3, dispatch="d-1", task="t", sprint=0), lost,
    ])  # fmt: skip
    return ask


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ({}, ["lost", "open", "failed"]),
        ({"persona": "bob"}, ["open"]),
        ({"status": "failed"}, ["failed"]),
        ({"status": "open"}, ["open"]),
        ({"sprint": "1"}, ["open", "failed"]),
        ({"dispatch": "d-1"}, ["lost"]),
    ],
    ids=str,
)
def test_runs_are_filtered(played, query, statuses):
    """By persona, status, sprint and dispatch, the newest first."""
    assert [run["status"] for run in played.get("/api/runs", **query).json] == statuses


def test_runs_are_paged(played):
    """The header Link leads on, until there are no more."""
    first = played.get("/api/runs", limit=2)
    second = played.get(first.following)
    assert [len(first.json), len(second.json), second.following] == [2, 1, ""]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/runs?status=done", 422), ("/api/runs?dispatch=none", 404), ("/api/runs/..%2f", 404),
        ("/api/runs/00000002/patch", 404), ("/api/runs/0000", 404), ("/api/runs/000000020", 404),
    ],
)  # fmt: skip
def test_no_such_run_is_said(played, path, status):
    """One that is not there, one that left no patch, and a name that fits several."""
    assert played.get(path).status == status
    assert played.get(path).error


def test_a_run_shows_its_trace_and_its_patch(team, ask):
    """What landed is the patch, as text that a browser does not run."""
    team.roster("ann")
    team.sprint({"ann": replaced(3, "<script>")})
    run = ask.get("/api/runs").json[-1]
    assert ask.get(f"/api/runs/{run['run'][:8]}").json["persona"] == run["persona"]
    by_ann = next(each for each in ask.get("/api/runs", persona="ann").json if each["patch"])
    assert by_ann["patch"]["status"] == "landed"
    patch = ask.get(f"/api/runs/{by_ann['run']}/patch")
    assert b"\n+<script>\n" in patch.body
    assert patch.headers["content-type"].startswith("text/x-diff")
    assert ask.post(f"/api/runs/{by_ann['run']}/stop").status == 404


def test_the_output_of_a_run_outlives_its_folder(team, ask):
    """`team clean` removes the folder: what the log has of it is shown, and of a lost run that it is gone."""
    lost = "00000001-0000-7000-8000-000000000000"
    (team.home / "team.toml").write_text("[agents.shell]\ncommand = ['sh', '-c', 'echo grüße; echo > $TEAM_PERSONA']\n")
    team.roster("ann")
    sprints.run_sprint(open_team(team.home, {}))
    open_team(team.home, {}).append([began(1), Draft("run.lost", "scheduler", run=lost, data={"why": "gone"})])
    run = next(each["run"] for each in ask.get("/api/runs").json if each["status"] == "ok")
    path, events = f"/api/runs/{run}/output", {"accept": "text/event-stream"}
    before = ask(path, "GET", headers=events).body
    rmtree(team.home / "runs" / run)

    assert ask.get(path).body.decode() == "grüße\n"
    assert ask(path, "GET", headers=events).body == before
    assert ask(path, "GET", headers=events | {"last-event-id": "8"}).body.startswith(b"id: 8\nevent: complete")
    gone = ask.get(f"/api/runs/{lost}/output")
    assert (gone.status, "was removed" in gone.error) == (404, True)
