"""Sprints over HTTP: started as processes of their own, looked at, steered, and refused."""

from __future__ import annotations

import os

import psutil
import pytest
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_mailbox
from team_mail.team.open import open_team

from ...conftest import run_batch


def writing(team, script, personas=("ann",)):
    """Let the personas of the team be played by a shell script."""
    for path in (team.home / "personas").glob("*.md"):
        path.unlink()
    team.roster(*personas)
    (team.home / "team.toml").write_text(f"[agents.shell]\ncommand = ['sh', '-c', {script!r}]\n")


def held_patch(team):
    """Run a sprint whose only patch is held."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    team.sprint({"ann": ann})


def test_a_sprint_goes_on_without_the_console(team, ask):
    """The answer names the process, which has a session of its own, and the sprint, which lands what it made."""
    writing(team, "sleep 0.3; echo new > new.txt")
    made = ask.post("/api/sprints", {"mode": "parallel"})
    assert (made.status, made.json["sprint"]) == (202, 1), made.body
    assert made.headers["location"] == "/api/sprints/1"
    assert os.getsid(made.json["pid"]) == made.json["pid"]
    assert ask.post("/api/sprints", {}).status == 409
    psutil.Process(made.json["pid"]).wait(60)
    assert ask.get("/api/sprints/1").json["outcome"] == "converged"
    landed = ask.post("/api/sprints/1/land")
    assert (landed.status, landed.json["gained"]) == (200, 1)
    assert team.text("main", "new.txt") == ["new"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"mode": "wild"}, 422, "mode"),
        ({"base": "nowhere"}, 409, "nowhere"),
        ({"session": "none"}, 404, "none"),
        ({"personas": []}, 422, "personas"),
    ],
    ids=str,
)
def test_a_sprint_that_cannot_start_does_not(team, ask, body, status, word):
    """What is wrong is said, and nothing is on record."""
    answer = ask.post("/api/sprints", body)
    assert (answer.status, word in answer.error) == (status, True), answer.body
    assert team.kinds("sprint") == []


def test_an_agent_that_is_not_there_starts_nothing(team, ask):
    """The sentence is that of the command."""
    (team.home / "team.toml").write_text('[agents.shell]\ncommand = ["no-such-agent"]\n')
    answer = ask.post("/api/sprints", {})
    assert (answer.status, "no-such-agent" in answer.error) == (409, True), answer.body
    assert team.kinds("sprint") == []


def test_a_dry_run_writes_nothing(team, ask):
    """It shows who would be launched, and why."""
    head = len(team.kinds())
    shown = ask.post("/api/sprints/preview", {}).json
    assert [launch["persona"] for launch in shown["launches"]] == ["ann", "bob", "cyd"]
    assert ask.get("/api/tick").json["launches"] == shown["launches"]
    assert len(team.kinds()) == head


def test_a_pause_holds_until_it_is_resumed(team, ask):
    """Both name who asked."""
    assert ask.post("/api/scheduler/pause").json == {"paused": True, "sender": "you"}
    assert ask.post("/api/scheduler/resume").json == {"paused": False, "sender": "you"}
    assert team.kinds("scheduler") == ["scheduler.paused", "scheduler.resumed"]


def test_an_approval_tells_its_event(team, ask):
    """The patch is pending then; there is nothing to approve a second time."""
    held_patch(team)
    answer = ask.post("/api/patches/ann/approve")
    event = [*open_mailbox(team.home).log.read()][-1]
    assert (answer.status, answer.json["seq"], answer.json["refused"]) == (202, event.seq, False)
    assert (event.kind, event.sender) == ("patch.approved", "you")
    assert ask.post("/api/patches/ann/approve").status == 404


def test_a_refused_patch_goes_back_to_its_author(team, ask):
    """The author has mail with the reason and the patch, the human has nothing more to do."""
    held_patch(team)
    assert [need["kind"] for need in ask.get("/api/status").json["needs"] if need["kind"] == "patch"]
    answer = ask.post("/api/patches/ann/refuse", {"why": "no\nattributes"})
    assert (answer.status, answer.json["refused"]) == (202, True)
    mailbox = open_mailbox(team.home)
    (mail,) = mailbox.inbox("ann", sender="you")
    assert (mail.type, mail.subject) == ("feedback", "Refused: no")
    assert mailbox.attachment(mailbox.read("ann", mail.id, peek=True)).startswith(b"diff --git")
    event = next(event for event in mailbox.log.read() if event.seq == answer.json["seq"])
    assert (event.kind, event.data["by"]) == ("patch.refused", "you")
    assert not [need["kind"] for need in ask.get("/api/status").json["needs"] if need["kind"] == "patch"]
    assert ask.post("/api/patches/ann/refuse", {}).status == 404
    (patch,) = open_team(team.home, {}).state().patches
    assert (patch.status, patch.why) == ("refused", "you refused it: no\nattributes")


def test_nothing_approved_is_not_deployed(team, ask):
    """A round must have been decided."""
    answer = ask.post("/api/deploy", {})
    assert (answer.status, "nothing is approved" in answer.error) == (404, True)


def test_the_history_is_paged(team, ask):
    """The newest is last, and Link leads to those before."""
    for _ in range(3):
        team.sprint({})
    assert [each["sprint"] for each in ask.get("/api/sprints", limit=2).json] == [2, 3]
    assert [each["sprint"] for each in ask.get(ask.get("/api/sprints", limit=2).following).json] == [1]
    assert ask.get("/api/sprints/9").status == 404
    assert ask.get("/api/sprints/x").status == 422


def test_a_sprint_that_cannot_go_on_is_given_up_by_a_button(team, ask):
    """The page has it as long as the sprint is stuck."""
    ticker = team.ticker({"ann": team.replaced(3, "ann")})
    run_batch(ticker)
    stuck = {"sprint": 1, "why": "a lock is in the way"}
    ticker.context.append([Draft("sprint.stuck", "scheduler", data=stuck)])
    assert 'data-send="/api/sprints/1/abandon"' in ask.get("/").body.decode()
    assert ask.post("/api/sprints/2/abandon", {}).status == 404
    done = ask.post("/api/sprints/1/abandon", {"why": "enough"})
    assert (done.status, [each["persona"] for each in done.json["patches"]]) == (200, ["ann"]), done.body
    assert 'data-send="/api/sprints/1/abandon"' not in ask.get("/").body.decode()


def test_gates_judge_a_sprint_again_in_a_process_of_its_own(team, ask, tmp_path):
    """What was red for want of something outside of the repository passes, and the need of it is gone."""
    flag = tmp_path / "service"
    settings = f'[gates.tests]\ncommand = ["test", "-e", "{flag}"]\n'
    team.sprint({"ann": team.replaced(3, "by ann")}, settings)
    assert 'data-send="/api/sprints/1/gates"' in ask.get("/").body.decode()
    flag.touch()
    made = ask.post("/api/sprints/1/gates", {})
    assert made.status == 202, made.body
    psutil.Process(made.json["pid"]).wait(60)
    assert [each["status"] for each in ask.get("/api/sprints/1/gates").json["gates"]] == ["passed", "passed"]
    assert ask.post("/api/sprints/7/gates", {}).status == 404
