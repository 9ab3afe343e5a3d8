"""The agents that are shipped for users' own tests: recorded patches, and functions."""

import doctest
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from team_mail.personas.agent import Assignment, Outcome
from team_mail.personas.agents import function, replay, scripted
from team_mail.personas.agents.replay import ReplayAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.personas.kinds import OutcomeStatus


@pytest.fixture
def recorded(job, tmp_path):
    """Make a workspace with one file, and recorded patches for it."""
    this = job()
    subprocess.run(["git", "init", "-q"], cwd=this.workspace, check=True)
    (this.workspace / "a").write_text("one\n")
    folder = tmp_path / "recordings"
    folder.mkdir()
    patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-{}\n+{}\n"
    (folder / "bob.patch").write_text(patch.format("one", "two"))
    (folder / "bob.2.patch").write_text(patch.format("two", "three"))
    (folder / "eve.patch").write_text(patch.format("other", "three"))
    return ReplayAgent(folder)


def test_a_patch_is_replayed_by_persona_and_attempt(recorded, job):
    """Each attempt has its own patch; without one the run ends well and changes nothing."""
    assert recorded.trouble() is None
    for attempt, text in ((1, "two\n"), (2, "three\n"), (3, "three\n")):
        assert recorded.play(job(attempt=attempt)).status == "ok"
        assert (job().workspace / "a").read_text() == text
    assert recorded.play(job(persona="nobody")).detail == "no nobody.patch is recorded: nothing changed"


def test_a_patch_that_does_not_apply_fails_the_run(recorded, job, output):
    """Git's own message is the reason, in the outcome and in the output."""
    outcome = recorded.play(job(persona="eve"))
    assert outcome.status == "failed"
    assert outcome.detail == "eve.patch does not apply: git apply: patch failed: a:1"
    assert "patch does not apply" in output(job())
    assert "record them there" in (ReplayAgent(Path("/none")).trouble() or "")


def test_a_scripted_agent_calls_the_function_of_the_persona(job):
    """The function's return value is the outcome; an exception fails the run."""
    this = job()

    def fails(_):
        raise RuntimeError("out of ideas")

    agent = ScriptedAgent(
        {
            "bob": lambda job: (job.workspace / "a").write_text(job.prompt) and None,
            "eve": fails,
            "max": lambda _: Outcome(OutcomeStatus.TIMEOUT, None, 3.0, "no end within 3s"),
        }
    )
    assert agent.trouble() is None
    assert agent.play(this) == Outcome(OutcomeStatus.OK, 0, 0.0, "exit 0")
    assert (this.workspace / "a").read_text() == "do it"
    assert agent.play(job(persona="eve")).detail == "RuntimeError: out of ideas"
    assert agent.play(job(persona="max")).status == "timeout"
    assert agent.play(job(persona="ann")).status == "ok"
    this.stop.set()
    assert agent.play(this).status == "stopped"
    assert [played.persona for played in agent.played] == ["bob", "eve", "max", "ann", "bob"]


def test_a_script_can_return_a_result(job):
    """A mapping is the result, an Outcome is taken as it is; `default` plays personas without a script."""
    agent = ScriptedAgent(
        {
            "ann": lambda _: {"n": 1},
            "bob": lambda _: Outcome(OutcomeStatus.OK, 0, 1.0, "exit 0", output=[2]),
            "cyd": lambda _: None,
        },
        default=lambda job: {"who": job.persona},
    )
    results = [agent.play(job(persona=name)).output for name in ("ann", "bob", "cyd", "dan")]
    assert results == [{"n": 1}, [2], None, {"who": "dan"}]


@pytest.mark.parametrize("module", [function, replay, scripted], ids=lambda module: module.__name__.split(".")[-1])
def test_the_examples_in_the_docstrings_run(module, job, tmp_path, monkeypatch):
    """Each example has three lines, and prints what it says."""
    this = replace(job(persona="scribe"), assignment=Assignment("d", "t", "Add up.", {"prices": [3, 4]}))
    subprocess.run(["git", "init", "-q"], cwd=this.workspace, check=True)
    (tmp_path / "recordings").mkdir()
    new_file = "diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+one\n"
    (tmp_path / "recordings" / "scribe.patch").write_text(new_file)
    monkeypatch.chdir(tmp_path)

    tested = doctest.testmod(module, extraglobs={"job": this})

    assert (tested.failed, tested.attempted) == (0, 2)
