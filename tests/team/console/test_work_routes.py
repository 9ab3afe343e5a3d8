"""Tasks, claims, schedules, sessions and plans over HTTP, as their commands do it; and what is refused."""

from __future__ import annotations

import re
from base64 import b64encode

import psutil
import pytest
from team_mail.mail.open import open_log
from team_mail.mail.process import myself
from team_mail.scheduler.claims.claims import Claims, NewTask


def test_a_task_is_claimed_renewed_and_done(ask):
    """By the human, whose token it takes."""
    assert ask.post("/api/tasks", {"task": "mend", "input": {"a": 1}}, key="k").status == 201
    assert ask.post("/api/tasks", {"task": "mend", "input": {"a": 1}}, key="k").status == 201
    assert ask.post("/api/tasks", {"task": "mend"}).status == 409
    taken = ask.post("/api/claims", {"next": True, "lease": "1m"})
    assert (taken.status, taken.json["owner"], taken.json["input"]) == (201, "you", {"a": 1})
    token = taken.json["token"]
    assert ask.post("/api/claims", {"task": "mend"}).status == 409
    assert ask.post("/api/claims/renew", {"task": "mend", "token": token}).json["token"] == token
    assert ask.post("/api/claims/done", {"task": "mend", "token": token + 1}).status in {404, 409}
    assert ask.post("/api/claims/done", {"task": "mend", "token": token, "output": [1]}).json["status"] == "success"
    assert ask.get("/api/tasks").json["tasks"] == []
    assert ask.get("/api/tasks?all=1").json["tasks"][0]["state"] == "done"
    nothing = ask.post("/api/claims", {"next": True})
    assert (nothing.status, nothing.json) == (200, {})


def test_each_claim_gate_and_task_that_needs_a_person_has_its_button(team, ask):
    """A claim that is over is cleaned up, a task that was set aside is taken, given back and done, a gate is mended."""
    gate = '[gates.sound]\ncommand = ["false"]\n'
    team.sprint({"ann": lambda job: (job.workspace / "new").touch()}, gate)
    claims = Claims(ask.console.context.mailbox)
    gone = myself() | {"pid": 1, "start": "1"}
    for name in ("stale", "hard"):
        claims.add(NewTask(name), "you")
    claims.claim("stale", "ann", 900, process=gone)
    for _ in range(3):
        claim = claims.claim("hard", "bob", 900)
        claims.release("hard", claim.token, "bob")
    html = ask.get("/").body.decode()

    assert {need["kind"] for need in ask.get("/api/status").json["needs"]} == {"claim", "task", "gate", "mail"}
    assert 'data-send="/api/clean"' in html
    assert 'href="/tasks/hard"' in html
    (mending,) = re.findall(r'href="(/ask\?prompt=[^"]+)"', html)
    assert "say what was wrong: false" in ask.get(mending).body.decode()
    assert [each["owner"] for each in ask.post("/api/clean", {}).json["claims"]] == ["ann"]
    assert 'data-send="/api/claims"' in ask.get("/tasks/hard").body.decode()
    taken = ask.post("/api/claims", {"task": "hard"}).json
    for act in ("release", "done"):
        assert f'data-send="/api/claims/{act}"' in ask.get("/tasks/hard").body.decode()
    assert ask.post("/api/claims/done", {"task": "hard", "token": taken["token"]}).status == 200
    assert {need["kind"] for need in ask.get("/api/status").json["needs"]} == {"gate", "mail"}
    assert 'class="status good">done' in ask.get("/tasks/hard").body.decode()


def test_paths_are_taken_and_given_back(ask):
    """Nobody else has them in between."""
    taken = ask.post("/api/claims", {"paths": ["src/**"]}).json
    assert ask.post("/api/claims", {"paths": ["src/a.py"]}).status == 409
    assert ask.post("/api/claims/release", {"token": taken["token"], "reason": "done"}).json["already"] is False
    assert ask.get("/api/tasks").json["held"] == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/claims", {}, 422), ("/api/claims", {"task": "a", "next": True}, 422),
        ("/api/claims", {"task": "none"}, 404), ("/api/claims", {"next": True, "lease": "soon"}, 422),
        ("/api/claims", {"next": True, "owner": "ann"}, 422), ("/api/claims", {"next": True, "session": "none"}, 404),
        ("/api/claims/release", {}, 422), ("/api/claims/renew", {"token": 0}, 422),
        ("/api/claims/renew", {"token": True}, 422), ("/api/claims/done", {"task": "none", "token": 1}, 404),
        ("/api/tasks", {"task": "../x"}, 422), ("/api/tasks", {"task": "a", "to": "nobody"}, 422),
        ("/api/sessions", {"session": "a b"}, 422), ("/api/sessions/none/pause", None, 404),
        ("/api/sessions/none/remember", {"key": "k", "text": "v"}, 404),
        ("/api/schedules/none/run", None, 422), ("/api/schedules/none/pause", None, 422),
        ("/api/plans", {"roadmap": "["}, 422), ("/api/plans", {"roadmap": ""}, 422), ("/api/plans", {}, 422),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_said(ask, path, body, status):
    """And nothing is written."""
    answer = ask.post(path, body)
    assert answer.status == status, answer.body
    assert answer.error
    assert {event.kind for event in open_log().read()} <= {"log.opened"}


def test_a_session_gathers_what_is_kept_in_it(ask):
    """It is created once, holds a memory, a file and a conversation, and is completed and opened again."""
    made = ask.post("/api/sessions", {"session": "login", "title": "Log in", "participants": ["ann"]})
    assert (made.status, made.json["already"]) == (201, False)
    assert ask.post("/api/sessions", {"session": "login"}).status == 409
    one = "/api/sessions/login"
    assert ask.post(f"{one}/remember", {"key": "k", "text": "v"}, key="m").json["repeated"] is False
    assert ask.post(f"{one}/remember", {"key": "k", "text": "v"}, key="m").json["repeated"] is True
    assert ask.post(f"{one}/attach", {"name": "a.txt", "content_base64": b64encode(b"x").decode()}).status == 201
    assert ask.post(f"{one}/attach", {"name": "a.txt", "content_base64": "!"}).status == 422
    talk = {"messages": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]}
    assert len(ask.post(f"{one}/converse", talk, key="c").json["messages"]) == 2
    shown = ask.get(one).json
    assert ([m["text"] for m in shown["memories"]], [a["name"] for a in shown["artifacts"]]) == (["v"], ["a.txt"])
    assert [message["subject"] for message in ask.get("/api/mail?session=login").json][-1] == "k"
    assert len(ask.get(f"{one}/export").json["messages"]) == 4
    for act, body, status in (("pause", None, "paused"), ("resume", {}, "active"), ("complete", {}, "completed")):
        assert ask.post(f"{one}/{act}", body).json["status"] == status
    assert ask.post(f"{one}/resume", {}).status == 409
    assert ask.post(f"{one}/resume", {"again": True}).json["status"] == "active"
    assert ask.post(f"{one}/delete").json["status"] == "deleted"
    assert ask.get("/api/sessions").json["sessions"] == []


def test_what_is_written_for_a_session_marks_nothing_else(ask):
    """The next one to write has no session, although both are written by one server."""
    ask.post("/api/sessions", {"session": "login"})
    ask.post("/api/sessions/login/remember", {"key": "k", "text": "v"})
    ask.post("/api/tasks", {"task": "a", "session": "login"})
    ask.post("/api/mail", {"to": ["ann"], "body": "x"})
    events = [*open_log().read()]
    assert [event.data.get("session") for event in events if event.kind in {"task.opened", "mail.sent"}] == [
        "login", "login", None,
    ]  # fmt: skip


def test_sessions_are_paged(ask):
    """The newest first; Link leads on."""
    for name in ("a", "b", "c"):
        ask.post("/api/sessions", {"session": name})
    page = ask.get("/api/sessions", limit=2)
    assert [each["session"] for each in page.json["sessions"]] == ["c", "b"]
    assert [each["session"] for each in ask.get(page.following).json["sessions"]] == ["a"]
    assert ask.get("/api/sessions?before=none").status == 422


def test_a_schedule_is_carried_out_now_and_paused(team, ask):
    """By a process of its own; a pause is on record by the human."""
    text = '[agents.shell]\ncommand = ["true"]\n[schedules.nightly]\nsprint = "all"\ncron = "0 3 * * *"\n'
    (team.home / "team.toml").write_text(text)
    made = ask.post("/api/schedules/nightly/run")
    assert (made.status, made.json["name"]) == (202, "nightly"), made.body
    psutil.Process(made.json["pid"]).wait(60)
    last = ask.get("/api/schedules").json[0]["last"]
    assert (last["outcome"], last["sprint"], last["dispatch"]) == ("done", 1, None)
    assert 'href="/sprint/1"' in ask.get("/schedules").body.decode()
    assert ask.post("/api/schedules/nightly/pause").json == {"name": "nightly", "paused": True}
    assert ask.get("/api/schedules").json[0]["paused"]
    assert ask.post("/api/schedules/nightly/resume").json["paused"] is False


ROADMAP = "tasks:\n- {id: a, persona: ann, estimate: 1h}\n- {id: b, persona: bob, estimate: 2h, dependencies: [a]}\n"


def test_a_roadmap_is_planned(ask):
    """Its document is that of the command; its tasks can be dispatched."""
    plan = ask.post("/api/plans", {"roadmap": ROADMAP, "workers": 2})
    assert plan.status == 200, plan.body
    tasks = ask.post("/api/plans/tasks", {"roadmap": ROADMAP})
    assert [task["task_id"] for task in tasks.json["tasks"]] == ["a", "b"]
