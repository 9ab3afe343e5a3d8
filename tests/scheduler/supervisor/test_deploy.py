"""What goes wrong around a deployment, and around the files that are made for a review: faults that were met."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from team_mail.mail.log.event import Draft
from team_mail.scheduler.errors import NotReady, Stopped
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.supervisor.continuous import Continuous
from team_mail.scheduler.supervisor.deploy import Deployment, last_deployed
from team_mail.scheduler.supervisor.supervise import supervision
from team_mail.team.api import control

from ...waiting import until_there
from .test_rounds import TEAM, of, orion, play, reports  # noqa: F401 - a fixture

ALWAYS = f'{TEAM}[deploy]\ncommand = ["true"]\napprove = "always"\n'


def approved(team, settings, line=3):
    """Play a round that is approved; return its commit."""
    play(team, {"nova": team.replaced(line, f"nova {line}"), "cipher": reports(veto=False)}, settings)
    context = team.context({}, settings)
    return context.state(whole=False).decided[-1].commit


def cut_off(team, settings, attempt=2):
    """Put on record that a deployment of the last round began, and no end."""
    context = team.context({}, settings)
    decided = context.state(whole=False).decided[-1]
    about = {"sprint": decided.sprint, "commit": decided.commit, "tree": decided.tree}
    context.append([Draft("deploy.started", "supervisor", data=about | {"attempt": attempt, "run": "deploy-x"})])
    return context


def test_what_a_person_approves_moves_no_branch(orion):  # noqa: F811
    """The base is moved by whoever lands, and a deployment lands no further than to what was approved."""
    commit = approved(orion, f"[team]\nauto_land = true\n{ALWAYS}")
    before = orion.git("rev-parse", "main")
    assert control.approve_deploy(orion.context({}, ALWAYS), "you").outcome == "deployed"
    assert (orion.git("rev-parse", "main"), before) == (before, commit)


def test_the_base_is_moved_to_what_is_deployed_and_no_further(orion):  # noqa: F811
    """Whatever has landed on the branch since."""
    settings = f'[team]\nauto_land = true\n{TEAM}[deploy]\ncommand = ["true"]\n'
    context = orion.context({"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    ticker, seen = Ticker(context, BatchRunner(context), supervision=supervision), []
    begin = Deployment._begin

    def later(deployment, decided, *rest):
        tree = context.git.line("rev-parse", f"{decided.commit}^{{tree}}")
        extra = context.git.line(
            "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", tree, "-p", decided.commit, "-m", "x"
        )
        context.git("update-ref", "refs/heads/team/sprint-1", extra)
        seen.append((decided.commit, context.git.line("rev-parse", "main")))
        begin(deployment, decided, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Deployment, "_begin", later)
        run_sprint(ticker, StartRequest("asked for"))
    ((commit, main),) = seen
    assert main == commit


def test_an_earlier_round_is_deployed_again_to_take_a_later_one_back(orion):  # noqa: F811
    """What is live is known by the last deployment, whichever round it was of."""
    first = approved(orion, ALWAYS)
    control.approve_deploy(orion.context({}, ALWAYS), "you")
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    second = approved(orion, ALWAYS, line=9)
    context = orion.context({}, ALWAYS)
    assert control.approve_deploy(context, "you").commit == second
    back = control.approve_deploy(context, "you", 1)
    assert (back.commit, back.outcome, len(of(context.mailbox.log.read(), "deploy.started"))) == (first, "deployed", 3)
    assert last_deployed(context.state(whole=False)).commit == first
    assert control.approve_deploy(context, "you", 2).outcome == "deployed"
    assert last_deployed(context.state(whole=False)).commit == second


def test_what_a_crash_left_is_told_before_anything_is_deployed_again(orion, tmp_path):  # noqa: F811
    """Without a check, nobody knows what is live: that is the person's to find out."""
    settings = f'{TEAM}[deploy]\ncommand = ["sh", "-c", "echo live >> {tmp_path}/live"]\napprove = "always"\n'
    approved(orion, settings)
    context = cut_off(orion, settings)
    told = control.approve_deploy(context, "you")
    assert told.has_failed
    assert told.lines[-1].endswith("it was cut off, and no check says whether it is live; look, and decide")
    assert not (tmp_path / "live").exists()
    assert control.approve_deploy(context, "you").outcome == "deployed"


def test_a_check_that_says_no_lets_the_same_command_deploy(orion, tmp_path):  # noqa: F811
    settings = f'{TEAM}[deploy]\ncommand = ["sh", "-c", "echo live >> {tmp_path}/live"]\napprove = "always"\n'
    settings += f'check = ["test", "-s", "{tmp_path}/live"]\n'
    approved(orion, settings)
    context = cut_off(orion, settings)
    assert control.approve_deploy(context, "you").outcome == "deployed"
    context = cut_off(orion, settings, attempt=4)
    assert "check says that it is live" in control.approve_deploy(context, "you").lines[-2]
    assert (tmp_path / "live").read_text() == "live\n"


def test_the_end_of_another_rounds_deployment_does_not_take_the_decision_away(orion):  # noqa: F811
    """It was cut off, and is looked into as this round ends."""
    settings = f'{TEAM}[deploy]\ncommand = ["true"]\n'
    approved(orion, settings)
    cut_off(orion, settings)
    summary, events = play(orion, {"nova": orion.replaced(9, "nova"), "cipher": reports(veto=False)}, settings)
    assert summary.decision == "APPROVED - Deploy"
    assert [event.data["sprint"] for event in of(events, "round.decided")] == [1, 2]


def test_a_sprint_that_began_at_a_commit_ends_although_it_cannot_land(orion):  # noqa: F811
    settings = f'[team]\nauto_land = true\n{TEAM}[deploy]\ncommand = ["true"]\n'
    context = orion.context({"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    base = orion.git("rev-parse", "HEAD")
    ticker = Ticker(context, BatchRunner(context), base, supervision=supervision)
    summary = run_sprint(ticker, StartRequest("asked for"))
    assert summary.deployed.startswith("skipped_policy: it could not land: sprint 1 began at a commit")


def test_one_commit_at_a_time_is_given_to_a_persona_to_deploy(orion):  # noqa: F811
    file = orion.home / "personas" / "flux.md"
    file.write_text("---\nid: flux\nscheduled: mail\npaths: []\n---\nDeploy.\n")
    settings = f'{TEAM}[deploy]\npersona = "flux"\n'
    scripts = {"cipher": reports(veto=False), "flux": lambda job: 1 / 0}
    play(orion, scripts | {"nova": orion.replaced(3, "nova")}, settings)
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    play(orion, scripts | {"nova": orion.replaced(9, "nova")}, settings)
    context = orion.context({}, settings)
    assert control.approve_deploy(context, "you", 1).outcome is None
    with pytest.raises(NotReady, match="is still to be deployed, by a persona"):
        control.approve_deploy(context, "you", 2)


MESS = """\
cd "$1"; echo x > "$(printf 'a\\377b')"; ln -s /etc/passwd link; mkdir folder; mkfifo pipe; echo 1 > fine.txt
echo x > landed.diff; echo x > "$(printf 'two\\nlines')"
"""


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (MESS, "Made from the tree, and attached: fine.txt"),
        ('rm -rf "$1"; ln -s /etc "$1"', ""),
        pytest.param('rm -rf "$1"', "", marks=pytest.mark.storm),
    ],
    ids=["odd files", "a link for the folder", "no folder"],
)
def test_whatever_is_made_for_a_review_the_round_goes_on(orion, command, note):  # noqa: F811
    """What cannot be attached is counted, and nothing outside of the folder is read."""
    words = json.dumps(["sh", "-c", command, "sh", "{out}"])
    settings = f"{TEAM}[review.cipher]\nbefore = {words}\n"
    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    assert summary.decision == "APPROVED - Deploy"
    (mail,) = [event for event in of(events, "mail.sent") if event.data["type"] == "review"]
    assert note in mail.body
    assert ("6 of what was made" in mail.body) == bool(note)
    assert len(mail.data["attachments"]) == (2 if note else 1)


def test_what_is_made_for_a_review_is_dropped_if_more_has_landed_meanwhile(orion, tmp_path):  # noqa: F811
    """A report on a tree counts only if its reviewer was shown all of it."""
    (orion.home / "personas" / "ann.md").write_text("---\nid: ann\n---\nWrite.\n")
    began, landed = tmp_path / "began", tmp_path / "landed"
    wait = f"touch {began}; while [ ! -e {landed} ]; do sleep 0.02; done"
    settings = f'{TEAM}[review.cipher]\nbefore = ["sh", "-c", "{wait}"]\ntimeout = "30s"\n'

    def ann(job):
        until_there(began)
        orion.replaced(9, "ann")(job)

    scripts = {"nova": orion.replaced(3, "nova"), "ann": ann, "cipher": reports(veto=False)}
    context = orion.context(scripts, settings)
    ticker = Ticker(context, BatchRunner(context), supervision=supervision)
    object.__setattr__(
        context,
        "on_append",
        lambda events: [landed.touch() for e in events if e.kind == "patch.landed" and began.exists()],
    )
    summary = run_sprint(ticker, StartRequest("asked for"))
    asked = of(context.mailbox.log.read(), "review.asked")
    assert (summary.decision, len(asked)) == ("APPROVED - Deploy", 1)
    assert asked[0].data["tip"] == orion.git("rev-parse", "team/sprint-1")


def test_files_for_a_review_are_not_waited_for_beyond_the_deadline(orion):  # noqa: F811
    """Nobody is asked then, and the round is blocked."""
    settings = f'{TEAM}[review.cipher]\nbefore = ["sleep", "60"]\n'.replace("[sprint]", '[sprint]\ndeadline = "2s"')
    summary, events = play(orion, {"nova": orion.replaced(3, "nova"), "cipher": reports(veto=False)}, settings)
    assert (summary.outcome, summary.seconds < 20) == ("deadline", True)
    assert summary.decision.endswith("no report of cipher; it was not asked)")
    assert not of(events, "review.asked")


def test_a_look_from_cron_can_be_stopped_while_files_are_made(orion):  # noqa: F811
    settings = f'{TEAM}[review.cipher]\nbefore = ["sleep", "60"]\n'
    context = orion.context({"nova": orion.replaced(3, "nova")}, settings)
    ticker = Ticker(context, BatchRunner(context), supervision=supervision)
    run_sprint(replace_supervision(ticker), StartRequest("asked for"))
    state, stop = context.state(whole=False), threading.Event()
    stop.set()
    reviewed = supervision(context)
    plan = ticker.plan(StartRequest(), state)
    opened = replace(state, sprints=(*state.sprints[:-1], replace(state.sprints[-1], finished=None, outcome=None)))
    with pytest.raises(Stopped):
        reviewed.tell(opened, replace(plan, wait_until=None), stop=stop)


def replace_supervision(ticker):
    """Return the ticker of a team that nobody supervises."""
    return Ticker(ticker.context, BatchRunner(ticker.context))


def test_changed_settings_are_looked_at_although_nothing_else_has_changed(orion):  # noqa: F811
    approved(orion, ALWAYS)
    context = orion.context({}, ALWAYS)
    rhythm, now = Continuous(), context.clock.now()
    orion.git("merge", "--quiet", "--ff-only", "team/sprint-1")
    context = orion.context({}, ALWAYS)
    rhythm.quiet, rhythm.read = rhythm._seen(context), context
    assert rhythm.again(context, now) is not None
    assert rhythm.again(orion.context({}, f"[supervisor]\nfix_streak = 3\n{ALWAYS}"), now) is None
