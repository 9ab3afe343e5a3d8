"""Pages of sprints, schedules and SQL: each carries the values that its route answers."""

from __future__ import annotations

from html import unescape
from urllib.parse import parse_qsl

import pytest
from team_mail.mail.log.event import Draft
from team_mail.mail.process import myself
from team_mail.team.open import open_team


@pytest.fixture
def sprinted(team, ask):
    """Asks the console of a team whose sprint met a conflict."""
    replaced = team.replaced
    team.sprint({"ann": replaced(3, "by ann"), "bob": replaced(3, "by bob"), "cyd": replaced(20, "by cyd")})
    return ask


def asked(ask, address):
    """Ask for an address with its query."""
    path, _, query = address.partition("?")
    return ask.get(path, **dict(parse_qsl(query)))


def told_of_sprint(doc):
    """What the page of a sprint promises to show."""
    yield from (doc["phase"], doc["sprint"]["branch"], doc["moments"][doc["place"] - 1]["text"])
    yield from (f"{bar['persona']} ({bar['reason']}): {bar['outcome']}" for bar in doc["report"]["bars"]
                if bar["attempt"] == 1)  # fmt: skip
    for weave in doc["weaves"]:
        yield from (patch["why"] for patch in weave["patches"])
    yield from (commit["subject"] for commit in doc["commits"])
    yield from (mail["subject"] for box in doc["inboxes"] for mail in box["mail"])
    yield from (f"{each['persona']}</a></dt><dd>{each['for']}" for each in doc["waiting"])
    yield from (each["text"] for each in doc["moments"])


PAGES = {
    "/sprints": ("/api/views/sprints", lambda doc: (each["outcome"] for each in doc["sprints"])),
    "/sprint/1": ("/api/views/sprints/1", told_of_sprint),
    "/sprint/last": ("/api/views/sprints/last", told_of_sprint),
    "/sprint/1?at=12": ("/api/views/sprints/1?at=12", told_of_sprint),
    "/sprints/new?mode=sequential": (
        "/api/views/start?mode=sequential",
        lambda doc: (*(each["why"] for each in doc["preview"]["launches"]), doc["preview"]["branch"]),
    ),
    "/sql?sql=SELECT+$who+AS+answer&p.who=ann": (
        "/api/views/sql?sql=SELECT+$who+AS+answer&p.who=ann",
        lambda doc: (*doc["result"]["columns"], *(row["answer"] for row in doc["result"]["rows"])),
    ),
    "/money": (
        "/api/views/money",
        lambda doc: (
            f"in {doc['today']['runs']} runs",
            *(each["persona"] for each in doc["personas"]),
            "/sprint/1",
            f"Nobody ran on the {len(doc['days'])} days before.".replace("7", "seven"),
        ),
    ),
    "/sql?sql=SELECT+nothing": ("/api/views/sql?sql=SELECT+nothing", lambda doc: (doc["error"],)),
}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_carries_the_values_of_its_route(sprinted, path):
    """Whatever the JSON says that the page is to show stands in it."""
    route, promised = PAGES[path]
    doc, answer = asked(sprinted, route).json, asked(sprinted, path)

    html = " ".join(unescape(answer.body.decode()).split())
    shown = [" ".join(str(each).split()) for each in promised(doc)]
    assert answer.status == 200
    assert shown
    assert [each for each in shown if each not in html] == []


def test_a_run_whose_patch_conflicted_says_where(sprinted):
    """In words, as `team trace` and the list of runs do."""
    run = next(each for each in sprinted.get("/api/runs").json if each["patch"]["status"] == "conflicted")

    assert run["patch"]["why"] == "conflicts with what had landed before: poem.txt"
    assert sprinted.get(f"/api/runs/{run['run']}").json["patch"]["why"] == run["patch"]["why"]
    assert run["patch"]["why"] in sprinted.get(f"/runs/{run['run']}").body.decode()


def test_the_last_moment_is_what_report_says(sprinted):
    """The figures of the page are those of `scheduler report`."""
    assert sprinted.get("/api/views/sprints/1").json["report"] == sprinted.get("/api/sprints/1").json


def test_a_schedule_is_listed_with_its_buttons(team, ask):
    """Run now, and pause; what never ran says so."""
    team.context({}, '[schedules.daily]\nask = "What changed?"\nevery = "1d"\n')

    html = ask.get("/schedules").body.decode()

    assert "daily" in html
    assert "never" in html
    assert 'data-send="/api/schedules/daily/run"' in html
    assert 'data-send="/api/schedules/daily/pause"' in html


def test_tasks_are_listed_with_their_owners(ask):
    """A task that is claimed has an owner and a time; nothing else is made up."""
    ask.post("/api/tasks", {"task": "paint", "priority": "high"})
    ask.post("/api/claims", {"task": "paint"})

    doc, html = ask.get("/api/views/tasks").json, ask.get("/tasks").body.decode()

    (task,) = doc["tasks"]
    assert (task["task"], task["state"], task["owner"]) == ("paint", "claimed", "you")
    assert all(each in html for each in ("paint", "claimed", "you", task["lease_until"]))
    assert doc["dispatches"] == doc["stale"] == []


INPUT = {"contract_description": "c", "node_type": "Effect", "output_path": "o.py"}


def given(name, *after):
    """A task for a coder, after others."""
    return {"task_id": name, "agent": "coder", "input_data": INPUT, "dependencies": [*after]}


def dispatched(home, *, led):
    """Put a dispatch on record of which one task has failed, one is at work, and two wait for them."""
    tasks = [given("red"), given("blue"), given("green", "red"), given("white", "blue")]
    about = {"dispatch": "d-1", "persona": "coder", "agent": "scripted", "attempt": 1}
    leader = myself() if led else myself() | {"pid": 1, "start": "0"}
    start = {"dispatch": "d-1", "tasks": tasks, "config": {}, "agent": "scripted", "base": "", "branch": ""}
    run = about | {"sprint": 0, "tick": 0, "reason": "task", "mail": [], "base": "", "supervisor": leader}
    ended = {"status": "failed", "seconds": 1.5, "detail": "no paint", "usage": {"usd": 0.25}}
    open_team(home, {}).append([
        Draft("dispatch.started", "scheduler", data=start | {"supervisor": leader}),
        Draft("run.started", "scheduler", run="r-red", data=run | {"task": "red"}),
        Draft("run.started", "scheduler", run="r-blue", data=run | {"task": "blue"}),
        Draft("run.finished", "scheduler", run="r-red", data=about | {"task": "red"} | ended),
        Draft("task.finished", "scheduler", data={"dispatch": "d-1", "task": "red", "status": "error",
                                                  "error": "no paint left"}),
        Draft("task.finished", "scheduler", data={"dispatch": "d-1", "task": "green", "status": "blocked",
                                                  "error": "red did not succeed"}),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("led", "result", "states"),
    [
        (True, "under way", ["error", "running", "blocked", "waiting"]),
        (False, "cut off", ["error", "cut off", "blocked", "waiting"]),
    ],
)
def test_a_dispatch_is_shown_with_its_tasks_over_time(team, ask, led, result, states):
    """Each task has a bar or a dot, each dependency a line; one that was cut off can be gone on with."""
    dispatched(team.home, led=led)
    doc, html = ask.get("/api/views/dispatches/d-1").json, unescape(ask.get("/dispatches/d-1").body.decode())

    assert (doc["result"], [task["status"] for task in doc["tasks"]]) == (result, states)
    assert [task["waits_for"] for task in doc["tasks"]] == [[], [], [], ["blue"]]
    assert (doc["usage"]["usd"], doc["tasks"][0]["attempts"][0]["outcome"]) == (0.25, "failed")
    assert [task["seconds"] for task in doc["tasks"] if task["task"] != "blue"] == [1.5, None, None]
    assert doc["tasks"][1]["attempts"][0]["outcome"] == ("open" if led else "cut off")
    assert html.count('class="edge"') == sum(len(task["dependencies"]) for task in doc["tasks"])
    assert all(f"/runs/{run['run']}" in html for task in doc["tasks"] for run in task["attempts"])
    told = (result, "$0.25", *(each for task in doc["tasks"] for each in (task["task"], task["status"], task["error"])))
    assert [each for each in told if each and each not in html] == []
    assert ('data-send="/api/dispatches/d-1/resume"' in html) is not led
    assert "changed from:body" in html
    assert '"/dispatches/d-1"' in ask.get("/tasks").body.decode()
    assert ask.get("/dispatches/none").status == 404


ROADMAP = """
title: Paint the house
phases:
  - title: Walls
    tasks:
      - {id: red, persona: coder, estimate: 30, files: [walls.py]}
      - {id: blue, persona: coder, estimate: 20, files: [walls.py]}
  - title: Roof
    tasks:
      - {id: tiles, persona: coder, estimate: 10, files: [roof.py]}
"""


def told_of_plan(plan):
    """What the page of a plan promises to show."""
    yield from (plan["title"], " → ".join(plan["critical_path"]), f"{len(plan['schedule'])} tasks")
    yield from (f"{each['task']} on worker {each['worker']}:" for each in plan["schedule"])
    yield from (each["why"] for each in plan["conflicts"])


def test_a_roadmap_is_drawn_as_its_plan(ask):
    """The page has each task once in the picture, each conflict as an arc, and what a wrong roadmap lacks."""
    body = {"roadmap": ROADMAP, "workers": 2}
    doc, html = ask.post("/api/views/plan", body).json, unescape(ask.post("/plan", body).body.decode())

    assert doc["plan"] == ask.post("/api/plans", body).json
    assert [each for each in told_of_plan(doc["plan"]) if each not in html] == []
    assert (html.count('class="bar worker-'), html.count('class="arc"')) == (3, 1)
    assert "changed from:body" not in html.partition("<section")[2].partition(">")[0]
    wrong = ask.post("/api/views/plan", {"roadmap": "phases: 1"}).json
    assert wrong["error"] in unescape(ask.post("/plan", {"roadmap": "phases: 1"}).body.decode())


def test_the_next_sprint_is_foretold_without_being_asked(team, ask):
    """By what the last one did."""
    team.know_green("")
    run = {"sprint": 1, "tick": 1, "persona": "ann", "agent": "scripted", "attempt": 1, "reason": "sprint", "mail": []}
    run |= {"base": team.git("rev-parse", "main"), "supervisor": myself()}
    ended = {"sprint": 1, "persona": "ann", "status": "ok", "seconds": 4.5, "detail": ""}
    open_team(team.home, {}).append([
        Draft("run.started", "scheduler", run="r-1", data=run),
        Draft("run.finished", "scheduler", run="r-1", data=ended),
    ])  # fmt: skip
    doc, html = ask.get("/api/views/plan").json, unescape(ask.get("/plan").body.decode())

    assert doc["plan"] == ask.get("/api/plans/forecast").json
    assert [(each["task"], each["end"]) for each in doc["plan"]["schedule"]] == [("ann", 4.5)]
    assert [each for each in told_of_plan(doc["plan"]) if each not in html] == []


def test_no_sprint_foretells_nothing(ask):
    """The page says what to do, and has the form."""
    doc, html = ask.get("/api/views/plan").json, unescape(ask.get("/plan").body.decode())

    assert (doc["plan"], "run a sprint first" in doc["error"]) == (None, True)
    assert doc["error"] in html
    assert 'data-send="/plan"' in html
