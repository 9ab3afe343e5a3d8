"""What every agent keeps, whoever plays: one suite over the command, the recording, the scripts and the function."""

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

EDIT = "printf 'new\\n' > file.txt"
PATCH = "diff --git a/file.txt b/file.txt\n--- a/file.txt\n+++ b/file.txt\n@@ -1 +1 @@\n-old\n+new\n"


def command(folder: Path) -> Agent:
    """A shell that plays three personas."""
    play = f"case $TEAM_PERSONA in editor) {EDIT};; breaker) exit 3;; esac"
    return CommandAgent("shell", ("sh", "-c", f"cat > /dev/null; {play}"))


def replay(folder: Path) -> Agent:
    """Recordings of the same."""
    (folder / "editor.patch").write_text(PATCH)
    (folder / "breaker.patch").write_text(PATCH.replace("-old", "-other"))
    return ReplayAgent(folder)


def scripted(folder: Path) -> Agent:
    """Functions that do the same."""

    def breaker(job: Job) -> Outcome:
        return Outcome("failed", 3, 0.0, "exit 3")

    return ScriptedAgent(
        {"editor": lambda job: (job.workspace / "file.txt").write_text("new\n") and None, "breaker": breaker}
    )


def function(folder: Path) -> Agent:
    """One function that plays them all."""

    def play(job: Job) -> None:
        if job.persona == "breaker":
            raise RuntimeError("exit 3\nand more")
        if job.persona == "editor":
            (job.workspace / "file.txt").write_text("new\n")

    return FunctionAgent(play)


def asked(folder: Path) -> Agent:
    """The bundled script, asked by a task to do the same; nothing that it is asked for can break it."""
    given = {"contract_description": "new", "output_path": "file.txt", "node_type": "Compute"}
    return Asked(Assignment("dispatch-1", "edit", "", given))


@dataclass(frozen=True)
class Asked:
    """Gives the bundled script its task: the editor's is one for its coder."""

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
    """What an agent is given; the workspace is a repository with one file."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    subprocess.run(["git", "init", "--quiet", "."], cwd=workspace, check=True)
    (workspace / "file.txt").write_text("old\n")

    def make(persona: str) -> Job:
        folder = tmp_path / "runs" / persona
        folder.mkdir(parents=True)
        return Job(f"run-{persona}", persona, 1, 1, f"You are {persona}.", workspace, folder, tmp_path / ".team", 20.0)

    return make


def test_an_agent_that_can_play_says_so(agent):
    """Nothing is wrong before anything is started."""
    assert agent.trouble() is None


@pytest.mark.parametrize(("persona", "status", "text"), [("editor", "ok", "new\n"), ("idler", "ok", "old\n")])
def test_a_run_that_ends_well_leaves_its_work_in_the_workspace(agent, job, persona, status, text):
    """Or nothing, which is a good end, too; the prompt is among the run's papers, if anybody asked for it."""
    played = job(persona)
    outcome = agent.play(played)
    assert (outcome.status, outcome.exit, (played.workspace / "file.txt").read_text()) == (status, 0, text)
    assert isinstance(agent, FunctionAgent) or (played.folder / "prompt.md").read_text() == f"You are {persona}."
    assert outcome.seconds >= 0


@pytest.mark.parametrize("agent", [make for make in AGENTS if make is not asked], indirect=True)
def test_a_run_that_fails_is_an_outcome_with_a_reason_not_an_error(agent, job):
    """The exit code as it was, and one line for people."""
    outcome = agent.play(job("breaker"))
    assert outcome.status == "failed"
    assert outcome.exit not in {0, None}
    assert outcome.detail
    assert "\n" not in outcome.detail


def test_a_run_that_is_to_end_before_it_began_never_begins(agent, job):
    """Stop is heard at once, by each."""
    played = job("editor")
    played.stop.set()
    outcome = agent.play(played)
    assert outcome.status == "stopped"
    assert (played.workspace / "file.txt").read_text() == "old\n"


@pytest.mark.parametrize("persona", ["editor", "idler"])
def test_a_result_is_one_that_json_can_hold(agent, job, persona):
    """It goes into the log, into traces, and into the input of other tasks; a recording has none."""
    task = Assignment("dispatch-1", "edit", "Edit it.", {"n": 1})
    outcome = agent.play(replace(job(persona), assignment=task))
    assert json.loads(json.dumps(outcome.output, allow_nan=False)) == outcome.output
