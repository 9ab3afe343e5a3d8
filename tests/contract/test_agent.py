"""What every agent keeps, whoever plays: one suite over the command, the recording and the script."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from team_mail.personas.agent import Agent, Job, Outcome
from team_mail.personas.command import CommandAgent
from team_mail.personas.replay import ReplayAgent
from team_mail.personas.scripted import ScriptedAgent

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


@pytest.fixture(params=[command, replay, scripted], ids=lambda make: make.__name__)
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
    """Or nothing, which is a good end, too; the prompt is among the run's papers."""
    played = job(persona)
    outcome = agent.play(played)
    assert (outcome.status, outcome.exit, (played.workspace / "file.txt").read_text()) == (status, 0, text)
    assert (played.folder / "prompt.md").read_text() == f"You are {persona}."
    assert outcome.seconds >= 0


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
