"""Whole dispatches: tasks in, results, traces and a branch out, whatever fails, is stopped or interrupted."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from team_mail.mail.clock import ManualClock
from team_mail.mail.errors import TeamMailError
from team_mail.mail.letter import Letter
from team_mail.personas.agent import Job, Outcome
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.scheduler.dispatch.output import DispatchOutput, index, trace
from team_mail.scheduler.dispatch.preview import DispatchPreview
from team_mail.scheduler.dispatch.resuming import input_of
from team_mail.scheduler.dispatch.traces import Traces
from team_mail.scheduler.errors import BranchMoved, InvalidTasks, NoSuchRun, NotLeader, NotReady
from team_mail.scheduler.leader import Leader
from team_mail.scheduler.runs.record import RunRecord
from team_mail.scheduler.sprint.control import stop_run
from team_mail.scheduler.state.dispatches import read_dispatch
from team_mail.scheduler.tasks.builder import TaskBuilder
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team import dispatcher as door
from team_mail.team.dispatcher import ParallelDispatcher
from team_mail.team.open import open_for_dispatch
from team_mail.team.session import ending
from team_mail.team.show.dispatch import DispatchShow, standing_of, state_of
from team_mail.team.show.dispatch import preview as shown
from team_mail.team.show.live import Row

from ...on_server import log_file

PATIENCE = 20.0


class Desk:
    """A folder outside of any repository, with a dispatcher whose agent is a function of the job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".team"
        self.traces = folder / "traces"

    def dispatcher(self, play, **config) -> ParallelDispatcher:
        agent = play if hasattr(play, "play") else FunctionAgent(play)
        return ParallelDispatcher(DispatchConfig(trace_dir=str(self.traces), **config), agent=agent, home=self.home)

    def run(self, play, *tasks: Task, **config):
        return self.dispatcher(play, **config).dispatch(tasks)

    def events(self, *kinds: str) -> list[dict]:
        lines = log_file(self.home).read_text().splitlines()
        return [e for e in map(json.loads, lines) if not kinds or e["kind"] in kinds]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAM_DISPATCH_REPOSITORY", "false")
    return Desk(tmp_path)


@pytest.fixture
def project(team):
    """The same in a repository, where runs work in clones and leave patches."""
    return Desk(team.folder)


def task(name: str, *dependencies: str, agent: str = "forge", **fields) -> Task:
    return Task(task_id=name, agent=agent, dependencies=dependencies, **fields)


def name_of(job: Job) -> str:
    assert job.assignment
    return job.assignment.task


def echo(job: Job) -> dict:
    assert job.assignment
    return {"of": job.assignment.task, "got": dict(job.assignment.input)}


def statuses(done) -> dict[str, str]:
    return {result.task_id: result.status for result in done.results}


# -- results


def test_a_reference_inserts_the_output_of_a_dependency_with_its_type(desk):
    """A reference alone keeps its type; one within text becomes text."""
    give = {"list": [1, {"k": None}], "n": 7}

    def play(job):
        return give if name_of(job) == "a" else echo(job)

    done = desk.run(
        play,
        task("a"),
        task("b", "a", input_data={"whole": "{{ tasks.a.output.list }}", "text": "n={{tasks.a.output.n}}"}),
    )
    assert done.results[1].output["got"] == {"whole": [1, {"k": None}], "text": "n=7"}
    assert done.status == "success"


def test_a_reference_that_cannot_be_filled_fails_only_its_task(desk):
    """Its dependents are blocked, and the other tasks run."""
    done = desk.run(
        echo,
        task("a"),
        task("b", "a", input_data={"x": "{{ tasks.a.output.missing }}"}),
        task("c", "b"),
        task("d", "a"),
    )
    assert statuses(done) == {"a": "success", "b": "error", "c": "blocked", "d": "success"}
    assert "missing" in done.results[1].error
    assert "'b'" in done.results[2].error


def test_every_task_has_one_result_in_the_order_given(desk):
    """A task with two failed dependencies is blocked once; independent tasks are done."""

    def play(job):
        if name_of(job).startswith("bad"):
            raise ValueError("no")

    tasks = [task("end", "bad1", "bad2", "good"), task("bad2"), task("good"), task("bad1"), task("last", "end")]
    done = desk.run(play, *tasks)
    assert statuses(done) == {"end": "blocked", "bad2": "error", "good": "success", "bad1": "error", "last": "blocked"}
    assert [item.task_id for item in done.results] == [item.task_id for item in tasks]
    document = done.document()
    assert document["status"] == "partial"
    assert document["summary"] == {
        "total_tasks": 5, "successful": 1, "failed": 4, "skipped": 0, "total_time_ms": done.total_time_ms,
    }  # fmt: skip
    assert {*document["results"][2]} == {"task_id", "status", "output", "execution_time_ms", "trace_file"}
    assert {*document["results"][1]} == {"task_id", "status", "error", "execution_time_ms", "trace_file"}
    assert [e["data"]["task"] for e in desk.events("task.finished")].count("end") == 1


def test_a_dispatch_without_a_success_is_a_failure(desk):
    """It is not a partial one."""
    done = desk.run(lambda _: 1 / 0, task("a"), task("b", "a"))
    assert done.status == "failure"
    assert done.results[0].error == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        (None, {}),
        ("text", "text"),
        ({"long": "x" * 40_000}, {"long": "x" * 40_000}),
        ({"nul": "\0", "half": "\ud800", "big": 1 << 70}, {"nul": "\0", "half": "\ud800", "big": 1 << 70}),
    ],
)
def test_outputs_of_any_size_and_content_are_kept_whole(desk, output, kept):
    """Those that do not fit into a line of the log are stored in a blob, and can be referenced all the same."""
    done = desk.run(lambda job: output if name_of(job) == "a" else echo(job), task("a"), task("b", "a"))
    assert done.results[0].output == kept
    assert statuses(done) == {"a": "success", "b": "success"}


@pytest.mark.parametrize("output", [float("nan"), {"a": object()}, {1: {2, 3}}])
def test_an_output_that_is_not_json_fails_its_task(desk, output):
    """The error says so, and nothing is made up."""
    done = desk.run(lambda _: output, task("a"))
    assert done.status == "failure"
    assert "its result cannot be kept" in done.results[0].error


def test_an_output_is_copied_when_it_is_returned(desk):
    """An agent that returns the same object each time, or changes its input, changes no record."""
    tally = {"n": 0}

    def play(job):
        tally["n"] += 1
        job.assignment.input["mine"] = True
        return tally

    done = desk.run(play, task("a"), task("b", "a"))
    assert [result.output for result in done.results] == [{"n": 1}, {"n": 2}]
    assert json.loads((desk.traces / "a.json").read_text())["input"] == {}


def test_an_exception_in_a_supplied_agent_fails_only_its_run(desk):
    """The other tasks run, whatever it raises."""

    class Broken:
        def trouble(self):
            return None

        def play(self, job):
            if name_of(job) == "a":
                raise LookupError("no such page")
            return Outcome("ok", 0, 0.0, "exit 0")

    done = desk.run(Broken(), task("a"), task("b"))
    assert statuses(done) == {"a": "error", "b": "success"}
    assert done.results[0].error == "LookupError: no such page"


@pytest.mark.filterwarnings("ignore:listener failed")
def test_an_exception_in_the_listener_fails_no_task(desk):
    """Its pipe is closed: tasks that succeeded have succeeded once, and their dependents are done."""

    def listener(_):
        raise BrokenPipeError

    dispatcher = desk.dispatcher(echo)
    dispatcher.listener = listener
    done = dispatcher.dispatch([task("a"), task("b", "a")])
    assert statuses(done) == {"a": "success", "b": "success"}
    assert [e["data"]["status"] for e in desk.events("task.finished")] == ["success"] * 2


def test_tasks_may_come_from_a_generator(desk):
    """The checks do not exhaust it."""
    done = desk.dispatcher(echo).dispatch(task(name) for name in "ab")
    assert statuses(done) == {"a": "success", "b": "success"}


# -- order, limits, time


def test_a_fast_branch_does_not_wait_for_a_slow_one(desk):
    """The slow task ends only after the dependent of the fast one has started: with waves this would block forever."""
    seen = threading.Event()

    def play(job):
        if name_of(job) == "after fast":
            seen.set()
        assert name_of(job) != "slow" or seen.wait(PATIENCE)

    play_ids = {"slow": (), "fast": (), "after-fast": ("fast",), "end": ("slow", "after-fast")}

    def named(job):
        return play(replace(job, assignment=replace(job.assignment, task=name_of(job).replace("-", " "))))

    done = desk.run(named, *(task(name, *after) for name, after in play_ids.items()))
    assert set(statuses(done).values()) == {"success"}


def test_concurrency_is_limited_in_all_and_per_persona(desk):
    """Two tasks of forge must meet to finish; scribe never has two at once."""
    meet, turn, now, most = threading.Barrier(2), threading.Lock(), Counter(), Counter()

    def play(job):
        with turn:
            now[job.persona] += 1
            now["all"] += 1
            for who in (job.persona, "all"):
                most[who] = max(most[who], now[who])
        if job.persona == "forge":
            meet.wait(PATIENCE)
        with turn:
            now[job.persona] -= 1
            now["all"] -= 1

    tasks = [task(f"f{n}") for n in range(2)] + [task(f"s{n}", agent="scribe") for n in range(6)]
    done = desk.run(play, *tasks, max_workers=3, max_per_agent={"scribe": 1})
    assert done.status == "success"
    assert most["scribe"] == 1
    assert most["forge"] == 2
    assert most["all"] <= 3


def test_ready_tasks_start_by_priority_then_by_longest_remaining_chain(desk):
    """One worker shows the order: urgent tasks first, then the head of the longest chain."""
    order = []
    done = desk.run(
        lambda job: order.append(name_of(job)),
        task("short"), task("chain"), task("link", "chain"), task("urgent", priority=5),
        max_workers=1,
    )  # fmt: skip
    assert done.status == "success"
    assert order == ["urgent", "chain", "short", "link"]


def test_a_failed_task_is_retried_as_often_as_it_says(desk):
    """It fails twice and succeeds the third time; each attempt is a run."""
    left = [2]

    def play(_):
        left[0] -= 1
        if left[0] >= 0:
            raise ValueError(f"{left[0]} more")
        return "at last"

    done = desk.run(play, task("a", retries=2, retry_backoff=0.0))
    assert (done.status, done.results[0].output) == ("success", "at last")
    assert [e["data"]["status"] for e in desk.events("run.finished")] == ["failed", "failed", "ok"]
    assert len({e["run"] for e in desk.events("run.started")}) == 3


def test_a_task_fails_after_its_last_retry(desk):
    """The error is that of the last attempt."""

    def play(job):
        raise ValueError(f"attempt {job.attempt}")

    done = desk.run(play, task("a", retries=2, retry_backoff=0.0))
    assert done.results[0].error == "ValueError: attempt 3"
    assert len(desk.events("run.started")) == 3


@pytest.mark.parametrize(
    ("fields", "config", "seconds"),
    [({"timeout_seconds": 5.0}, {"timeout_seconds": 60.0}, 5.0), ({}, {"timeout_seconds": 9.0}, 9.0), ({}, {}, 300.0)],
)
def test_a_tasks_time_limit_overrides_that_of_the_dispatch(desk, fields, config, seconds):
    """A task that takes longer fails, with the documented error."""
    clock, given = ManualClock(), []

    def play(job):
        given.append(job.timeout)
        clock.sleep(seconds + 1)

    done = desk.run(FunctionAgent(play, clock), task("a", **fields), **config)
    assert given == [seconds]
    assert done.results[0].error.startswith("Task timeout exceeded: ")


# -- refusals


def test_all_problems_are_reported_before_anything_starts(desk):
    """Unknown dependency, cycle, unknown persona and repeated name are reported together, and nothing is recorded."""
    tasks = [task("a", "b"), task("b", "a"), task("c", "nobody"), task("d", agent="forg"), task("D")]
    with pytest.raises(InvalidTasks) as raised:
        desk.run(echo, *tasks)
    problems = "\n".join(raised.value.problems)
    for words in (
        "Circular dependency detected involving task 'a'", "Task 'c' depends on unknown task 'nobody'",
        "did you mean forge", "'D'",
    ):  # fmt: skip
        assert words in problems
    assert not (desk.home / "mail" / "events.jsonl").exists()
    assert not desk.traces.exists()


def test_a_typed_input_is_checked_again_after_its_references_are_filled(desk):
    """A value that comes from another task can only be judged then."""
    given = {"contract_description": "x", "node_type": "{{ tasks.a.output.kind }}", "output_path": "x.py"}
    done = desk.run(lambda _: {"kind": "Teapot"}, task("a"), task("b", "a", agent="coder", input_data=given))
    assert statuses(done) == {"a": "success", "b": "error"}
    assert "node_type" in done.results[1].error
    assert len(desk.events("run.started")) == 1


def test_a_missing_agent_is_named_with_an_alternative(desk):
    """A new user without a team is pointed to the agent that needs no model."""
    with pytest.raises(NotReady, match=r"no agent 'shell'.*--agent scripted"):
        ParallelDispatcher(home=desk.home).dispatch([task("a")])


def test_an_unwritable_trace_folder_is_reported_before_the_start(desk):
    """A file is in the place of the folder."""
    desk.traces.write_text("")
    with pytest.raises(NotReady, match="traces"):
        desk.run(echo, task("a"))
    assert not desk.events("run.started") if (desk.home / "mail" / "events.jsonl").exists() else True


# -- traces


def test_traces_and_index_agree_with_the_log(desk):
    """The files written during the dispatch equal those made from the log afterwards."""
    done = desk.run(echo, task("a", input_data={"deep": [{"x": "y"}]}), task("b", "a"), task("bad", agent="scribe"))
    context, _ = open_for_dispatch(desk.home)
    dispatch = read_dispatch(context.mailbox.projections)
    given = input_of(context, dispatch)
    for item in given.tasks:
        written = json.loads((desk.traces / f"{item.task_id}.json").read_text())
        assert written == trace(dispatch, item, context.mailbox.blobs)
        assert [*written] == [
            "task_id", "agent", "input", "output", "error", "execution_time_ms", "mcp_calls", "timestamp",
            "usage",
        ]  # fmt: skip
    written = json.loads(Path(done.trace_index).read_text())
    assert written == index(dispatch, given.tasks, given.config, lambda name: str(desk.traces / f"{name}.json"))
    assert [*written] == ["correlation_id", "dispatch_timestamp", "total_time_ms", "task_count", "config", "tasks"]
    assert written["correlation_id"] == done.correlation_id


def test_two_dispatches_started_in_the_same_second_write_two_indexes(desk):
    """The later index has its short id in the name, and neither replaces the other."""
    tasks = [task("a")]
    outputs = [desk.run(echo, *tasks) for _ in range(2)]
    context, _ = open_for_dispatch(desk.home)
    states = [read_dispatch(context.mailbox.projections, output.correlation_id) for output in outputs]
    for state in states:
        state.sitting = "2026-01-02T03:04:05.678901Z"

    traces = Traces(str(desk.traces), context.mailbox.blobs)
    paths = [traces.write_index(state, tasks, DispatchConfig()) for state in states]

    assert [Path(path).name for path in paths] == [
        "dispatch-20260102_030405.json", f"dispatch-20260102_030405_{states[1].short}.json",
    ]  # fmt: skip
    written = [json.loads(Path(path).read_text())["correlation_id"] for path in paths]
    assert written == [output.correlation_id for output in outputs]


def test_a_symbolic_link_in_the_trace_folder_is_replaced_and_not_followed(desk):
    """Nothing outside of the folder is written."""
    desk.traces.mkdir()
    victim = desk.folder / "victim"
    victim.write_text("mine")
    (desk.traces / "a.json").symlink_to(victim)
    done = desk.run(echo, task("a"))
    assert done.results[0].trace_file
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("kept", ['{"keep": 1}', "[1]", "", "{", '"x"', "[" * 100_000, "folder"])
def test_a_file_that_is_no_trace_is_left_as_it_is(desk, kept):
    """Whoever writes the tasks names folder and files, such as the settings of an editor; nothing is started then."""
    desk.traces.mkdir()
    victim = desk.traces / "settings.json"
    if kept == "folder":
        victim.mkdir()
    else:
        victim.write_text(kept)
    with pytest.raises(NotReady, match=r"settings.json is there already, and is no trace of a task; name another"):
        desk.run(echo, task("a"), task("settings"))
    assert victim.is_dir() if kept == "folder" else victim.read_text() == kept
    assert not (desk.home / "mail").exists() or desk.events("run.started") == []


def test_a_file_that_appears_while_a_dispatch_runs_is_left_as_it_is(desk):
    """It is told; the next dispatch replaces the traces of this one."""

    def meddle(job):
        (desk.traces / f"{job.assignment.task}.json").write_text("mine")
        return echo(job)

    assert desk.run(meddle, task("a")).results[0].trace_file is None
    assert (desk.traces / "a.json").read_text() == "mine"
    for _ in range(2):
        assert desk.run(echo, task("b")).results[0].trace_file


def test_a_trace_that_cannot_be_written_does_not_fail_its_task(desk):
    """A folder is in its place: the result has no trace file, and the log has the facts."""
    progress = []

    def meddle(job):
        (desk.traces / "a.json").mkdir(exist_ok=True)
        return echo(job)

    dispatcher = desk.dispatcher(meddle)
    dispatcher.listener = progress.append
    done = dispatcher.dispatch([task("a"), task("b")])
    assert statuses(done) == {"a": "success", "b": "success"}
    assert done.results[0].trace_file is None
    assert any("a.json cannot be written" in report.text for report in progress)
    assert not [path for path in desk.traces.iterdir() if path.name.startswith(".")]


# -- patches


def written(name: str, text: str):
    def play(job: Job):
        path = job.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return {"wrote": name}

    return play


def test_a_task_works_on_the_changes_of_its_dependencies(team, project):
    """The second reads the first one's file in its own clone; both land on the branch of the dispatch."""

    def play(job):
        if name_of(job) == "a":
            return written("a.txt", "from a\n")(job)
        return written("b.txt", (job.workspace / "a.txt").read_text().upper())(job)

    done = project.run(play, task("a"), task("b", "a"))
    assert done.status == "success"
    assert done.landed == 2
    assert team.text(done.branch, "b.txt") == ["FROM A"]
    assert team.git("branch", "--show-current") == "main"
    assert not (team.folder / "a.txt").exists()
    assert "Team-Mail-Run: " in team.git("log", "-1", "--format=%B", done.branch)


def test_a_task_whose_patch_conflicts_runs_again_on_the_new_base(team, project):
    """Two tasks change the same line: one lands, the other has the conflict in its prompt and one more attempt."""
    both, prompts = threading.Barrier(2), {}

    def play(job):
        prompts[name_of(job), job.attempt] = job.prompt
        text = (job.workspace / "poem.txt").read_text()
        marked = r"<<<<<<< ours: [^\n]*\n(.*?)\n\|{7} base: .*?\n=======\n(.*?)\n>>>>>>> theirs: [^\n]*"
        edit = (marked, r"\1 and \2") if job.attempt > 1 else ("(?m)^line 4$", name_of(job))
        (job.workspace / "poem.txt").write_text(re.sub(*edit, text, count=1, flags=re.DOTALL))
        if job.attempt == 1:
            both.wait(PATIENCE)

    agent = ScriptedAgent({"forge": play})
    done = project.run(agent, task("a", retry_backoff=0.0), task("b", retry_backoff=0.0))

    assert statuses(done) == {"a": "success", "b": "success"}, done
    second = next(name for name, attempt in prompts if attempt == 2)
    assert "conflict" in prompts[second, 2].lower()
    assert len(prompts) == 3
    first = "a" if second == "b" else "b"
    assert team.text(done.branch)[4] == f"{first} and {second}"


def test_a_patch_that_needs_approval_fails_its_task_and_goes_to_the_human(team, project):
    """A dispatch does not wait for people, so nothing of a change to a workflow lands."""
    done = project.run(written(".github/workflows/ci.yml", "on: push\n"), task("a", retry_backoff=0.0))
    assert done.status == "failure"
    assert "a person has to approve" in done.results[0].error
    assert done.branch is None
    mails = [e for e in project.events("mail.sent") if e["sender"] == "weaver"]
    assert [e["recipients"] for e in mails] == [["forge"], ["you"]]
    command = re.search(r"^    (team-mail attachment .* \| git apply --3way)$", mails[1]["body"], re.MULTILINE)
    assert command
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", command[1]], cwd=team.folder, env=environ, check=True)
    assert (team.folder / ".github/workflows/ci.yml").read_text() == "on: push\n"


def test_the_patch_of_a_failed_run_does_not_land(team, project):
    """It may be half a change, as in a sprint; the next attempt finds it, and is told so."""
    seen = []

    def play(job):
        left = job.workspace / ".team" / "run" / "previous.patch"
        seen.append((left.read_text() if left.exists() else "", "(RuntimeError: broke off)" in job.prompt))
        written("half.txt", "half\n")(job)
        raise RuntimeError("broke off")

    done = project.run(play, task("a", retries=1, retry_backoff=0), task("b", "a"))
    assert statuses(done) == {"a": "error", "b": "blocked"}
    assert done.landed == 0
    assert [("+half" in left, prompts) for left, prompts in seen] == [(False, False), (True, True)]
    assert not project.events("patch.captured")


def test_the_next_attempt_lands_without_what_it_was_given(team, project):
    """The folder with the earlier attempt's patch is never part of a patch."""

    def play(job):
        if job.attempt == 1:
            written("half.txt", "half\n")(job)
            raise RuntimeError("broke off")
        git = ["git", "-C", job.workspace]
        subprocess.run([*git, "apply", ".team/run/previous.patch"], check=True)
        assert b".team" not in subprocess.run([*git, "status", "-s"], check=True, capture_output=True).stdout
        (job.workspace / ".team" / "run" / "more").write_text("x")
        (job.workspace / ".gitignore").write_text("!/.team/run/\n!*\n")

    done = project.run(play, task("a", retries=1, retry_backoff=0))
    assert done.status == "success"
    assert sorted(project.events("patch.captured")[0]["data"]["files"]) == [".gitignore", "half.txt"]


@pytest.mark.parametrize("level", ["strict", "moderate", "lenient"])
def test_a_task_that_did_not_make_its_output_has_failed(team, project, level):
    """Its declared path is looked for where its work is kept, at every level of validation."""
    typed = {"contract_description": "x", "node_type": "Compute", "validation_level": level}

    def run(path, play):
        done = project.run(play, task("a", agent="coder", input_data=typed | {"output_path": path}))
        return done.results[0].error

    assert run("new/made.py", lambda job: None) == "exit 0, but output_path new/made.py was not made"
    assert run("made.py", written("made.py", "x = 1\n")) is None
    assert run("poem.txt", lambda job: None) is None  # it is there already
    assert run(str(team.folder / "made.py"), written("made.py", "x = 2\n")) is None

    def ignored(job):
        written(".gitignore", "*.log\n")(job)
        written("made.log", "x\n")(job)

    assert "where git ignores it" in run("made.log", ignored)


def test_a_failed_validation_counts_if_it_is_strict(team, project):
    """Otherwise it is told, and those behind the task can look at it."""

    def play(job):
        written("made.py", "x\n")(job)
        return {"validation_passed": False}

    for level, status in (("strict", "error"), ("moderate", "success"), ("lenient", "success")):
        typed = {"contract_description": "x", "node_type": "Compute", "validation_level": level}
        done = project.run(play, task("a", agent="coder", input_data=typed | {"output_path": "made.py"}))
        assert statuses(done) == {"a": status}


@pytest.mark.parametrize(
    ("outcome", "edit", "mail", "status"),
    [
        (Outcome("ok", 0, 0.1, "exit 0", unless_changed="it was not allowed to write"), False, False, "error"),
        (Outcome("ok", 0, 0.1, "exit 0", unless_changed="it was not allowed to write"), True, False, "success"),
        (Outcome("ok", 0, 0.1, "exit 0", unless_heard="its result is empty"), False, False, "error"),
        (Outcome("ok", 0, 0.1, "exit 0", unless_heard="its result is empty"), False, True, "success"),
        (Outcome("ok", 0, 0.1, "exit 0", unless_heard="its result is empty"), True, False, "success"),
    ],
)
def test_a_run_without_effect_is_no_success_where_that_is_in_doubt(team, project, outcome, edit, mail, status):
    """Tools that were denied, and an empty result, only count where nothing came of the run."""
    context, _ = open_for_dispatch(project.home)

    def play(job):
        if edit:
            written("made.txt", "x\n")(job)
        if mail:
            context.mailbox.send(Letter("ann", ["you"], "Look", "Here.", run=job.run))
        return outcome

    done = project.run(ScriptedAgent({"ann": play}), task("a", agent="ann"))
    assert statuses(done) == {"a": status}


def test_mail_is_given_to_one_run_and_marked_read_if_that_succeeds(project, team):
    """Two tasks of one persona run at once, and only one of them has its mail."""
    context, _ = open_for_dispatch(project.home)
    context.mailbox.send(Letter("you", ["ann"], "A wish", "Mind the poem."))
    both, prompts = threading.Barrier(2), []

    def play(job):
        prompts.append(job.prompt)
        both.wait(PATIENCE)

    done = project.run(ScriptedAgent({"ann": play}), task("a", agent="ann"), task("b", agent="ann"))
    assert done.status == "success"
    assert sum("Mind the poem." in prompt for prompt in prompts) == 1
    assert [e["sender"] for e in project.events("mail.read")] == ["ann"]


def test_a_dispatch_takes_tasks_entries_and_dicts_together(desk):
    """What the builder makes, what `tasks.json` holds, and objects are the same tasks."""
    entry = TaskBuilder().create_task("a", "forge")
    plain = {"task_id": "b", "persona": "forge", "dependencies": ["a"], "timeout_seconds": "5m"}
    done = desk.dispatcher(name_of).dispatch([entry, plain, task("c", "b")])
    assert statuses(done) == dict.fromkeys("abc", "success")


def test_dicts_that_are_no_tasks_are_refused_before_anything_starts(desk):
    """All problems at once, by their places, with the nearest names."""
    with pytest.raises(InvalidTasks) as refused:
        desk.dispatcher(name_of).dispatch([{"task_id": "a"}, "b", task("c"), {"task_id": "d", "agent": "x", "prio": 1}])
    assert [*refused.value.problems] == [
        "tasks[0].agent: is missing",
        "tasks[1]: must be an object: {…}",
        "tasks[3].prio: is no field of a task; did you mean priority?",
    ]
    assert not (desk.home / "mail" / "events.jsonl").exists()


def test_a_sprint_ignores_the_runs_and_patches_of_dispatches(team, project):
    """The next sprint starts as if they did not exist."""
    project.run(written("a.txt", "x\n"), task("a"))
    result = team.sprint({"ann": team.replaced(3, "changed")})
    assert (result.sprint, result.converged, result.runs) == (1, True, 3)


# -- stopped, cut off, gone on with


def test_a_stopped_dispatch_can_be_resumed(desk):
    """The running task is given up and its dependents never start; `resume` does them, but not what was done."""
    ran = []

    def play(job):
        ran.append(name_of(job))
        if name_of(job) == "b" and len(ran) == 2:
            dispatcher.end()
            assert job.stop.wait(PATIENCE)
            raise RuntimeError("told to end")

    dispatcher = desk.dispatcher(play)
    done = dispatcher.dispatch([task("a"), task("b", "a"), task("c", "b")])
    assert statuses(done) == {"a": "success", "b": "cancelled", "c": "cancelled"}

    again = desk.dispatcher(play).resume(done.correlation_id)

    assert set(statuses(again).values()) == {"success"}
    assert ran == ["a", "b", "b", "c"]


def test_resume_repeats_only_what_failed(desk):
    """A failed task and those it blocked; the config is the original one except for values that are given now."""
    broken, ran = [True], []

    def play(job):
        ran.append(name_of(job))
        if name_of(job) == "b" and broken[0]:
            raise ValueError("broken")
        return name_of(job)

    first = desk.run(play, task("a"), task("b"), task("c", "a", "b", input_data={"x": "{{ tasks.a.output }}"}))
    broken[0] = False
    again = desk.dispatcher(play, max_workers=1).resume(first.correlation_id[-8:])
    assert statuses(first) == {"a": "success", "b": "error", "c": "blocked"}
    assert set(statuses(again).values()) == {"success"}
    assert Counter(ran) == {"a": 1, "b": 2, "c": 1}


def test_an_ended_dispatcher_can_be_used_again(desk):
    """It resumes the dispatch in which it was ended."""

    def play(job):
        if name_of(job) == "a":
            dispatcher.end()

    dispatcher = desk.dispatcher(play)
    done = dispatcher.dispatch([task("a"), task("b", "a")])
    again = dispatcher.resume(done.correlation_id)
    assert statuses(done) == {"a": "success", "b": "cancelled"}
    assert again.status == "success"


def test_a_run_that_a_dispatch_left_open_is_lost_on_resume(desk):
    """Its supervisor vanished, so the end is on record as one that nobody ordered."""

    class Vanishing:
        def __init__(self, context, watch, listener) -> None:
            self._record = RunRecord(context.append, context.mailbox.blobs)

        def run(self, launch, batch):
            self._record.started(launch, batch, ())
            raise TeamMailError("the machine is gone")

    first = ParallelDispatcher(DispatchConfig(trace_dir=str(desk.traces)), "scripted", desk.home, runner=Vanishing)
    done = first.dispatch([task("a")])
    desk.dispatcher(name_of).resume(done.correlation_id)

    (lost,) = desk.events("run.lost")
    assert lost["data"] == {
        "persona": "forge", "agent": "scripted", "why": "its scheduler is gone", "orderly": False,
        "dispatch": done.correlation_id,
        "task": "a",
    }  # fmt: skip


def test_resume_needs_nothing_of_tasks_that_are_done(project, team):
    """Their persona has left, and their output is gone: the rest is done, and the result is complete."""

    def play(job):
        if name_of(job) == "b" and job.attempt == 1:
            raise ValueError("broken")
        return {"long": "x" * 20_000} if name_of(job) == "a" else {}

    first = project.run(play, task("a", agent="ann"), task("b"))
    (project.home / "personas" / "ann.md").unlink()
    for blob in (project.home / "mail" / "blobs").rglob("*"):
        _ = blob.is_file() and blob.unlink()
    again = project.dispatcher(play).resume(first.correlation_id)
    assert statuses(again) == {"a": "success", "b": "success"}
    assert "its output is lost: blob " in again.document()["results"][0]["error"]


def test_a_dispatch_whose_branch_was_moved_or_lost_is_woven_again(project, team):
    """Its patches are in blobs: they land on where the branch is now, or if it is gone, on what it began from."""
    done = project.run(written("a.txt", "x\n"), task("a"))
    unrelated = team.git("commit-tree", "-m", "Other", "main^{tree}")
    team.git("branch", "--force", done.branch, unrelated)
    project.dispatcher(echo).resume(done.correlation_id)
    assert team.git("rev-parse", f"{done.branch}~") == unrelated
    assert team.git("show", f"{done.branch}:a.txt") == "x"
    forget(team, done.branch)
    project.dispatcher(echo).resume(done.correlation_id)
    assert team.git("rev-parse", f"{done.branch}~") == team.git("rev-parse", "main")
    assert team.git("show", f"{done.branch}:a.txt") == "x"
    team.git("checkout", "--quiet", "--orphan", "elsewhere")
    team.git("commit", "--quiet", "--allow-empty", "-m", "Another history")
    forget(team, done.branch, "main")
    failed = project.dispatcher(echo).resume
    with pytest.raises(BranchMoved, match="team replay starts anew"):
        failed(done.correlation_id)
    assert not list((project.home / "work").glob("dispatch-*"))


def forget(team, *branches):
    """Delete branches and what is kept of them, so that git prunes their commits."""
    team.git("branch", "--delete", "--force", *branches)
    for ref in team.git("for-each-ref", "--format=%(refname)", "refs/team").split():
        team.git("update-ref", "-d", ref)
    team.git("reflog", "expire", "--expire=now", "--all")
    team.git("gc", "--quiet", "--prune=now")


def test_a_task_that_was_never_tried_is_found_by_its_name(desk):
    """The last dispatch that has the task is shown."""
    dispatcher = desk.dispatcher(lambda _: dispatcher.end())
    done = dispatcher.dispatch([task("a"), task("b", "a")])
    context, _ = open_for_dispatch(desk.home)
    assert read_dispatch(context.mailbox.projections, task="b").id == done.correlation_id


def test_an_unfinished_dispatch_is_shown_as_it_is(desk):
    """While it is running, tasks run or wait; after its process has died, they were interrupted and not cancelled."""
    seen = []

    def play(_):
        dispatch = read_dispatch(open_for_dispatch(desk.home)[0].mailbox.projections)
        for supervisor in (dispatch.supervisor, {"pid": 0}):
            dispatch.supervisor = supervisor
            seen.append((standing_of(dispatch, "a"), standing_of(dispatch, "b"), state_of(dispatch).partition(";")[0]))

    desk.run(play, task("a"), task("b", "a"))
    assert seen[:2] == [
        ("running", "waiting", f", under way as process {os.getpid()}"), ("cut off", "not begun", ", cut off"),
    ]  # fmt: skip


def test_no_task_seems_to_wait_after_the_end():
    """The table shows that blocked tasks have not run."""
    with DispatchShow(quiet=True) as show:
        show.waiting([Row("a", 1, "failed"), Row("b", 1)])
    console = Console(file=io.StringIO(), width=60)
    console.print(show.table())
    assert [text.split()[2:] for text in console.file.getvalue().splitlines()[:2]] == [["failed"], ["not", "run"]]


def test_an_ignored_hangup_stays_ignored():
    """That is the purpose of `nohup`; otherwise a hangup ends the dispatch."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending(lambda: None) as ignored:
            os.kill(os.getpid(), signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with ending(lambda: None) as came:
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (ignored, came) == ([], [signal.SIGHUP])


def test_a_signal_that_comes_while_a_lock_is_held_ends_the_act_all_the_same():
    """What ends it may take the same lock: of an event, say, that is being waited for."""
    lock, took, over = threading.Lock(), [], threading.Event()

    def end():
        took.append(lock.acquire(timeout=10))
        over.set()

    with ending(end) as came:
        with lock:
            signal.raise_signal(signal.SIGTERM)
        assert over.wait(30)
    assert (took, came) == ([True], [signal.SIGTERM])


def test_only_one_process_can_resume_a_dispatch(desk):
    """The second one is told that it is running."""
    done = desk.run(echo, task("a"))
    with (
        Leader(desk.home / "work" / f"dispatch-{done.correlation_id[-8:]}"),
        pytest.raises(NotLeader, match=f"dispatch {done.correlation_id} is running"),
    ):
        desk.dispatcher(echo).resume(done.correlation_id)


def test_a_lock_file_removed_while_it_is_being_taken_is_created_again(tmp_path, monkeypatch):
    """Its holder removes the file with its folder at that moment: nobody else may hold a lock on the removed file."""
    lock, cleared = fcntl.flock, []

    def flock(descriptor, how):
        if not cleared:
            cleared.append((tmp_path / "leader").unlink())
        return lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with Leader(tmp_path), pytest.raises(NotLeader), Leader(tmp_path):
        pass


def test_resuming_an_unknown_dispatch_is_an_error(desk):
    """The error names the last one."""
    with pytest.raises(NoSuchRun, match="no dispatch yet"):
        desk.dispatcher(echo).resume("0123")
    done = desk.run(echo, task("a"))
    with pytest.raises(NoSuchRun, match=done.correlation_id):
        desk.dispatcher(echo).resume("ffff")


def test_resume_completes_an_interrupted_move_of_the_branch(project, team):
    """The patch is in the log, but the branch was not moved: `resume` moves it and runs nothing."""
    done = project.run(written("a.txt", "x\n"), task("a"))
    tip = team.git("rev-parse", done.branch)
    team.git("branch", "--force", done.branch, "main")
    again = project.dispatcher(echo).resume(done.correlation_id)
    assert (again.status, again.landed) == ("success", 1)
    assert team.git("rev-parse", done.branch) == tip
    assert len(project.events("run.started")) == 1


class Killed(BaseException):
    """Raised where the process would have been killed."""


class Mortal:
    """A log that accepts a number of appends; the next one and all later ones raise Killed."""

    def __init__(self, log, left: int) -> None:
        self._log, self.left = log, left

    def append(self, drafts):
        self.left -= bool(drafts)
        if self.left < 0:
            raise Killed
        return self._log.append(drafts)

    def __getattr__(self, name):
        return getattr(self._log, name)


def cut_off(monkeypatch, desk, play, tasks, left: int) -> bool:
    """Dispatch with a log that dies; return whether the dispatch ended before that."""
    made = []

    def mortal(*args, **fields):
        context, repository = open_for_dispatch(*args, **fields)
        context.mailbox.log = Mortal(context.mailbox.log, left)
        made.append(context)
        return context, repository

    monkeypatch.setattr(door, "open_for_dispatch", mortal)
    try:
        desk.dispatcher(play).dispatch(tasks)
    except Killed:
        return False
    finally:
        monkeypatch.setattr(door, "open_for_dispatch", open_for_dispatch)
    return True


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.storm)])
def test_a_dispatch_killed_at_any_append_is_resumed_and_does_every_task_once(project, team, monkeypatch, stride):
    """One run of each task succeeds, and its patch lands once."""

    def play(job):
        written(f"{name_of(job)}.txt", "".join(sorted(path.name for path in job.workspace.glob("?.txt"))))(job)
        return name_of(job)

    tasks = [task("a"), task("b", "a", input_data={"x": "{{ tasks.a.output }}"})]
    steps = 0
    while not cut_off(monkeypatch, project, play, tasks, steps):
        steps += stride
        begun = [e["data"]["dispatch"] for e in project.events("dispatch.started")] if steps > 1 else []
        if not begun:
            continue
        done = project.dispatcher(play).resume(begun[-1])
        mine = [e for e in project.events() if e["data"].get("dispatch") == begun[-1]]
        well = Counter(e["data"]["task"] for e in mine if e["kind"] == "run.finished" and e["data"]["status"] == "ok")
        assert set(statuses(done).values()) == {"success"}, steps
        assert well == {"a": 1, "b": 1}, steps
        assert [e["kind"] for e in mine].count("patch.landed") == 2, steps
        assert team.git("show", f"{done.branch}:b.txt") == "a.txt"
        assert done.results[1].output == "b"
    assert steps > 8


def test_a_scripted_agent_may_return_any_outcome(desk):
    """It sets the status and the output."""
    done = desk.run(
        ScriptedAgent({"forge": lambda _: Outcome("ok", 0, 1.5, "well", output={"n": 1})}),
        task("a"),
    )
    assert done.results[0].output == {"n": 1}
    assert done.results[0].execution_time_ms == 1500


def test_awaiting_a_dispatch_does_not_block_the_event_loop(desk):
    """The task ends only after another coroutine has made progress."""
    begun, ticked, ticks = threading.Event(), threading.Event(), []

    def play(job):
        begun.set()
        assert ticked.wait(PATIENCE)
        return echo(job)

    async def tick():
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        for number in range(3):
            ticks.append(number)
            await asyncio.sleep(0)
        ticked.set()

    async def work():
        output, _ = await asyncio.gather(desk.dispatcher(play).dispatch([task("a")]), tick())
        return output

    output = asyncio.run(work())
    assert type(output) is DispatchOutput
    assert statuses(output) == {"a": "success"}
    assert ticks == [0, 1, 2]


def test_cancelling_an_await_ends_only_the_runs_of_its_dispatch(desk):
    """The cancellation is raised after they have ended; another dispatch of the same dispatcher continues."""
    both, go_on = threading.Barrier(3), threading.Event()

    def play(job):
        both.wait(PATIENCE)
        if name_of(job) == "cut":
            assert job.stop.wait(PATIENCE)
            raise RuntimeError("told to end")
        assert go_on.wait(PATIENCE)

    async def work():
        dispatcher = desk.dispatcher(play)
        cut = asyncio.ensure_future(dispatcher.dispatch([task("cut"), task("behind", "cut")]))
        kept = asyncio.ensure_future(dispatcher.dispatch([task("kept")]))
        await asyncio.to_thread(both.wait, PATIENCE)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut
        over = desk.events("dispatch.finished")
        go_on.set()
        return over, await kept

    over, kept = asyncio.run(work())
    assert [event["data"]["failed"] for event in over] == [2]
    assert statuses(kept) == {"kept": "success"}
    assert sorted(event["data"]["task"] for event in desk.events("run.started")) == ["cut", "kept"]


def test_awaiting_a_refused_dispatch_raises_its_error(desk):
    """The error is raised by the await, not in a thread."""

    async def work():
        await desk.dispatcher(echo).dispatch([task("a", "nobody")])

    with pytest.raises(InvalidTasks, match="unknown task 'nobody'"):
        asyncio.run(work())


def test_reading_an_output_without_an_await_waits_for_it(desk):
    """In a notebook an event loop is running and nobody has to await; the same holds for `resume`."""

    async def work():
        first = desk.dispatcher(echo).dispatch([task("a")])
        again = desk.dispatcher(echo).resume(first.correlation_id)
        return first.status, again.counts, again.document()["results"][0]["output"]["of"]

    assert asyncio.run(work()) == ("success", {"success": 1}, "a")


def test_a_person_can_stop_one_task_of_a_dispatch(desk):
    """By its run, as in a sprint; the task fails and is not retried, and the others continue."""

    def play(job):
        if name_of(job) == "a":
            assert stop_run(open_for_dispatch(desk.home)[0], job.run[:8], "you").id == job.run
            assert job.stop.wait(PATIENCE)
            raise RuntimeError("told to end")

    done = desk.run(play, task("a", retries=3, retry_backoff=0.0), task("b"))
    assert statuses(done) == {"a": "error", "b": "success"}
    assert [e["data"]["task"] for e in desk.events("run.started")].count("a") == 1
    with pytest.raises(NoSuchRun, match="open are: none"):
        stop_run(open_for_dispatch(desk.home)[0], "forge", "you")


# -- the set-up of workspaces


def settings_of(desk: Desk, text: str) -> None:
    (desk.home / "team.toml").write_text(text)


def test_a_task_finds_what_the_setup_made(project, team, tmp_path):
    """Its clone is prepared as in a sprint; gates reuse what theirs left, and nothing of it is in a patch."""
    (team.folder / ".env").write_text("KEY=1\n")
    script = f"cat .env > made; echo x >> {tmp_path}/setups"
    settings_of(
        project,
        f'[workspace]\ncopy = [".env"]\nsetup = ["sh", "-c", {json.dumps(script)}]\nsetup_inputs = ["poem.txt"]\n'
        '[gates.tests]\ncommand = ["test", "-e", "made"]\n',
    )

    def play(job):
        assert (job.workspace / "made").read_text() == "KEY=1\n"
        (job.workspace / f"{name_of(job)}.txt").write_text("done\n")

    done = project.run(play, task("a"), task("b", "a"))

    assert (done.status, done.landed) == ("success", 2)
    assert (tmp_path / "setups").read_text() == "x\n" * 3, "two runs, one gate"
    assert team.git("diff", "--name-only", "main", done.branch).split() == ["a.txt", "b.txt"]
    assert [event["data"]["workspace"]["copied"] for event in project.events("run.finished")] == [[".env"]] * 2


def test_a_setup_that_fails_is_no_attempt_at_a_task(project, tmp_path):
    """It is tried again, though the task has no retries; the agent then has its whole attempt."""
    script = f"mkdir {tmp_path}/first 2> /dev/null && exit 1; mkdir {tmp_path}/second 2> /dev/null && exit 1; exit 0"
    settings_of(project, f'[workspace]\nsetup = ["sh", "-c", {json.dumps(script)}]\n')

    done = project.run(echo, task("a", retry_backoff=0.0))

    assert statuses(done) == {"a": "success"}
    assert [event["data"]["status"] for event in project.events("run.finished")] == ["setup", "setup", "ok"]


def test_a_task_fails_whose_setup_fails_again_and_again(project):
    """After three tries; its error is the reason, and what waits for it is blocked."""
    settings_of(project, '[workspace]\nsetup = ["sh", "-c", "echo off; exit 9"]\n')

    done = project.run(echo, task("a", retry_backoff=0.0, retries=5), task("b", "a"))

    assert statuses(done) == {"a": "error", "b": "blocked"}
    assert done.results[0].error == "set-up failed: sh -c 'echo off; exit 9': exit 9: off"
    assert len(project.events("run.finished")) == 3
    assert [event["data"]["task"] for event in project.events("task.finished")] == ["a", "b"]


def test_a_dry_run_of_tasks_names_the_setup(project, team):
    """It says what would be copied and run, as that of a sprint does."""
    (team.folder / ".env").write_text("KEY=1\n")
    settings_of(project, '[workspace]\ncopy = [".env", "gone"]\nsetup = ["make", "ready"]\n')
    (agents, setup, notes) = project.dispatcher(echo).look_ahead((task("a"),))
    lines = [*shown(DispatchPreview((task("a"),), DispatchConfig(), agents, setup, tuple(notes)))]

    assert lines[-5:] == [
        "each workspace gets:",
        "  copy: .env",
        "  run: make ready",
        "  note: copy 'gone' names no file of your checkout",
        "nothing was started",
    ]
