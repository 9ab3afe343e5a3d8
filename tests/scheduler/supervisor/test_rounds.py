"""Rounds: what lands is reported on, the reports decide, authors mend what blocks, and what is approved is deployed."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta

import pytest
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.personas.agent import Outcome
from team_mail.scheduler.errors import NoSuchRun, NotLeader, NotReady
from team_mail.scheduler.leader import Leader
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.sprint.decide import ASKED, StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.state import reading
from team_mail.scheduler.state.facts import Decided
from team_mail.scheduler.supervisor.deploy import Deployment, last_deployed
from team_mail.scheduler.supervisor.supervise import supervision
from team_mail.team.api import control, sprints

from ...test_docs_sprint import EVENTS
from ...waiting import until_there

TEAM = """\
[sprint]
gather = "0s"
retry_backoff = "0s"
[teams.code]
members = ["nova"]
reviewers = ["cipher"]
channel = "code"
[gates.security]
report = "cipher"
veto = true
says = "BLOCKED - Security issue"
"""


@pytest.fixture
def orion(team):
    """A team in which nova writes and cipher reviews, when mail asks it to."""
    for file in (team.home / "personas").glob("*.md"):
        file.unlink()
    team.roster("nova", "cipher")
    (team.home / "personas" / "cipher.md").write_text("---\nid: cipher\nscheduled: mail\n---\nReview.\n")
    return team


def play(team, scripts, settings=TEAM):
    """Run a sprint with a supervisor; return its summary and its events."""
    context = team.context(scripts, settings)
    ticker = Ticker(context, BatchRunner(context), supervision=supervision)
    summary = run_sprint(ticker, StartRequest(ASKED))
    return summary, [*context.mailbox.log.read()]


def reports(**values):
    """What a reviewer does: it writes its report."""

    def review(job):
        (job.workspace / ".team/run/output.json").write_text(json.dumps(values))

    return review


def of(events, *kinds):
    return [event for event in events if event.kind in kinds]


def test_what_lands_is_reviewed_and_approved(orion):
    """The reviewer does not run before there is something to review, and is shown exactly that."""
    seen = []

    def cipher(job):
        seen.append(job.prompt)
        assert "nova" in (job.workspace / "poem.txt").read_text().splitlines()
        reports(veto=False, score=9)(job)

    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": cipher})

    assert (summary.outcome, summary.decision) == ("converged", "APPROVED - Deploy")
    assert [event.data["persona"] for event in of(events, "run.started")] == ["nova", "cipher"]
    assert [event.data["reason"] for event in of(events, "run.started")] == ["batch", "review"]
    (asked,) = of(events, "review.asked")
    tip = orion.git("rev-parse", "team/sprint-1")
    assert (asked.data["start"], asked.data["tip"]) == (orion.git("rev-parse", "main"), tip)
    (report,) = of(events, "report.given")
    assert report.data["tree"] == orion.git("rev-parse", "team/sprint-1^{tree}")
    assert "landed.diff" in seen[0]
    (mail,) = [event for event in of(events, "mail.sent") if event.data["type"] == "review"]
    assert (mail.recipients, mail.data["channel"]) == (("cipher",), "code")
    assert of(events, "deploy.finished")[0].data["outcome"] == "skipped_policy"


def test_the_fields_of_the_events_of_a_round_are_those_of_the_table(orion):
    """Of a round with a veto, a decision and a deployment."""
    scripts = {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=True)}
    log = play(orion, scripts, f'{TEAM}[deploy]\ncommand = ["true"]\n')[1]
    log += play(orion, scripts | {"cipher": reports(veto=False)}, f'{TEAM}[deploy]\ncommand = ["true"]\n')[1]
    own = [event for event in log if event.kind.startswith(("review.", "report.", "round.", "deploy."))]
    for event in own:
        names, data = EVENTS[event.kind]
        optional = {"outcome", "why", "seconds", "run"} if event.kind.startswith("deploy.") else set()
        assert set(event.data) | optional == data | optional, event.kind
        assert [name for name in ("run", "ref") if getattr(event, name)] == names, event.kind
    assert {event.kind for event in own} == {
        "review.asked", "review.told", "report.given", "round.decided", "deploy.started", "deploy.finished",
    }  # fmt: skip


def test_a_veto_wakes_the_author_until_it_is_mended(orion):
    """The reviewer is asked again about what landed then; its attempts are not used up by that."""

    def nova(job):
        orion.replaced(3, "SQL" if job.attempt == 1 else "bound")(job)

    def cipher(job):
        bad = "SQL" in (job.workspace / "poem.txt").read_text()
        reports(veto=bad, veto_reason="put together from input" if bad else "", issues=["line 4"] if bad else [])(job)

    settings = TEAM.replace("[teams", "max_attempts = 2\n[teams", 1)
    summary, events = play(orion, {"nova": nova, "cipher": cipher}, settings)

    assert (summary.outcome, summary.decision) == ("converged", "APPROVED - Deploy")
    runs = [(event.data["persona"], event.data["reason"]) for event in of(events, "run.started")]
    assert runs == [("nova", "batch"), ("cipher", "review"), ("nova", "mail"), ("cipher", "review")]
    (veto,) = [event for event in of(events, "mail.sent") if event.data["type"] == "veto"]
    assert veto.recipients == ("nova",)
    assert veto.subject == "BLOCKED - Security issue: cipher vetoes: put together from input"
    assert "- line 4" in veto.body
    first, last = of(events, "review.asked")
    assert (first.data["tip"], last.data["tip"]) == (last.data["start"], orion.git("rev-parse", "team/sprint-1"))


def test_a_veto_that_stands_is_told_to_its_author_and_not_to_who_landed_since(orion):
    """Bob lands something else after the veto: what blocks is still about nova's line, and both are told."""
    orion.roster("bob")

    def bob(job):
        if job.attempt == 2:
            orion.replaced(13, "bob")(job)

    def nova(job):
        bad = job.attempt < 3
        orion.replaced(3, f"SQL {job.attempt}" if bad else "bound")(job)

    def cipher(job):
        reports(veto="SQL" in (job.workspace / "poem.txt").read_text())(job)

    settings = TEAM.replace('members = ["nova"]', 'members = ["nova", "bob"]')
    summary, events = play(orion, {"nova": nova, "bob": bob, "cipher": cipher}, settings)
    vetoes = [event.recipients for event in of(events, "mail.sent") if event.data["type"] == "veto"]
    assert summary.decision == "APPROVED - Deploy"
    assert all("nova" in recipients for recipients in vetoes)


def test_a_veto_that_is_not_mended_blocks_and_nothing_lands_on_the_base(orion):
    """Although the sprint has converged: its author had no answer."""

    def nova(job):
        if job.attempt == 1:
            orion.replaced(3, "SQL")(job)

    settings = f'[team]\nauto_land = true\n[deploy]\ncommand = ["true"]\n{TEAM}'
    summary, events = play(orion, {"nova": nova, "cipher": reports(veto=True)}, settings)

    assert summary.decision == "BLOCKED - Security issue (security: cipher vetoes)"
    assert of(events, "round.decided")[0].data["blocks"] == ["security"]
    assert of(events, "deploy.finished")[0].data["outcome"] == "not_attempted"
    assert not of(events, "deploy.started")
    assert "SQL" not in orion.git("show", "main:poem.txt")
    closing = [event for event in of(events, "mail.sent") if event.recipients == ("you",)][-1]
    assert "auto_land did not move the base branch: BLOCKED - Security issue" in closing.body


def test_what_is_approved_is_deployed_once(orion, tmp_path):
    """The command runs in a clone of the commit; a round that changes nothing deploys nothing."""
    settings = f'{TEAM}[deploy]\ncommand = ["sh", "-c", "cp poem.txt {tmp_path}/live && echo done"]\n'
    scripts = {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}
    summary, events = play(orion, scripts, settings)
    assert summary.deployed.startswith("deployed: exit 0")
    assert "nova" in (tmp_path / "live").read_text()
    assert [event.kind for event in of(events, "deploy.started", "deploy.finished")] == [
        "deploy.started", "deploy.finished",
    ]  # fmt: skip
    (tmp_path / "live").unlink()
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    summary, events = play(orion, {"nova": lambda job: None, "cipher": reports(veto=False)}, settings)
    assert (summary.decision, summary.deployed) == (None, None)
    twice = {"nova": lambda job: orion.replaced(3, "other" if job.attempt == 1 else "nova")(job)}
    vetoes = lambda job: reports(veto="other" in (job.workspace / "poem.txt").read_text())(job)  # noqa: E731
    summary, events = play(orion, twice | {"cipher": vetoes}, settings)
    assert summary.decision == "APPROVED - Deploy"
    assert summary.deployed.startswith("skipped_no_change")
    assert not (tmp_path / "live").exists()


def test_a_persona_deploys_by_its_run(orion):
    """It is asked by mail, and its run is the deployment."""
    orion.roster("flux")
    (orion.home / "personas" / "flux.md").write_text("---\nid: flux\nscheduled: mail\npaths: []\n---\nDeploy.\n")
    came = []
    scripts = {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False), "flux": came.append}
    summary, events = play(orion, scripts, f'{TEAM}[deploy]\npersona = "flux"\n')
    assert summary.deployed == "deployed: by flux"
    assert len(came) == 1
    assert summary.outcome == "converged"
    assert [event.kind for event in of(events, "deploy.started", "deploy.finished", "sprint.finished")] == [
        "deploy.started", "deploy.finished", "sprint.finished",
    ]  # fmt: skip


TESTS = """\
[gates.tests]
report = "echo"
key = "pass_rate"
threshold = 0.8
"""


@pytest.fixture
def echo(orion):
    """A colleague who reviews no team: only a gate asks for its report."""
    orion.roster("echo")
    (orion.home / "personas" / "echo.md").write_text("---\nid: echo\nscheduled: mail\n---\nTest.\n")
    return orion


@pytest.mark.parametrize("parallel", ["always", "never"])
def test_who_reviews_no_team_is_asked_about_what_landed_last(echo, parallel):
    """Nothing else goes on once it has landed, although the tick that landed it is not over."""
    settings = f'[sprint]\ngather = "0s"\nparallel = "{parallel}"\n{TESTS}'
    scripts = {"nova": echo.replaced(3, "nova"), "echo": reports(pass_rate=1.0)}
    summary, events = play(echo, scripts, settings)

    assert [event.data["persona"] for event in of(events, "run.started")] == ["nova", "echo"]
    assert summary.decision == "APPROVED - Deploy"


def test_what_a_reviewer_lands_is_reported_on_anew(echo):
    """Its own report is on the tree before that, and so are those of others."""

    def play_echo(job):
        if job.attempt == 1:
            echo.replaced(5, "echo")(job)
        reports(pass_rate=1.0)(job)

    scripts = {"nova": echo.replaced(3, "nova"), "cipher": reports(veto=False), "echo": play_echo}
    in_sequence = TEAM.replace("[sprint]", '[sprint]\nparallel = "never"')
    summary, events = play(echo, scripts, in_sequence + TESTS)

    assert summary.decision == "APPROVED - Deploy"
    assert [event.data["persona"] for event in of(events, "review.asked")] == ["cipher", "echo", "cipher", "echo"]


def test_the_first_round_that_reviews_the_last_one_is_not_decided(orion):
    """Nobody was asked about anything; what it lands is reported on, decided and deployed in the next round."""
    settings = f'[supervisor]\nreview = "last round"\n[deploy]\ncommand = ["true"]\n{TEAM}'
    cipher = reports(veto=False)
    first, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": cipher}, settings)
    assert (first.outcome, first.decision) == ("converged", None)
    assert not of(events, "deploy.finished")
    landed = orion.git("rev-parse", "team/sprint-1")
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")

    second, events = play(orion, {"nova": orion.replaced(4, "nova"), "cipher": cipher}, settings)
    assert second.decision == "APPROVED - Deploy"
    (deployed,) = of(events, "deploy.finished")
    assert (deployed.data["outcome"], deployed.data["commit"]) == ("deployed", landed)


def test_who_wrote_what_the_last_round_landed_is_told_of_a_veto(orion):
    """Not whoever has landed something in the round in which the review is made."""
    orion.roster("ann")
    settings = f'[supervisor]\nreview = "last round"\n{TEAM}'
    nothing = {"cipher": reports(veto=True), "ann": lambda job: None, "nova": lambda job: None}
    play(orion, nothing | {"nova": orion.replaced(3, "SQL")}, settings)
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    _, events = play(orion, nothing | {"ann": orion.replaced(6, "ann")}, settings)

    assert [event.data["persona"] for event in of(events, "patch.landed")] == ["nova", "ann"]
    (veto,) = [event for event in of(events, "mail.sent") if event.data["type"] == "veto"]
    assert veto.recipients == ("nova",)


def test_a_veto_that_no_gate_is_for_is_told_to_the_human(orion):
    """It blocks nothing, and the mail says how it would."""
    settings = TEAM[: TEAM.index("[gates")]
    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=True)}, settings)
    assert summary.decision == "APPROVED - Deploy"
    mail = [event for event in of(events, "mail.sent") if event.subject == "cipher vetoes, and no gate is for it"]
    assert [event.recipients for event in mail] == [("you",)]
    assert 'report = "cipher"' in mail[0].body


def test_a_deployment_that_is_killed_for_its_time_has_failed_and_tells_no_secret(orion, monkeypatch):
    """Although it says 0 when it is asked to end; it is not tried again until a person lets it."""
    monkeypatch.setenv("DEPLOY_TOKEN", "hunter2-hunter2")
    script = "trap 'exit 0' TERM; echo token $DEPLOY_TOKEN; sleep 60 & wait"
    deploy = f'[deploy]\ncommand = ["bash", "-c", {json.dumps(script)}]\ntimeout = "1s"\nenv = ["DEPLOY_TOKEN"]\n'
    scripts = {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}
    summary, events = play(orion, scripts, TEAM + deploy)
    assert summary.deployed.startswith("failed: no end within 1s")
    (mail,) = [event for event in of(events, "mail.sent") if event.subject.startswith("Deployment of")]
    assert (mail.recipients, "scheduler approve deploy" in mail.body) == (("you",), True)
    assert "token ***" in mail.body
    assert "hunter2" not in (orion.home / "mail" / "events.jsonl").read_text()


def test_what_cannot_land_is_not_deployed(orion):
    """Somebody moved the base while the round went on."""

    def cipher(job):
        orion.git("commit", "--quiet", "--allow-empty", "-m", "Meanwhile")
        reports(veto=False)(job)

    settings = f'[team]\nauto_land = true\n{TEAM}[deploy]\ncommand = ["true"]\n'
    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": cipher}, settings)
    assert summary.decision == "APPROVED - Deploy"
    assert summary.deployed.startswith("skipped_policy: it could not land: main has moved on")
    assert not of(events, "deploy.started")


def test_a_deployment_waits_for_a_person_and_no_event_lets_it_go(orion, tmp_path):
    """`scheduler approve deploy` deploys then and there, beside a scheduler that leads, and only once."""
    live = tmp_path / "live"
    settings = f'{TEAM}[deploy]\ncommand = ["sh", "-c", "echo live >> {live}"]\napprove = "always"\n'
    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    assert summary.deployed == "skipped_policy: it waits for scheduler approve deploy"
    context = orion.context({}, settings)
    commit = orion.git("rev-parse", "team/sprint-1")
    (mail,) = [
        event for event in of(events, "mail.sent") if event.subject == f"Deployment of {commit[:12]} waits for you"
    ]
    assert (mail.recipients, "scheduler approve deploy --round 1" in mail.body) == (("you",), True)
    context.append([Draft("deploy.approved", "you", data={"sprint": 1, "commit": commit})])
    assert not Deployment(context).carry_out(context.state(whole=False).decided[-1], threading.Event())
    assert not live.exists()

    with Leader(context.home / "work"):
        done = control.approve_deploy(context, "you")
    assert done.lines[0] == f"approved: {commit[:12]}, APPROVED - Deploy"
    assert "deploy: deployed" in done.lines[-1]
    assert (done.outcome, done.has_failed) == ("deployed", False)
    assert control.approve_deploy(context, "you").lines[-1] == f"deploy: {commit[:12]} is live already: exit 0"
    assert live.read_text() == "live\n"


def test_an_earlier_round_can_be_deployed_after_a_later_one_was_blocked(orion):
    settings = f'{TEAM}[deploy]\ncommand = ["true"]\napprove = "always"\n'
    play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    play(orion, {"nova": orion.replaced(13, "nova"), "cipher": reports(veto=True)}, settings)
    context = orion.context({}, settings)
    with pytest.raises(NoSuchRun, match="round 2 ended with BLOCKED - Security issue"):
        control.approve_deploy(context, "you")
    done = control.approve_deploy(context, "you", 1)
    assert (done.outcome, done.commit) == ("deployed", orion.git("rev-parse", "team/sprint-1"))


def test_two_deployments_never_go_on_at_once(orion, tmp_path):
    """A person is told who deploys; a scheduler waits until that has ended."""
    settings = f'{TEAM}[deploy]\ncommand = ["sh", "-c", "echo live >> {tmp_path}/live"]\n'
    context = orion.context({}, settings)
    with Leader(context.home / "work" / "deploy") as lock:
        ended = threading.Timer(0.3, lock.__exit__, (None, None, None))
        with pytest.raises(NotLeader, match=r"another process deploys just now: process \d+"):
            Deployment(context).release(Decided(1, "c", "t", "APPROVED - Deploy", (), (), 1), "you", threading.Event())
        ended.start()
        summary, _ = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
        ended.join()
        lock.__enter__()
    assert summary.deployed == "deployed: exit 0"


def test_nothing_that_is_blocked_can_be_approved(orion):
    context = orion.context({}, TEAM)
    with pytest.raises(NoSuchRun, match="no such round was decided"):
        control.approve_deploy(context, "you")
    play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=True)})
    with pytest.raises(NoSuchRun, match="round 1 ended with BLOCKED - Security issue"):
        control.approve_deploy(orion.context({}, TEAM), "you")


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        ("true", "deployed: it was cut off, and check says that it is live"),
        ("false", "failed"),
        pytest.param("", "failed", marks=pytest.mark.storm),
    ],
)
def test_a_deployment_that_was_cut_off_is_looked_into_and_not_repeated(orion, tmp_path, check, outcome):
    """Its start is on record, and its end is not."""
    settings = f'{TEAM}[deploy]\ncommand = ["sh", "-c", "echo live >> {tmp_path}/live"]\n'
    settings += f'check = ["{check}"]\n' if check else ""
    context = orion.context({"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    append = context.append

    def cut(drafts):
        if any(draft.kind == "deploy.finished" for draft in drafts):
            raise LogUnavailable("the power is gone")
        return append(drafts)

    object.__setattr__(context, "append", cut)
    with pytest.raises(LogUnavailable):
        run_sprint(Ticker(context, BatchRunner(context), supervision=supervision), StartRequest(ASKED))
    assert (tmp_path / "live").read_text() == "live\n"
    summary, _ = play(orion, {}, settings)
    assert summary.deployed.startswith(outcome)
    assert (tmp_path / "live").read_text() == "live\n"
    done = control.approve_deploy(orion.context({}, settings), "you")
    assert done.outcome == "deployed"
    assert (tmp_path / "live").read_text() == ("live\n" if check == "true" else "live\nlive\n")


def test_who_deploys_works_in_a_clone_of_what_was_approved_and_is_not_tried_again(orion):
    """Whatever has landed since; and its failure is one."""
    file = orion.home / "personas" / "flux.md"
    file.write_text("---\nid: flux\nscheduled: mail\npaths: []\n---\nDeploy.\n")
    settings = f'[supervisor]\nreview = "last round"\n[deploy]\npersona = "flux"\n{TEAM}'
    seen = []

    def flux(job):
        seen.append((job.workspace / "poem.txt").read_text())
        return Outcome("failed", 1, 0.0, "exit 1")

    scripts = {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False), "flux": flux}
    play(orion, scripts, settings)
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    summary, events = play(orion, scripts | {"nova": orion.replaced(13, "later")}, settings)
    assert summary.deployed == "failed: the run of flux ended with exit 1"
    assert ["nova" in text and "later" not in text for text in seen] == [True]
    assert len(of(events, "deploy.started")) == 1
    assert not orion.context({}, settings).state(whole=False).unread.get("flux")
    file.write_text("---\nid: flux\nscheduled: mail\n---\nDeploy.\n")
    with pytest.raises(NotReady, match=r"flux deploys, and may change files: write paths: \[\] in its file"):
        play(orion, scripts, settings)


def test_nothing_is_deployed_that_lacks_what_is_live(orion):
    """People moved the base while the last round was deployed and not landed; the next one starts there."""
    settings = f'{TEAM}[deploy]\ncommand = ["true"]\n'
    play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    live = orion.git("rev-parse", "team/sprint-1")
    orion.git("commit", "--quiet", "--allow-empty", "-m", "Meanwhile")
    summary, _ = play(orion, {"nova": orion.replaced(13, "nova"), "cipher": reports(veto=False)}, settings)
    assert (
        summary.deployed == f"skipped_policy: it lacks {live[:12]}, which is live; scheduler approve deploy deploys it"
    )
    assert "deploy: deployed" in control.approve_deploy(orion.context({}, settings), "you").lines[-1]


def test_what_is_live_is_known_however_many_rounds_ago_it_was_deployed(orion, monkeypatch):
    """And that rounds are paused: what a step reads of the past ends with the last sprints."""
    monkeypatch.setattr(reading, "LAST", 1)
    monkeypatch.setattr(reading, "_HOUR", timedelta())
    settings = f'{TEAM}[deploy]\ncommand = ["true"]\n'
    play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    context = orion.context({}, settings)
    context.append([Draft("round.paused", "supervisor", data={"sprint": 1, "why": "nothing landed"})])
    for number in (2, 3):
        about = {"sprint": number, "id": "s", "base_branch": "main", "base": "b", "branch": "b", "mode": "parallel"}
        about |= {"rule": "", "reason": "", "personas": [], "rolling": True}
        end = {"sprint": number, "outcome": "converged"}
        context.append(
            [Draft("sprint.started", "scheduler", data=about), Draft("sprint.finished", "scheduler", data=end)]
        )
    state = orion.context({}, settings).state(whole=False)
    assert [each.number for each in state.sprints] == [3]
    assert last_deployed(state).commit == orion.git("rev-parse", "team/sprint-1")
    assert "nothing landed" in state.paused


def test_a_deployment_that_a_person_lets_a_persona_repeat_is_closed_by_a_sprint_that_lands_nothing(orion):
    """It works on what was approved, and is not said to have failed before it has run."""
    file = orion.home / "personas" / "flux.md"
    file.write_text("---\nid: flux\nscheduled: mail\npaths: []\n---\nDeploy.\n")
    settings = f'{TEAM}[deploy]\npersona = "flux"\n'
    scripts = {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False), "flux": lambda job: 1 / 0}
    summary, _ = play(orion, scripts, settings)
    assert summary.deployed.startswith("failed: the run of flux ended with")
    context = orion.context({}, settings)
    assert "flux is asked to" in control.approve_deploy(context, "you").lines[-1]
    assert not Deployment(context).carry_out(context.state(whole=False).decided[-1], threading.Event())

    _, events = play(orion, scripts | {"nova": lambda job: None, "flux": lambda job: None}, settings)
    assert [event.data["outcome"] for event in of(events, "deploy.finished")] == ["failed", "deployed"]
    runs = [event for event in of(events, "run.started") if event.data["persona"] == "flux"]
    assert {event.data["base"] for event in runs} == {orion.git("rev-parse", "team/sprint-1")}


def test_a_picture_that_cannot_be_made_is_said_to_the_reviewer(orion):
    """The round goes on without it."""
    settings = f'{TEAM}[review.cipher]\nbefore = ["{{}}", "{{{{out}}}}"]\n'
    with pytest.raises(NotReady, match=r"\[review.cipher\] before: 'no-such-program' is not in PATH"):
        play(orion, {}, settings.format("no-such-program"))
    settings = settings.format("false")
    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    assert summary.decision == "APPROVED - Deploy"
    (mail,) = [event for event in of(events, "mail.sent") if event.data["type"] == "review"]
    assert "What was to be made from it failed (" in mail.body


def test_files_for_a_review_are_made_beside_the_runs(orion, tmp_path):
    """The command waits for somebody who is launched by mail that comes after it began."""
    (orion.home / "personas" / "ann.md").write_text("---\nid: ann\n---\nMail.\n")
    (orion.home / "personas" / "bob.md").write_text("---\nid: bob\nscheduled: mail\n---\nGo.\n")
    began, go = tmp_path / "began", tmp_path / "go"
    command = f"touch {began}; while [ ! -e {go} ]; do sleep 0.02; done; echo made > $0/page.txt"
    settings = f'{TEAM}[review.cipher]\nbefore = ["sh", "-c", {json.dumps(command)}, "{{out}}"]\ntimeout = "30s"\n'

    def ann(job):
        if job.attempt == 1:
            until_there(began)
            orion.context().mailbox.send(Letter("ann", ["bob"], "Go"))

    scripts = {
        "nova": orion.replaced(3, "nova"), "ann": ann, "bob": lambda job: go.touch(), "cipher": reports(veto=False),
    }  # fmt: skip
    summary, events = play(orion, scripts, settings)
    assert summary.decision == "APPROVED - Deploy"
    (mail,) = [event for event in of(events, "mail.sent") if event.data["type"] == "review"]
    assert "Made from the tree, and attached: page.txt" in mail.body


def sleeps(job):
    """End without a report."""


def fails(job):
    return Outcome("failed", 1, 0.0, "exit 7")


@pytest.mark.parametrize(
    ("cipher", "why"),
    [
        (sleeps, r"no report of cipher; its run \S+ wrote none to \$TEAM_OUTPUT"),
        (fails, r"no report of cipher; its run \S+ ended with exit 7"),
    ],
)
def test_a_missing_report_says_why_it_is_missing(orion, cipher, why):
    summary, _ = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": cipher})
    assert re.search(why, summary.decision)
    assert summary.stuck


def test_who_reports_and_lands_something_makes_its_own_report_stale(orion):
    """The decision says so, because nothing else would tell why it is never approved."""

    def cipher(job):
        orion.replaced(3 + 2 * job.attempt, f"cipher {job.attempt}")(job)
        reports(veto=False)(job)

    settings = TEAM.replace("[teams", "max_reviews = 2\n[teams", 1)
    summary, _ = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": cipher}, settings)
    assert "its last one is stale" in summary.decision
    assert summary.decision.endswith("since then cipher has itself landed something)")


def test_the_dry_run_shows_who_reports_what_decides_and_what_deploys(orion):
    settings = f'{TEAM}[gates.speed]\nreport = "cipher"\nkey = "seconds"\nthreshold = 0\nat_most = 2\n'
    context = orion.context({}, f'{settings}[deploy]\ncommand = ["true", "a b"]\napprove = "always"\n')
    assert sprints.preview_sprint(context).outlook == (
        "review: cipher is asked for a report on what nova landed",
        "gate: security, no veto by cipher",
        "gate: speed, seconds by cipher at least 0 and at most 2",
        "deploy: what is approved, with true 'a b', once a person lets it: scheduler approve deploy",
    )


def test_a_blocked_sprint_fails_its_command_and_is_not_landed_without_a_word(orion):
    summary, _ = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=True)})
    assert (summary.converged, summary.stuck, sprints.SprintResult(summary).converged) == (True, True, False)
    landed = control.land(orion.context({}, TEAM))
    assert (landed.blocked, landed.gained) == ("BLOCKED - Security issue", 1)
