"""The contract of every agent: one suite over the command, the recording, the scripts and the function."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from team_mail.personas.agent import Agent, Assignment, Job, Outcome
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.agents.replay import ReplayAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.personas.agents.scripts import bundled_agent
from team_mail.personas.kinds import OutcomeStatus

EDIT = "printf 'new\\n' > file.txt"
PATCH = "diff --git a/file.txt b/file.txt\n--- a/file.txt\n+++ b/file.txt\n@@ -1 +1 @@\n-old\n+new\n"


def command(folder: Path) -> Agent:
    """A shell command that plays three personas."""
    play = f"case $TEAM_PERSONA in editor) {EDIT};; breaker) exit 3;; esac"
    return CommandAgent("shell", ("sh", "-c", f"cat > /dev/null; {play}"))


def replay(folder: Path) -> Agent:
    """Recorded patches that do the same."""
    (folder / "editor.patch").write_text(PATCH)
    (folder / "breaker.patch").write_text(PATCH.replace("-old", "-other"))
    return ReplayAgent(folder)


def scripted(folder: Path) -> Agent:
    """Functions that do the same."""

    def breaker(job: Job) -> Outcome:
        return Outcome(OutcomeStatus.FAILED, 3, 0.0, "exit 3")

    return ScriptedAgent(
        {"editor": lambda job: (job.workspace / "file.txt").write_text("new\n") and None, "breaker": breaker}
    )


def function(folder: Path) -> Agent:
    """One function that plays all of them."""

    def play(job: Job) -> None:
        if job.persona == "breaker":
            raise RuntimeError("exit 3\nand more")
        if job.persona == "editor":
            (job.workspace / "file.txt").write_text("new\n")

    return FunctionAgent(play)


def asked(folder: Path) -> Agent:
    """The bundled script, with a task to do the same; it has no way to fail."""
    values = {"contract_description": "new", "output_path": "file.txt", "node_type": "Compute"}
    return Asked(Assignment("dispatch-1", "edit", "", values))


@dataclass(frozen=True)
class Asked:
    """Gives the bundled script its task, with the editor as its coder."""

    task: Assignment

    def trouble(self) -> str | None:
        return bundled_agent().trouble()

    def play(self, job: Job) -> Outcome:
        who = {"editor": "coder"}.get(job.persona, job.persona)
        return bundled_agent().play(replace(job, persona=who, assignment=self.task))


AGENTS = [command, replay, scripted, function, asked]


@pytest.fixture(params=AGENTS, ids=lambda make: make.__name__)
def agent(request, tmp_path) -> Agent:
    folder = tmp_path / "recorded"
    folder.mkdir()
    return request.param(folder)


@pytest.fixture
def job(tmp_path):
    """Make a job whose workspace is a repository with one file."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    subprocess.run(["git", "init", "--quiet", "."], cwd=workspace, check=True)
    (workspace / "file.txt").write_text("old\n")

    def make(persona: str) -> Job:
        folder = tmp_path / "runs" / persona
        folder.mkdir(parents=True)
        return Job(f"run-{persona}", persona, 1, 1, f"You are {persona}.", workspace, folder, tmp_path / ".team", 20.0)

    return make


def test_an_agent_that_can_play_reports_no_trouble(agent):
    """Nothing is wrong before the first run."""
    assert agent.trouble() is None


@pytest.mark.parametrize(("persona", "status", "text"), [("editor", "ok", "new\n"), ("idler", "ok", "old\n")])
def test_a_run_that_ends_well_leaves_its_work_in_the_workspace(agent, job, persona, status, text):
    """A run without changes ends well, too; the prompt is in the run's folder if the agent uses one."""
    played = job(persona)
    outcome = agent.play(played)
    assert (outcome.status, outcome.exit, (played.workspace / "file.txt").read_text()) == (status, 0, text)
    assert isinstance(agent, FunctionAgent) or (played.folder / "prompt.md").read_text() == f"You are {persona}."
    assert outcome.seconds >= 0


@pytest.mark.parametrize("agent", [make for make in AGENTS if make is not asked], indirect=True)
def test_a_run_that_fails_returns_an_outcome_with_a_reason(agent, job):
    """The outcome has the exit code and one line for people; nothing is raised."""
    outcome = agent.play(job("breaker"))
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.exit not in {0, None}
    assert outcome.detail
    assert "\n" not in outcome.detail


def test_a_run_that_is_stopped_before_it_begins_never_begins(agent, job):
    """Every agent checks `stop` first."""
    played = job("editor")
    played.stop.set()
    outcome = agent.play(played)
    assert outcome.status is OutcomeStatus.STOPPED
    assert (played.workspace / "file.txt").read_text() == "old\n"


@pytest.mark.parametrize("persona", ["editor", "idler"])
def test_a_result_can_be_written_as_json(agent, job, persona):
    """It goes into the log, traces and the input of other tasks; a recording has none."""
    task = Assignment("dispatch-1", "edit", "Edit it.", {"n": 1})
    outcome = agent.play(replace(job(persona), assignment=task))
    assert json.loads(json.dumps(outcome.output, allow_nan=False)) == outcome.output


def test_the_status_of_an_outcome_is_an_outcome_status():
    """An agent may write it as plain text; an unknown status is refused before it reaches the log."""
    assert Outcome("timeout", None, 1.0, "late").status is OutcomeStatus.TIMEOUT
    with pytest.raises(ValueError, match="'done' is not a valid OutcomeStatus"):
        Outcome("done", 0, 1.0, "exit 0")
