"""Dispatches of a team with several agents: which one goes on with a task that another one could not do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from team_mail.scheduler.progress import Progress
from team_mail.scheduler.tasks.task import DispatchConfig
from team_mail.team.dispatcher import ParallelDispatcher

from .test_dispatch import Desk, desk, statuses, task

__all__ = ["desk"]

DONE = "cat > /dev/null"
REFUSED = 'cat > /dev/null; echo "API Error: 429 usage limit reached, try again in {} hours" >&2; exit 1'
FIRST_FAILS = "cat > /dev/null; test -e {0}/failed && exit 0; touch {0}/failed; exit 7"


def settings(desk: Desk, order: list[str], more: str = "", budgets: Sequence[str] = (), **agents: str) -> None:
    """Write the settings of agents that are shell scripts, or paths of programs; those of `budgets` may run once."""
    text = f"[team]\nagent = {json.dumps(order)}\n{more}"
    for name, script in agents.items():
        command = [script] if script.startswith("/") else ["sh", "-c", script]
        text += f"[agents.{name}]\ncommand = {json.dumps(command)}\n"
        text += 'budget = "1 runs"\n' if name in budgets else ""
    desk.home.mkdir()
    (desk.home / "team.toml").write_text(text)


def dispatcher(desk: Desk, listener: Callable[[Progress], object] = print, agent: str | None = None):
    config = DispatchConfig(trace_dir=str(desk.traces), max_workers=1)
    return ParallelDispatcher(config, home=desk.home, listener=listener, agent=agent)


def played(desk: Desk) -> list[str]:
    return [event["data"]["agent"] for event in desk.events("run.started")]


@pytest.fixture
def broken(tmp_path) -> str:
    """A program that is there and cannot be started."""
    program = tmp_path / "broken"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    return str(program)


def test_a_task_whose_agents_budget_went_to_somebody_else_meanwhile_goes_to_the_next_agent(desk):
    """Between the choice and the start another dispatch takes the last run; that fails nothing."""
    settings(desk, ["gone", "paid", "free"], gone="/no/such/agent", paid=DONE, free=DONE, budgets=["paid"])

    def take_the_last_run(progress: Progress) -> None:
        if progress.text.startswith("a: paid, as gone is missing"):
            dispatcher(desk, agent="paid").dispatch([task("other")])

    done = dispatcher(desk, take_the_last_run).dispatch([task("a")])

    assert statuses(done) == {"a": "success"}
    assert played(desk) == ["paid", "free"]
    passed = {each["agent"]: each["why"] for each in desk.events("run.started")[-1]["data"]["route"]["passed"]}
    assert passed["paid"] == "may use no more (the budget of agent paid for the day is spent: 1 of 1 run)"


def test_a_task_fails_once_the_budgets_of_all_its_agents_are_spent(desk):
    """And says which budget it was."""
    settings(desk, ["one", "two"], one=DONE, two=DONE, budgets=["one", "two"])
    done = dispatcher(desk).dispatch([task("a"), task("b"), task("c")])
    assert statuses(done) == {"a": "success", "b": "success", "c": "error"}
    assert "the budget of agent one for the day is spent: 1 of 1 run" in done.results[2].error
    assert played(desk) == ["one", "two"]


@pytest.mark.parametrize("second", ["refused", "broken"])
def test_a_task_waits_for_the_agent_that_can_soonest(desk, broken, second):
    """Not for the one that was asked last, which takes more later, or never."""
    scripts = {"refused": REFUSED.format(3), "broken": broken}
    settings(desk, ["soon", "later"], soon=REFUSED.format(2), later=scripts[second])
    waits: list[str] = []

    def end(progress: Progress) -> None:
        if progress.text.startswith("a: parked until "):
            waits.append(progress.text)
            running.end()

    running = dispatcher(desk, end)
    assert statuses(running.dispatch([task("a")])) == {"a": "cancelled"}

    until = datetime.fromisoformat(desk.events("run.finished")[0]["data"]["until"])
    assert f"{until:%H:%M:%S}Z" in waits[0]
    assert "try again in 2 hours" in waits[0]
    assert played(desk) == ["soon", "later"]


def test_an_agent_that_failed_goes_on_where_the_next_one_cannot_start(desk, broken):
    """As long as the task has attempts left, of which the other one spent none."""
    settings(desk, ["flaky", "broken"], flaky=FIRST_FAILS.format(desk.folder), broken=broken)
    done = dispatcher(desk).dispatch([task("a", retries=1, retry_backoff=0.01)])
    assert statuses(done) == {"a": "success"}
    assert played(desk) == ["flaky", "broken", "flaky"]


def test_agents_that_refuse_each_other_without_a_time_spend_the_tasks_retries(desk):
    """The first of them alone is passed on for nothing, so there is an end."""
    settings(desk, ["one", "two"], one=REFUSED.format(0), two=REFUSED.format(0))
    done = dispatcher(desk).dispatch([task("a", retries=2, retry_backoff=0.01)])
    assert statuses(done) == {"a": "error"}
    assert played(desk) == ["one", "two", "one", "two"]


def test_an_agent_that_fails_three_tasks_gives_way_whatever_is_asked_of_a_poor_budget(desk):
    """A rule for little money that names one agent does not hide what others do while there is enough."""
    rules = '[budget]\nday = "100 runs"\n[route.poor]\nbudget_left = 0.1\nagent = "cheap"\n'
    settings(desk, ["bad", "good"], rules, bad=f"{DONE}; exit 7", good=DONE, cheap=DONE)
    dispatcher(desk).dispatch([task(name) for name in "abcd"])
    assert played(desk) == ["bad", "bad", "bad", "good"]


def test_the_budget_of_a_sprint_is_nothing_to_a_dispatch(desk):
    """Nor to its rules."""
    rules = '[budget]\nsprint = "2 runs"\n[route.poor]\nbudget_left = 0.9\nagent = "cheap"\n'
    settings(desk, ["dear"], rules, dear=DONE, cheap=DONE)
    dispatcher(desk).dispatch([task(name) for name in "abc"])
    assert played(desk) == ["dear", "dear", "dear"]
