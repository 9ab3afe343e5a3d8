"""What a team has done: sprints, dispatches and requests in one list, each with the line that does it again."""

from __future__ import annotations

import pytest
from team_mail.mail.log.event import Draft
from team_mail.mail.process import myself
from team_mail.scheduler.kinds import AskStep, Kind
from team_mail.scheduler.overview.past import past

GONE = {"boot": "another", "pid": 1, "start": "1"}
START = {"base": "", "branch": "", "agent": None, "config": {}}


def started(name, *tasks, supervisor=GONE, **cause):
    data = START | {"dispatch": name, "tasks": [{"task_id": task} for task in tasks], "supervisor": supervisor}
    return Draft(Kind.DISPATCH_STARTED, "scheduler", data=data | cause)


def run(name, task, usd):
    data = {"sprint": 0, "persona": "ann", "attempt": 1, "tick": 0, "base": "", "agent": "shell", "reason": "task"}
    data |= {"dispatch": name, "task": task, "mail": [], "supervisor": GONE, "input": {}}
    end = {"persona": "ann", "agent": "shell", "status": "ok", "seconds": 1.0, "detail": "", "dispatch": name}
    end |= {"task": task, "usage": {"usd": usd, "input": 1, "output": 1}}
    key = f"{name} {task}"
    kinds = ((Kind.RUN_STARTED, data), (Kind.RUN_FINISHED, end))
    return [Draft(kind, "scheduler", run=key, data=values) for kind, values in kinds]


def finished(name, successful, failed):
    data = {"dispatch": name, "successful": successful, "failed": failed, "skipped": 0, "seconds": 1.0}
    return Draft(Kind.DISPATCH_FINISHED, "scheduler", data=data)


def ask(step, request="Mend the login"):
    return {"ask": {"id": "0198-ask-00001111", "step": step, "request": request}}


def test_sprints_dispatches_and_requests_are_listed_with_result_money_and_the_line_that_repeats_them(team):
    """A request is one line, whatever its dispatches are; one that was cut off is gone on with."""
    team.sprint({"ann": team.replaced(1, "ann")})
    context = team.context()
    context.append(
        [
            started("d-partial0", "a", "b"), *run("d-partial0", "a", 0.5), finished("d-partial0", 1, 1),
            started("d-plan0000", "ask-plan-1", **ask(AskStep.PLAN)), *run("d-plan0000", "ask-plan-1", 0.25),
            finished("d-plan0000", 1, 0),
            started("d-work0000", "find", "fix", **ask(AskStep.WORK)), *run("d-work0000", "find", 1.0),
            finished("d-work0000", 2, 0),
            started("d-answer00", "ask-answer", **ask(AskStep.ANSWER)), finished("d-answer00", 1, 0),
            started("d-cutoff00", "a", schedule={"name": "nightly", "at": "x"}),
            started("d-living00", "a", supervisor=myself()),
        ]
    )  # fmt: skip

    found = past(context, 20)

    base = team.git("rev-parse", "main")[:12]
    rows = [(each.kind, each.id, each.tasks, each.result, each.usage.usd, each.again) for each in found.deeds]
    assert rows == [
        (
            "sprint", "1", ("ann", "bob", "cyd"), "converged", found.deeds[0].usage.usd,
            f"scheduler sprint --base {base} --mode parallel",
        ),
        ("dispatch", "partial0", ("a", "b"), "partial", 0.5, "team replay partial0"),
        ("ask", "00001111", ("find", "fix"), "success", 1.25, "team replay work0000"),
        ("dispatch", "cutoff00", ("a",), "cut off", None, "team dispatch --resume cutoff00"),
        ("dispatch", "living00", ("a",), "under way", None, "team replay living00"),
    ]  # fmt: skip
    assert [each.cause for each in found.deeds] == ["asked for", "", "Mend the login", "schedule nightly", ""]
    last = past(context, 2)
    assert ([each.id for each in last.deeds], last.older) == (["cutoff00", "living00"], True)
    assert not found.older


@pytest.mark.parametrize(("supervisor", "result"), [(GONE, "cut off"), (myself(), "under way")])
def test_a_request_without_tasks_is_asked_again_with_its_own_words(team, supervisor, result):
    """Quoted for the shell; one whose planner is still at work has not failed."""
    context = team.context()
    request = 'Don\'t "stop"'
    context.append([started("d-plan0000", "ask-plan-1", supervisor=supervisor, **ask(AskStep.PLAN, request))])
    (deed,) = past(context, 5).deeds
    assert (deed.result, deed.tasks) == (result, ())
    assert deed.again == "team ask 'Don'\"'\"'t \"stop\"'"
    context.append([finished("d-plan0000", 0, 1)])
    assert past(context, 5).deeds[0].result == "failure"


def test_a_team_that_did_nothing_has_no_past(team):
    """Nothing fails."""
    assert past(team.context(), 5).document() == []
