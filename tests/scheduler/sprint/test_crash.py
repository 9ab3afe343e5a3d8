"""T14: the scheduler is killed with SIGKILL at every step of a sprint, and started again."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import traceback
from collections import Counter

import pytest
from team_mail.mail.log.log import EventLog
from team_mail.personas.git import Git
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint

ASKED = StartRequest("asked for")
TEARS = {"nothing": lambda _: 0, "half": lambda count: count // 2, "all but one": lambda count: count - 1}
MOST = 60
GATE = '[gates.tests]\ncommand = ["true"]\n'


class Bomb:
    """Counts the steps in which a tick writes anything, and kills the process at one of them.

    An append of several events may be interrupted: `tear` returns how many of them are still written.
    """

    def __init__(self, at: int, tear) -> None:
        self.at = at
        self.tear = tear
        self.torn = tear(9) > 0
        self.steps = 0

    def step(self, last=lambda: None) -> None:
        self.steps += 1
        if self.steps == self.at:
            last()
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self) -> None:
        append, run = EventLog.append, Git.run

        def appended(log, drafts):
            written = self.tear(len(drafts))
            if written or (drafts and not self.torn):
                self.step(lambda: append(log, drafts[:written]))
            return append(log, drafts)

        def ran(git, *words, **given):
            if not self.torn and {"update-ref", "index-pack"}.intersection(words):
                self.step()
            return run(git, *words, **given)

        EventLog.append, Git.run = appended, ran


def played(team, journal):
    """Two personas that conflict once; each attempt that is really run adds a line to a journal."""

    def play(job):
        with journal.open("a") as file:
            file.write(f"{job.persona} {job.run}\n")
        landed = "taken" in (job.workspace / "poem.txt").read_text()
        team.replaced(8 if landed else 3, f"taken by {job.persona}")(job)

    return {"ann": play, "bob": play}


def crashed(team, scripts, at, tear):
    """Run a sprint in a child process that dies at a step; tell whether that step was reached.

    What earlier tests left as garbage is none of the child's: databases in it have threads that no fork brings along.
    """
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            ticker = team.ticker(scripts, GATE)
            Bomb(at, tear).arm()
            run_sprint(ticker, ASKED)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    gc.unfreeze()
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status), "the sprint failed by itself"
    return status != 0


@pytest.mark.parametrize("stride", [14, pytest.param(1, marks=pytest.mark.storm)])
@pytest.mark.parametrize(("first", "written"), [*enumerate(TEARS, start=1)])
def test_a_sprint_continues_wherever_its_scheduler_was_killed(team, tmp_path, first, written, stride):
    """No attempt runs twice, no patch lands twice or is lost, and the log verifies."""
    (team.home / "personas" / "cyd.md").unlink()
    journal, at = tmp_path / "journal", min(first, stride)
    clean = tmp_path / "clean"
    shutil.copytree(team.folder, clean, symlinks=True)
    while at < MOST:
        journal.write_text("")
        if not crashed(team, played(team, journal), at, TEARS[written]):
            break
        result = team.sprint(played(team, journal), GATE)
        check(team, result, journal, at)
        shutil.rmtree(team.folder)
        shutil.copytree(clean, team.folder, symlinks=True)
        at += stride
    print(
        f"killed at every {stride}. of {at} steps of a sprint, {written} of an append written, each time gone on with"
    )
    assert (5 if TEARS[written](9) else 15) < at < MOST


def check(team, result, journal, at):
    assert (result.sprint, result.converged, sorted(result.landed)) == (1, True, ["ann", "bob"]), at
    launches = Counter(journal.read_text().split("\n")[:-1])
    assert set(launches.values()) == {1}, (at, launches)
    trailers = team.git("log", "--format=%(trailers:key=Team-Mail-Run,valueonly)", "main..team/sprint-1").split()
    assert len(trailers) == len(set(trailers)) == 2, at
    text = team.text("team/sprint-1")
    assert sorted([text[3], text[8]]) == ["taken by ann", "taken by bob"], at
    context = team.context()
    state = context.state()
    assert state.sprints[-1].commits[-1] == team.git("rev-parse", "team/sprint-1"), at
    assert not context.mailbox.log.verify().corrupt
    assert [run.status for run in state.runs if run.status == "open"] == []
    assert not any(state.unread.values())
