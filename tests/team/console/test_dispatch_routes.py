"""Dispatches over HTTP: checked as a whole, started as processes of their own, and gone on with."""

from __future__ import annotations

import os
import re

import psutil
import pytest
from team_mail.mail.log.event import Draft
from team_mail.mail.process import myself
from team_mail.team.open import open_team

INPUT = {"contract_description": "c", "node_type": "Effect", "output_path": "o.py"}
TASK = {"task_id": "a", "agent": "coder", "description": "x", "input_data": INPUT}


def test_a_dispatch_goes_on_without_the_console(team, ask):
    """The answer names it, and it is done by a process with a session of its own."""
    made = ask.post("/api/dispatches", {"tasks": [TASK], "agent": "scripted", "config": {"timeout_seconds": 60}})
    assert made.status == 202, made.body
    assert os.getsid(made.json["pid"]) == made.json["pid"]
    assert made.headers["location"] == f"/api/dispatches/{made.json['dispatch']}"
    psutil.Process(made.json["pid"]).wait(60)
    assert [each["status"] for each in ask.get(made.headers["location"]).json["tasks"]] == ["success"]
    assert [each["result"] for each in ask.get("/api/dispatches").json] == ["success"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 422, "tasks"),
        ({"tasks": []}, 422, "tasks"),
        ({"tasks": [TASK], "template": "build"}, 422, "tasks"),
        ({"tasks": [TASK, TASK]}, 422, "a"),
        ({"tasks": [TASK | {"agent": "nobody"}]}, 422, "nobody"),
        ({"tasks": [TASK | {"dependencies": ["b"]}]}, 422, "b"),
        ({"tasks": [TASK], "agent": "none"}, 409, "none"),
        ({"tasks": [TASK], "session": "none"}, 404, "none"),
        ({"template": "no-such"}, 422, "no-such"),
        ({"tasks": [TASK], "values": {"a": "b"}}, 422, "values"),
        ({"tasks": [TASK], "trace": 1}, 422, "trace"),
        ({"tasks": [TASK], "config": {"max_workers": "5"}}, 422, "max_workers"),
    ],
    ids=str,
)
def test_a_dispatch_that_cannot_be_carried_out_is_not_started(team, ask, body, status, word):
    """What is wrong is said, for a dry run as well, and nothing is on record."""
    for path in ("/api/dispatches", "/api/dispatches/preview"):
        if "session" in body and path.endswith("preview"):
            continue
        answer = ask.post(path, body)
        assert (answer.status, word in answer.error) == (status, True), answer.body
    assert team.kinds("dispatch", "run") == []


def test_a_dry_run_says_who_would_do_what(team, ask):
    """Nothing is written."""
    shown = ask.post("/api/dispatches/preview", {"tasks": [TASK], "agent": "scripted"})
    assert shown.status == 200
    assert [(task["agent"], task["played_by"]) for task in shown.json["tasks"]] == [("coder", "scripted")]
    assert team.kinds("dispatch") == []


def test_what_is_under_way_is_not_gone_on_with(team, ask):
    """Nor is what there is not."""
    start = {"dispatch": "d-1", "tasks": [TASK], "config": {}, "agent": None, "base": "", "branch": ""}
    open_team(team.home, {}).append([Draft("dispatch.started", "scheduler", data=start | {"supervisor": myself()})])
    answer = ask.post("/api/dispatches/d-1/resume")
    assert (answer.status, "under way" in answer.error) == (409, True)
    assert ask.post("/api/dispatches/none/resume").status == 404


def test_what_was_cut_off_goes_on(team, ask):
    """Its tasks are done by a process of its own."""
    gone = myself() | {"pid": 1, "start": "0"}
    base = team.git("rev-parse", "main")
    start = {"dispatch": "d-1", "tasks": [TASK], "config": {}, "agent": "scripted", "base": base, "branch": "team/d-1"}
    open_team(team.home, {}).append([Draft("dispatch.started", "scheduler", data=start | {"supervisor": gone})])
    made = ask.post("/api/dispatches/d-1/resume")
    assert (made.status, made.json.get("dispatch")) == (202, "d-1"), made.body
    psutil.Process(made.json["pid"]).wait(60)
    assert ask.get("/api/dispatches").json[0]["result"] == "success"


def test_dispatches_are_paged(team, ask):
    """The newest is last; Link leads to those before."""
    start = {"tasks": [TASK], "config": {}, "agent": None, "base": "", "branch": "", "supervisor": {}}
    names = [f"d-{number}" for number in range(3)]
    open_team(team.home, {}).append(
        [Draft("dispatch.started", "scheduler", data=start | {"dispatch": name}) for name in names]
    )
    page = ask.get("/api/dispatches", limit=2)
    assert [each["dispatch"] for each in page.json] == names[1:]
    assert [each["dispatch"] for each in ask.get(page.following).json] == names[:1]
    assert ask.get("/api/dispatches?before=none").status == 404
    shown = ask.get("/tasks", limit=2).body.decode()
    assert [name for name in names if f'href="/dispatches/{name}"' in shown] == names[1:]
    assert 'href="/dispatches/d-0"' in ask.get(f"/tasks?{re.search('before=d-1', shown)[0]}").body.decode()


def test_a_name_with_slashes_is_reached(team, ask):
    """A program may name its dispatch so; each link of the pages leads to them."""
    start = {"dispatch": "night/build 100%", "config": {}, "agent": None, "base": "", "branch": "", "supervisor": {}}
    tasks = [{"task_id": "a-b", "agent": "ann", "description": "x"}]
    open_team(team.home, {}).append([Draft("dispatch.started", "scheduler", data=start | {"tasks": tasks})])
    html = ask.get("/tasks").body.decode()

    assert 'href="/dispatches/night%2Fbuild%20100%25"' in html
    shown = ask.get("/dispatches/night%2Fbuild%20100%25")
    assert (shown.status, "a-b" in shown.body.decode()) == (200, True)
    assert 'hx-get="/dispatches/night%2Fbuild%20100%25"' in shown.body.decode()
    assert ask.get("/api/dispatches/night%2fbuild%20100%25").json["correlation_id"] == "night/build 100%"
    assert ask.get("/api/dispatches/night%2Fbuild%20100%25/tasks/a-b").json["task_id"] == "a-b"
    assert ask.get("/api/dispatches/night/build").status == 404
