"""T14 for rounds: the scheduler is killed at every step of a review, a decision and a deployment, and started again."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import traceback
from collections import Counter

import pytest
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.supervisor.supervise import supervision

from ...samples import STORM
from ..sprint.test_crash import TEARS, Bomb
from .test_rounds import TEAM, orion, reports  # noqa: F401 - a fixture

ASKED = StartRequest("asked for")
MOST = 90


def settings(live):
    """A deployment that leaves a line each time, and a check that looks for one."""
    return f'{TEAM}[deploy]\ncommand = ["sh", "-c", "echo live >> {live}"]\ncheck = ["test", "-s", "{live}"]\n'


def scripts(team, journal):
    """Nova's first version is vetoed; each run that is really played adds a line to a journal."""

    def noted(job):
        with journal.open("a") as file:
            file.write(f"{job.persona} {job.run}\n")

    def nova(job):
        noted(job)
        text = (job.workspace / "poem.txt").read_text()
        team.replaced(3, "bound" if "SQL" in text or "bound" in text else "SQL")(job)

    def cipher(job):
        noted(job)
        reports(veto="SQL" in (job.workspace / "poem.txt").read_text())(job)

    return {"nova": nova, "cipher": cipher}


def supervised(team, journal, live):
    context = team.context(scripts(team, journal), settings(live))
    return Ticker(context, BatchRunner(context), supervision=supervision)


def crashed(team, journal, live, at, tear):
    """Run a round in a child process that dies at a step; tell whether that step was reached."""
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            ticker = supervised(team, journal, live)
            Bomb(at, tear).arm()
            run_sprint(ticker, ASKED)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    gc.unfreeze()
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status), "the round failed by itself"
    return status != 0


@pytest.mark.parametrize(
    ("first", "written", "stride"),
    [(1, "nothing", 17), *(pytest.param(first, each, 1, marks=STORM) for first, each in enumerate(TEARS, start=1))],
)
def test_a_round_goes_on_wherever_its_scheduler_was_killed(orion, tmp_path, first, written, stride):  # noqa: F811
    """Nobody runs twice for one reason, nothing is told or deployed twice, and no deployment is forgotten."""
    journal, live, clean = tmp_path / "journal", tmp_path / "live", tmp_path / "clean"
    shutil.copytree(orion.folder, clean, symlinks=True)
    at = min(first, stride)
    while at < MOST:
        journal.write_text("")
        live.unlink(missing_ok=True)
        if not crashed(orion, journal, live, at, TEARS[written]):
            break
        ticker = supervised(orion, journal, live)
        summary = run_sprint(ticker, ASKED)
        check(ticker.context, summary, journal, live, at)
        shutil.rmtree(orion.folder)
        shutil.copytree(clean, orion.folder, symlinks=True)
        at += stride
    print(f"killed at every {stride}. of {at} steps of a round, {written} of an append written, each time gone on with")
    assert (10 if TEARS[written](9) else 25) < at < MOST


def check(context, summary, journal, live, at):
    events = [*context.mailbox.log.read()]
    assert summary.decision == "APPROVED - Deploy", (at, summary)
    assert set(Counter(journal.read_text().split("\n")[:-1]).values()) == {1}, at
    deployed = live.read_text().count("live") if live.exists() else 0
    outcomes = [event.data["outcome"] for event in events if event.kind == "deploy.finished"]
    assert outcomes == (["deployed"] if deployed else ["failed"]), (at, outcomes, deployed)
    assert deployed <= 1, at
    for kind, key in (("review.told", "commit"), ("review.asked", "tip"), ("round.decided", "commit")):
        own = [event.data[key] for event in events if event.kind == kind]
        assert len(own) == len(set(own)), (at, kind, own)
    vetoes = [event for event in events if event.kind == "mail.sent" and event.data.get("type") == "veto"]
    assert len(vetoes) == 1, at
    assert not context.mailbox.log.verify().corrupt
