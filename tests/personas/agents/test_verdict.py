"""How a run ended: its process and its stream of events have to agree before it is a success."""

from __future__ import annotations

import pytest
from team_mail.personas.agent import Outcome
from team_mail.personas.agents.verdict import verdict
from team_mail.personas.streams.transcript import Transcript

SUCCESS = Transcript("Done.", known=True, finished=True)
REFUSED = Transcript("", failed="429 Too Many Requests", known=True, finished=True)
CUT = Transcript("I look.", known=True)
COMPLAINT = Transcript("", known=True, complaint="401")
PLAIN = Transcript("Done.")


@pytest.mark.parametrize(
    ("outcome", "transcript", "status", "detail"),
    [
        (Outcome("ok", 0, 1.0, "exit 0"), SUCCESS, "ok", "exit 0"),
        (Outcome("ok", 0, 1.0, "exit 0"), PLAIN, "ok", "exit 0"),
        (
            Outcome("ok", 0, 1.0, "exit 0"), REFUSED, "failed",
            "exit 0, but the agent reported an error: 429 Too Many Requests",
        ),
        (Outcome("ok", 0, 1.0, "exit 0"), CUT, "failed", "exit 0, but its stream broke off without its final event"),
        (
            Outcome("ok", 0, 1.0, "exit 0"), COMPLAINT, "failed",
            "exit 0, but its stream broke off without its final event: 401",
        ),
        (
            Outcome("failed", 1, 1.0, "exit 1"), REFUSED, "failed",
            "exit 1; the agent reported an error: 429 Too Many Requests",
        ),
        (Outcome("failed", 1, 1.0, "exit 1"), COMPLAINT, "failed", "exit 1; the agent reported an error: 401"),
        (Outcome("failed", 1, 1.0, "exit 1"), CUT, "failed", "exit 1"),
        (Outcome("failed", 1, 1.0, "exit 1"), SUCCESS, "failed", "exit 1, after a final event that says success"),
        (Outcome("failed", None, 1.0, "killed by SIGKILL"), SUCCESS, "failed", "killed by SIGKILL"),
        (
            Outcome("timeout", None, 1.0, "no end within 5m"), COMPLAINT, "timeout",
            "no end within 5m; the agent reported an error: 401",
        ),
        (Outcome("stopped", None, 1.0, "stopped"), REFUSED, "stopped", "stopped"),
    ],
)  # fmt: skip
def test_process_and_stream_decide_together(outcome, transcript, status, detail):
    """What the agent said of its failure is the reason, whatever its exit code."""
    judged = verdict(outcome, transcript)
    assert (judged.status, judged.detail) == (status, detail)


def test_an_exit_code_after_success_counts_as_the_agent_is_set_up():
    """Only after a final event that says success."""
    bad = Outcome("failed", 1, 1.0, "exit 1")
    assert verdict(bad, SUCCESS, "ok").status == "ok"
    for transcript in (REFUSED, CUT, COMPLAINT, PLAIN):
        assert verdict(bad, transcript, "ok").status == "failed"


def test_what_depends_on_the_changes_is_left_open():
    """Denied tools, and an empty result, are told apart from a run that did its work all the same."""
    ended = Outcome("ok", 0, 1.0, "exit 0")
    denied = verdict(ended, Transcript("Done.", known=True, finished=True, denied="Write, Bash"))
    assert (denied.status, denied.unless_heard) == ("ok", "")
    assert denied.unless_changed == "it was not allowed to use Write, Bash, and changed nothing"
    assert "its result is empty" in verdict(ended, Transcript("", known=True, finished=True)).unless_heard
    assert verdict(ended, Transcript("")).unless_heard == ""
