"""The same unread mail is never in the prompts of two live runs, whichever processes started them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..console import Piped
from ..waiting import until_there
from .test_scheduler import Project

# A run that is not held ends at once; one that is tells that it is there, and goes on when it is told to.
HELD = """
cat > /dev/null
case "$TEAM_TASK" in free*) exit 0 ;; esac
if [ -e {folder}/held ]; then echo ready > {folder}/ready; exit "$(head -c 1 {folder}/go)"; fi
"""


class Held(Project):
    """A team of which ann's runs can be held while they have read their prompts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pipes = folder.with_name("pipes")
        self.pipes.mkdir()
        for name in ("ready", "go"):
            os.mkfifo(self.pipes / name)
        self._ready, self._go = (os.open(self.pipes / name, os.O_RDWR) for name in ("ready", "go"))

    def close(self) -> None:
        os.close(self._ready)
        os.close(self._go)

    def hold(self) -> None:
        (self.pipes / "held").touch()

    def wait_for(self, runs: int) -> None:
        """Wait until this many runs are held; those that start from now on are not."""
        told = b""
        while told.count(b"\n") < runs:
            told += os.read(self._ready, 100)
        (self.pipes / "held").unlink()

    def release(self, *codes: int) -> None:
        os.write(self._go, "".join(map(str, codes)).encode())

    def mail(self, subject: str) -> str:
        return json.loads(self.ok("team-mail", "send", "--from", "you", "--to", "ann", "-s", subject, "--json"))["id"]

    def tasks(self, name: str, *ids: str) -> str:
        tasks = [{"task_id": task, "agent": "ann"} for task in ids]
        (self.folder / name).write_text(json.dumps({"tasks": tasks, "config": {"trace_dir": str(self.pipes / name)}}))
        return name

    def prompts(self, *runs: str) -> dict[str, str]:
        folders = [self.team / "runs" / run for run in runs] or [*(self.team / "runs").iterdir()]
        return {folder.name: (folder / "prompt.md").read_text() for folder in folders}

    def last(self) -> str:
        """The prompt of the run that was started last."""
        run = self.events("run.started")[-1]["run"]
        return self.prompts(run)[run]


def code_of(process: Piped) -> int:
    """Wait for the end of a process, and return its exit code."""
    process.communicate(timeout=60)
    return process.returncode


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Held]:
    folder = tmp_path / "project"
    folder.mkdir()
    team = Held(folder)
    team.git("init", "--quiet", "--initial-branch=main")
    team.git("commit", "--quiet", "--allow-empty", "-m", "Begin")
    (team.team / "personas").mkdir(parents=True)
    (team.team / "personas" / "ann.md").write_text("---\nid: ann\n---\nWork.\n")
    team.agent(HELD.replace("{folder}", str(team.pipes)), '[sprint]\nretry_backoff = "0s"\n')
    yield team
    team.close()


def test_runs_of_two_dispatches_that_start_at_once_share_no_message(team):
    """Four runs of one persona in two processes: each message is in one prompt, and all are read at their ends."""
    mails = {subject: team.mail(subject) for subject in ("Alpha", "Bravo", "Charlie")}
    team.hold()
    files = [team.tasks("one.json", "a", "b"), team.tasks("two.json", "c", "d")]
    dispatches = [team.start("team", "dispatch", file) for file in files]
    team.wait_for(4)
    prompts = team.prompts()
    given = {event["run"]: event["data"]["mail"] for event in team.events("run.started")}
    team.release(0, 0, 0, 0)
    assert [*map(code_of, dispatches)] == [0, 0]
    for subject, mail in mails.items():
        assert [subject in prompt for prompt in prompts.values()].count(True) == 1, subject
        assert all(mail in given[run] for run, prompt in prompts.items() if subject in prompt)
    assert sorted(event["ref"] for event in team.events("mail.read")) == sorted(mails.values())


def test_a_sprint_leaves_out_what_a_dispatch_has_in_a_prompt_and_gives_it_again_once_that_has_failed(team):
    """Its dry run says the same; the mail is no reason to launch either, as long as it is in that prompt."""
    mail = team.mail("Alpha")
    team.hold()
    dispatch = team.start("team", "dispatch", team.tasks("one.json", "a"))
    team.wait_for(1)
    (launch,) = team.document("sprint", "--dry-run")["launches"]
    assert (launch["unread"], launch["mail"]) == (0, [])
    summary = team.document("sprint")
    assert (summary["converged"], summary["runs"]) == (True, 1)
    assert "You have no unread messages" in team.last()
    team.release(1)
    assert code_of(dispatch) == 1
    assert team.events("mail.read") == []

    team.document("sprint")

    assert "Alpha" in team.last()
    assert [event["ref"] for event in team.events("mail.read")] == [mail]


def test_a_dispatch_leaves_out_what_a_run_has_that_outlives_its_scheduler(team):
    """A tick was killed, and its run goes on: its mail is its own until its end is on record."""
    mail = team.mail("Alpha")
    team.hold()
    tick = team.start("scheduler", "tick")
    team.wait_for(1)
    tick.send_signal(signal.SIGKILL)
    code_of(tick)
    team.ok("team", "dispatch", team.tasks("one.json", "free"))
    assert "You have no unread messages" in team.last()
    team.release(0)
    assert team.document("sprint")["converged"]
    assert [event["ref"] for event in team.events("mail.read")] == [mail]


def test_a_run_that_was_killed_with_its_dispatch_holds_no_mail(team):
    """Nobody need resume the dispatch for its mail to reach the next run."""
    team.mail("Alpha")
    team.hold()
    dispatch = team.start("team", "dispatch", team.tasks("one.json", "a"))
    team.wait_for(1)
    dispatch.send_signal(signal.SIGKILL)
    code_of(dispatch)
    team.release(0)
    (killed,) = team.prompts()
    until_there(team.team / "runs" / killed / "ended.json")  # the keeper ends the run once its scheduler is gone
    team.ok("team", "dispatch", team.tasks("two.json", "free"))
    assert "Alpha" in team.last()
