"""The state of sprints as a fold over facts: what can be asked of it."""

from __future__ import annotations

import pytest
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.state.facts import Fact
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.sprints import sprint_numbered


def started(number):
    data = {
        "sprint": number, "id": "s", "base_branch": "main", "base": "b" * 40, "branch": f"team/sprint-{number}",
        "mode": "parallel", "rule": "a rule", "reason": "asked for", "personas": ["ann"],
    }  # fmt: skip
    return Fact(number, "2026-01-01T09:00:00Z", Kind.SPRINT_STARTED, "scheduler", None, None, data, "0" * 32)


def test_a_sprint_is_chosen_by_its_number():
    """Without a number it is the last one; an unknown number is refused, and the message names the way to a list."""
    state = fold([started(1), started(2)])
    assert [sprint_numbered(state, number).number for number in (None, 1, 2)] == [2, 1, 2]
    with pytest.raises(NoSuchRun, match="no sprint 3; the last is 2, scheduler history lists them"):
        sprint_numbered(state, 3)
    with pytest.raises(NoSuchRun, match="no sprint yet"):
        sprint_numbered(fold([]), None)


def test_what_a_run_does_after_it_was_given_up_is_late():
    """Its end and its patch count for nothing then, and the run is marked (A9)."""
    launch = {
        "persona": "ann", "attempt": 1, "tick": 1, "sprint": 1, "base": "b" * 40, "agent": "shell", "reason": "batch",
        "mail": [], "supervisor": {},
    }  # fmt: skip
    told = [
        (Kind.RUN_STARTED, launch),
        (Kind.RUN_LOST, {"why": "its scheduler is gone"}),
        (Kind.PATCH_CAPTURED, {"patch": {"sha256": "a" * 64, "size": 9}, "files": ["x"]}),
        (Kind.RUN_FINISHED, {"status": "ok", "seconds": 1.0, "detail": "exit 0"}),
    ]
    facts = [
        Fact(2 + at, "2026-01-01T09:00:00Z", kind, "scheduler", None, "run-1", data, "0" * 32)
        for at, (kind, data) in enumerate(told)
    ]
    (run,) = fold([started(1), *facts]).runs
    assert (run.status, run.late, run.detail) == ("lost", True, "its scheduler is gone")
    assert fold([started(1), *facts]).patches == ()
