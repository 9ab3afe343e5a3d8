"""The state of sprints as a fold over facts: what can be asked of it."""

from __future__ import annotations

import pytest
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.state.facts import Fact
from team_mail.scheduler.state.sprints import fold, sprint_numbered


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
    with pytest.raises(NoSuchRun, match="no sprint 3; the last is 2, scheduler history lists all"):
        sprint_numbered(state, 3)
    with pytest.raises(NoSuchRun, match="no sprint yet"):
        sprint_numbered(fold([]), None)
