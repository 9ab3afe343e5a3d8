"""Tasks with conditions: which run and which are skipped, and how that is told, recorded and gone on with."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from team_mail.scheduler.dispatch.preview import DispatchPreview
from team_mail.scheduler.limits.routing import Choice
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team.api.traces import trace_task
from team_mail.team.dispatcher import DispatchBegun
from team_mail.team.open import open_for_dispatch
from team_mail.team.show.dispatch import DispatchShow, summary
from team_mail.team.show.dispatch import preview as shown
from team_mail.team.show.trace import task as task_lines

from .test_dispatch import cut_off, desk, name_of, project, statuses, task, written

__all__ = ["desk", "project"]


def when(of: str, key: str = "ok", **test: object) -> dict[str, object]:
    return {"task": of, "key": key, **test}


def giving(**outputs: object):
    """An agent that gives what stands here for a task, and fails where that is an exception."""

    def play(job):
        output = outputs.get(name_of(job), {})
        if isinstance(output, Exception):
            raise output
        return output

    return play


CHECK = task("check")
AGAIN = task("again", "check", when=when("check", equals=False), input_data={"why": "{{ tasks.check.output.why }}"})
REPORT = task("report", "again", input_data={"check": "{{ tasks.check.output }}"})


@pytest.mark.parametrize("ok", [True, False])
def test_only_what_does_not_comply_is_made_again_and_the_report_is_written_in_both_cases(desk, ok):
    """The skipped task costs no run and is no failure; whoever only waits for it runs."""
    done = desk.run(giving(check={"ok": ok, "why": "floats"}), CHECK, AGAIN, REPORT)

    assert statuses(done) == {"check": "success", "again": "skipped" if ok else "success", "report": "success"}
    assert (done.status, done.results[1].error) == ("success", None)
    ran = [event["data"]["task"] for event in desk.events("run.started")]
    assert ran == (["check", "report"] if ok else ["check", "again", "report"])


def test_a_skipped_task_is_told_in_the_result_the_trace_and_the_log(desk):
    """With what was read; it has neither output nor error, and is counted apart."""
    done = desk.run(giving(check={"ok": True, "why": "x"}), CHECK, AGAIN, task("bad", "check", agent="scribe"))
    document = done.document()

    skipped = document["results"][1]
    assert skipped == {
        "task_id": "again", "status": "skipped", "why": "check.ok is true", "execution_time_ms": 0,
        "trace_file": str(desk.traces / "again.json"),
    }  # fmt: skip
    assert document["summary"] == {
        "total_tasks": 3, "successful": 2, "failed": 0, "skipped": 1, "total_time_ms": done.total_time_ms,
    }  # fmt: skip
    trace = json.loads((desk.traces / "again.json").read_text())
    assert (trace["when"], trace["why"]) == (when("check", equals=False), "check.ok is true")
    assert (trace["output"], trace["error"], trace["input"]) == (None, None, AGAIN.input_data)
    (end,) = [event["data"] for event in desk.events("task.finished") if event["data"]["task"] == "again"]
    assert end == {
        "dispatch": done.correlation_id, "task": "again", "persona": "forge", "status": "skipped", "error": "",
        "why": "check.ok is true",
    }  # fmt: skip
    (finished,) = desk.events("dispatch.finished")
    assert [finished["data"][name] for name in ("successful", "failed", "skipped")] == [2, 0, 1]
    assert {task["task_id"]: task["status"] for task in json.loads(Path(done.trace_index).read_text())["tasks"]} == {
        "check": "success", "again": "skipped", "bad": "success",
    }  # fmt: skip


def test_a_trace_without_a_condition_has_no_word_of_one(desk):
    """The keys of other traces are those that they always were."""
    desk.run(giving(), CHECK)

    assert not {"when", "why"} & json.loads((desk.traces / "check.json").read_text()).keys()


def test_whoever_needs_the_output_of_a_skipped_task_is_skipped_as_well(desk):
    """By its input or by its condition, directly or through others; the reason names the task."""
    tasks = [
        CHECK, AGAIN,
        task("by-input", "again", input_data={"deep": [{"x": "{{ tasks.again.output.file }}"}]}),
        task("by-condition", "again", when=when("again", "file", equals="x")),
        task("through", "by-input", input_data={"x": "{{ tasks.by-input.output }}"}),
        task("waits", "by-input", "by-condition", "through"),
    ]  # fmt: skip
    done = desk.run(giving(check={"ok": True, "why": "x"}), *tasks)

    assert {result.task_id: result.why for result in done.results if result.status == "skipped"} == {
        "again": "check.ok is true",
        "by-input": "task 'again' was skipped, and its input asks for the output of that",
        "by-condition": "task 'again' was skipped, and its condition asks for the output of that",
        "through": "task 'by-input' was skipped, and its input asks for the output of that",
    }
    assert done.results[-1].status == "success"


@pytest.mark.parametrize(
    ("output", "test", "says"),
    [
        ({"okay": 1}, {"equals": False}, "check.ok: there is no ok; did you mean okay?"),
        ({"ok": "0.7"}, {"below": 0.8}, 'check.ok is "0.7", which is no number'),
        ({"ok": True}, {"above": 0}, "check.ok is true, which is no number"),
    ],
)
def test_a_condition_that_cannot_be_decided_fails_its_task(desk, output, test, says):
    """It is neither run nor skipped, and not retried, as the output will not change; its dependents are blocked."""
    tasks = [CHECK, task("fix", "check", when=when("check", **test), retries=3), task("end", "fix"), task("free")]
    done = desk.run(giving(check=output), *tasks)

    assert statuses(done) == {"check": "success", "fix": "error", "end": "blocked", "free": "success"}
    assert done.status == "partial"
    assert says in done.results[1].error
    assert Counter(event["data"]["task"] for event in desk.events("run.started")) == {"check": 1, "free": 1}


def test_a_condition_on_a_task_that_failed_is_not_looked_at(desk):
    """Its task is blocked, as any that depends on a failed one."""
    done = desk.run(giving(check=ValueError("no")), CHECK, AGAIN, REPORT)

    assert statuses(done) == {"check": "error", "again": "blocked", "report": "blocked"}


def test_what_was_skipped_stays_skipped_when_a_dispatch_is_resumed(desk):
    """The decision is on record once, and what failed after it is done."""
    outputs = {"check": {"ok": True, "why": "x"}, "report": ValueError("no paper")}
    first = desk.run(giving(**outputs), CHECK, AGAIN, REPORT)
    again = desk.dispatcher(giving()).resume(first.correlation_id)

    assert statuses(first) == {"check": "success", "again": "skipped", "report": "error"}
    assert (first.status, again.status) == ("partial", "success")
    assert statuses(again) == {"check": "success", "again": "skipped", "report": "success"}
    assert again.results[1].why == "check.ok is true"
    assert [event["data"]["task"] for event in desk.events("task.finished")].count("again") == 1
    assert Counter(event["data"]["task"] for event in desk.events("run.started")) == {"check": 1, "report": 2}


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.storm)])
def test_a_dispatch_killed_at_any_append_skips_the_same_tasks_once(project, team, monkeypatch, stride):
    """Whenever it is cut off, the resumed one comes to the same decisions, and writes none of them twice."""

    def play(job):
        written(f"{name_of(job)}.txt", "x\n")(job)
        return {"ok": True}

    tasks = [
        CHECK,
        task("runs", "check", when=when("check", equals=True)),
        task("skipped", "check", when=when("check", equals=False)),
        task("needs", "skipped", input_data={"x": "{{ tasks.skipped.output }}"}),
        task("report", "runs", "needs"),
    ]
    steps = 0
    while not cut_off(monkeypatch, project, play, tasks, steps):
        steps += stride
        begun = [e["data"]["dispatch"] for e in project.events("dispatch.started")] if steps > 1 else []
        if not begun:
            continue
        done = project.dispatcher(play).resume(begun[-1])
        mine = [e for e in project.events() if e["data"].get("dispatch") == begun[-1]]
        ended = Counter((e["data"]["task"], e["data"]["status"]) for e in mine if e["kind"] == "task.finished")
        assert ended == {
            ("check", "success"): 1, ("runs", "success"): 1, ("report", "success"): 1, ("skipped", "skipped"): 1,
            ("needs", "skipped"): 1,
        }, steps  # fmt: skip
        assert done.status == "success"
        files = team.git("ls-tree", "--name-only", done.branch).split()
        assert {"check.txt", "runs.txt", "report.txt"} == {name for name in files if name != "poem.txt"}, steps
    assert steps > 8


# -- against an oracle


@st.composite
def graphs(draw):
    """Random tasks, each behind some of those before it, with conditions, references, outputs and failures."""
    tasks: list[Task] = []
    outputs: dict[str, object] = {}
    for number in range(draw(st.integers(2, 7))):
        name, before = f"t{number}", [each.task_id for each in tasks]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        fields: dict[str, object] = {}
        if needs and draw(st.booleans()):
            test = draw(st.sampled_from([{"equals": True}, {"equals": 1}, {"below": 2}, {"above": 0.5}]))
            fields["when"] = when(draw(st.sampled_from(needs)), draw(st.sampled_from(["n", "n", "n", "gone"])), **test)
        if needs and draw(st.booleans()):
            fields["input_data"] = {"x": f"{{{{ tasks.{draw(st.sampled_from(needs))}.output.n }}}}"}
        tasks.append(task(name, *needs, **fields))
        outputs[name] = draw(st.sampled_from([{"n": True}, {"n": 1}, {"n": 0}, {"n": 3}, {"n": "1"}, ValueError("no")]))
    return tasks, outputs


def foretold(tasks: list[Task], outputs: dict[str, object]) -> dict[str, str]:
    """What becomes of each task, said as naively as the documentation does."""
    ends: dict[str, str] = {}
    for each in tasks:
        condition = each.when
        if any(ends[name] in {"error", "blocked"} for name in each.dependencies):
            ends[each.task_id] = "blocked"
        elif any(
            ends[name] == "skipped"
            for name in each.dependencies
            if (condition and condition.task == name) or f"tasks.{name}." in str(each.input_data)
        ):
            ends[each.task_id] = "skipped"
        else:
            value = outputs[condition.task].get(condition.key) if condition else None
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if condition is None:
                met = True
            elif condition.key == "gone" or (condition.equals is None and not is_number):
                met = None
            elif condition.equals is not None:
                met = json.dumps(value) == json.dumps(condition.equals)
            else:
                met = value < condition.below if condition.below is not None else value > condition.above
            failed = met is None or isinstance(outputs[each.task_id], Exception)
            ends[each.task_id] = "skipped" if met is False else "error" if failed else "success"
    return ends


@pytest.mark.parametrize("many", [15, pytest.param(200, marks=pytest.mark.storm)])
def test_random_graphs_run_fail_and_skip_as_the_documentation_says(desk, many):
    """Whatever the order in which tasks end; nothing that was skipped, blocked or undecided has run."""

    @settings(max_examples=many, deadline=None)
    @given(graphs())
    def carried_out(graph):
        tasks, outputs = graph
        for folder in (desk.home, desk.traces):
            shutil.rmtree(folder, ignore_errors=True)
        expected = foretold(tasks, outputs)

        done = desk.run(giving(**outputs), *tasks)

        assert statuses(done) == expected
        assert done.counts == Counter(expected.values())
        failed = {"error", "blocked"} & {*expected.values()}
        assert done.status == ("success" if not failed else "partial" if "success" in expected.values() else "failure")
        ran = {event["data"]["task"] for event in desk.events("run.started")}
        assert ran >= {name for name, end in expected.items() if end == "success"}
        assert not ran & {name for name, end in expected.items() if end in {"skipped", "blocked"}}

    carried_out()


# -- for people


def test_a_dry_run_shows_conditions(desk):
    """In the text and in the document, where only a task that has one has the key."""
    tasks = (CHECK, AGAIN)
    plan = DispatchPreview(tasks, DispatchConfig(), {each.task_id: Choice("shell") for each in tasks})

    assert "again: only if check.ok equals false" in [*shown(plan)]
    assert [each.get("when") for each in plan.document()["tasks"]] == [None, when("check", equals=False)]


def test_a_task_that_waits_is_shown_with_its_condition():
    """In the live table, in front of its description; that of another one is alone."""
    with DispatchShow(quiet=True) as show:
        tasks = (task("a", description="Look."), task("b", "a", description="Mend it.", when=when("a", above=6)))
        show.on_progress(DispatchBegun("2 tasks to do", tasks))
        console = Console(file=io.StringIO(), width=80)
        console.print(show.table())
    rows = [text.split(maxsplit=3)[2:] for text in console.file.getvalue().splitlines()[:2]]
    assert [" ".join(row).split() for row in rows] == [
        ["waiting", "Look."], ["waiting", "only", "if", "a.ok", "is", "above", "6:", "Mend", "it."],
    ]  # fmt: skip


def test_a_skipped_task_is_shown_with_its_reason(desk, capsys):
    """As a row of the live table, as a line elsewhere, in the summary, and in its trace."""
    tasks = (CHECK, AGAIN, REPORT)
    with DispatchShow() as show:
        dispatcher = desk.dispatcher(giving(check={"ok": True, "why": "x"}))
        dispatcher.listener = show.on_progress
        done = dispatcher.dispatch(tasks)
    told = capsys.readouterr().err.splitlines()
    assert [text for text in told if "again" in text] == ["  again: skipped, check.ok is true"]
    console = Console(file=io.StringIO(), width=80)
    console.print(show.table())
    rows = [text.split() for text in console.file.getvalue().splitlines()]
    assert ["again", "1", "skipped", "0.0", "s", "check.ok", "is", "true"] in rows
    assert rows[-1] == ["3", "of", "3", "over"]
    lines = [*summary(done)]
    assert any(
        text.split()[:3] == ["again", "forge", "skipped"] and text.endswith("check.ok is true") for text in lines
    )
    assert any(text.startswith("success: 2 done, 1 skipped, in ") for text in lines)
    context, _ = open_for_dispatch(desk.home)
    traced = [*task_lines(trace_task(context, "again"))]
    assert traced[0] == f"again: skipped, in dispatch {done.correlation_id}"
    assert any("when" in text and "only if check.ok equals false" in text for text in traced)
    assert "skipped: check.ok is true" in traced
