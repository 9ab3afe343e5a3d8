"""The agent that is one function, called in process."""

from __future__ import annotations

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.personas.agent import Assignment, Job, Outcome
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.kinds import OutcomeStatus


@pytest.fixture
def job(tmp_path):
    """Make a job for a persona, with the input of its task."""
    (tmp_path / "work").mkdir()

    def make(persona: str, description: str = "Do it.", timeout: float = 20.0, **given) -> Job:
        task = Assignment("dispatch-1", "t", description, given)
        folder = tmp_path / "runs" / persona
        return Job("r", persona, 1, 0, "words", tmp_path / "work", folder, tmp_path, timeout, assignment=task)

    return make


def test_the_value_of_a_function_is_the_output(job):
    """No file is written and no prompt is rendered."""
    this = job("ann", n=20)
    outcome = FunctionAgent(lambda job: job.assignment.input["n"] * 2.1).play(this)
    assert (outcome.status, outcome.exit, outcome.output, outcome.detail) == ("ok", 0, 42.0, "exit 0")
    assert "prompt" not in vars(this)
    assert not this.folder.exists()


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (ValueError("no\nsuch \x1b[1mthing"), "failed", "ValueError: no\\nsuch \\x1b[1mthing"),
        (KeyError("n"), "failed", "KeyError: 'n'"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (RecursionError(), "failed", "RecursionError"),
    ],
)
def test_a_function_that_raises_has_failed(job, error, status, detail):
    """The detail is one printable line, and there is no result."""

    def raises(_):
        raise error

    outcome = FunctionAgent(raises).play(job("ann"))
    assert (outcome.status, outcome.detail, outcome.output) == (status, detail, None)


def test_a_function_that_raises_after_a_stop_was_stopped(job):
    """That is not a failure; a function that returns normally has done its work."""

    def raises(job):
        job.stop.set()
        raise RuntimeError("stop")

    outcome = FunctionAgent(raises).play(job("ann"))
    assert (outcome.status, outcome.detail) == ("stopped", "RuntimeError: stop")
    assert FunctionAgent(lambda job: job.stop.set()).play(job("ann")).status == "ok"


def test_a_function_that_takes_too_long_has_no_result(job):
    """It cannot be ended from outside, but its late value is dropped."""
    clock = ManualClock()
    outcome = FunctionAgent(lambda _: clock.sleep(3.0) or 1, clock).play(job("ann", timeout=2.0))
    assert outcome == Outcome(OutcomeStatus.TIMEOUT, None, 3.0, "no end within 2s")
    assert FunctionAgent(lambda _: clock.sleep(2.0) or 1, clock).play(job("ann", timeout=2.0)).output == 1


def test_what_a_function_says_is_its_output(job, monkeypatch):
    """It stands in the file that others follow, at once, and no more of it than is kept of a command's."""
    monkeypatch.setattr("team_mail.personas.agent.MOST_SAID", 12)
    this, seen = job("ann"), []

    def play(job):
        for text in ("Grüße, ", "half \ud800", "more", "and more"):
            job.say(text)
            seen.append((job.folder / "output.log").stat().st_size)

    assert FunctionAgent(play).play(this).status == "ok"
    assert (this.folder / "output.log").read_text() == "Grüße, hal\n[output cut here: no more of it is kept]\n"
    assert seen == [9, *[seen[1]] * 3]


def test_a_function_writes_through_no_link(job, tmp_path):
    """Whatever stands in the place of its output is not written to."""
    this, kept = job("ann"), tmp_path / "kept"
    this.folder.mkdir(parents=True)
    kept.write_text("mine")
    (this.folder / "output.log").symlink_to(kept)
    assert FunctionAgent(lambda job: job.say("x")).play(this).status == "failed"
    assert kept.read_text() == "mine"
