"""A dispatch whole: tasks in, results, traces and a branch out, whatever fails, stops or is cut off on the way."""

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
from team_mail.mail.letter import Letter
from team_mail.personas.agent import Job, Outcome
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.scheduler.dispatch.output import DispatchOutput, index, trace
from team_mail.scheduler.dispatch.traces import Traces
from team_mail.scheduler.errors import InvalidTasks, NoSuchRun, NotLeader, NotReady
from team_mail.scheduler.leader import Leader
from team_mail.scheduler.sprint.control import stop_run
from team_mail.scheduler.state.dispatches import read_dispatch
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team import dispatcher as door
from team_mail.team.dispatcher import ParallelDispatcher, given_to
from team_mail.team.open import open_for_dispatch
from team_mail.team.session import ending
from team_mail.team.show.dispatch import DispatchShow, standing_of, state_of
from team_mail.team.show.live import Row

PATIENCE = 20.0


class Desk:
    """A folder that is no repository, and a dispatcher in it whose tasks are a function of the job."""

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
        lines = (self.home / "mail" / "events.jsonl").read_text().splitlines()
        return [e for e in map(json.loads, lines) if not kinds or e["kind"] in kinds]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
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


def test_what_a_task_gives_feeds_those_behind_it_with_its_type(desk):
    """A reference alone keeps its type, one within text becomes text."""
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


def test_a_reference_to_what_is_not_there_is_the_error_of_that_task_alone(desk):
    """The rest goes on, and what stood behind it is blocked."""
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


def test_every_task_is_in_the_result_once_in_the_order_given(desk):
    """Two failures before one task block it once; who is beside them is done."""

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
        "total_tasks": 5, "successful": 1, "failed": 4, "total_time_ms": done.total_time_ms,
    }  # fmt: skip
    assert {*document["results"][2]} == {"task_id", "status", "output", "execution_time_ms", "trace_file"}
    assert {*document["results"][1]} == {"task_id", "status", "error", "execution_time_ms", "trace_file"}
    assert [e["data"]["task"] for e in desk.events("task.finished")].count("end") == 1


def test_a_dispatch_in_which_nothing_succeeds_is_a_failure(desk):
    """Not a partial one."""
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
def test_results_of_any_size_and_content_are_kept_whole(desk, output, kept):
    """What no line of the log holds lies beside it, and feeds others all the same."""
    done = desk.run(lambda job: output if name_of(job) == "a" else echo(job), task("a"), task("b", "a"))
    assert done.results[0].output == kept
    assert statuses(done) == {"a": "success", "b": "success"}


@pytest.mark.parametrize("output", [float("nan"), {"a": object()}, {1: {2, 3}}])
def test_a_result_that_is_no_json_fails_its_task_in_words(desk, output):
    """Nothing is made up for it."""
    done = desk.run(lambda _: output, task("a"))
    assert done.status == "failure"
    assert "its result cannot be kept" in done.results[0].error


def test_what_a_task_gave_is_kept_as_it_was_when_it_gave_it(desk):
    """A program that gives the same object each time, and changes what it was given, changes no record."""
    tally = {"n": 0}

    def play(job):
        tally["n"] += 1
        job.assignment.input["mine"] = True
        return tally

    done = desk.run(play, task("a"), task("b", "a"))
    assert [result.output for result in done.results] == [{"n": 1}, {"n": 2}]
    assert json.loads((desk.traces / "a.json").read_text())["input"] == {}


def test_an_agent_of_ones_own_that_raises_fails_its_run_alone(desk):
    """Whatever it raises, the other tasks go on."""

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
def test_a_listener_that_fails_costs_no_task(desk):
    """Its pipe is closed: what succeeded has succeeded once, and what is behind it is done."""

    def listener(_):
        raise BrokenPipeError

    dispatcher = desk.dispatcher(echo)
    dispatcher.listener = listener
    done = dispatcher.dispatch([task("a"), task("b", "a")])
    assert statuses(done) == {"a": "success", "b": "success"}
    assert [e["data"]["status"] for e in desk.events("task.finished")] == ["success"] * 2


def test_tasks_may_come_one_by_one(desk):
    """What a generator yields is dispatched, and not read to its end by the checks."""
    done = desk.dispatcher(echo).dispatch(task(name) for name in "ab")
    assert statuses(done) == {"a": "success", "b": "success"}


# -- order, limits, time


def test_the_fast_branch_does_not_wait_for_the_slow_one(desk):
    """The slow task ends only when the one behind the fast task has begun: with waves this would stand still."""
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


def test_as_many_run_at_once_as_the_config_says_and_a_persona_has_its_own_limit(desk):
    """Two of forge's must meet to go on; of scribe's never two are there at once."""
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


def test_of_what_can_start_the_highest_priority_does_then_what_has_the_most_behind_it(desk):
    """On one worker the order shows: urgent first, then the head of the longest chain."""
    order = []
    done = desk.run(
        lambda job: order.append(name_of(job)),
        task("short"), task("chain"), task("link", "chain"), task("urgent", priority=5),
        max_workers=1,
    )  # fmt: skip
    assert done.status == "success"
    assert order == ["urgent", "chain", "short", "link"]


def test_a_task_is_tried_again_as_often_as_it_says(desk):
    """Twice it fails, the third time it is well; each attempt is a run of its own."""
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


def test_tries_come_to_an_end(desk):
    """One more than the retries, and the last reason is the task's error."""

    def play(job):
        raise ValueError(f"attempt {job.attempt}")

    done = desk.run(play, task("a", retries=2, retry_backoff=0.0))
    assert done.results[0].error == "ValueError: attempt 3"
    assert len(desk.events("run.started")) == 3


@pytest.mark.parametrize(
    ("fields", "config", "seconds"),
    [({"timeout_seconds": 5.0}, {"timeout_seconds": 60.0}, 5.0), ({}, {"timeout_seconds": 9.0}, 9.0), ({}, {}, 300.0)],
)
def test_a_task_has_its_own_time_else_that_of_the_dispatch(desk, fields, config, seconds):
    """And what takes longer has failed, in the words of the format."""
    clock, given = ManualClock(), []

    def play(job):
        given.append(job.timeout)
        clock.sleep(seconds + 1)

    done = desk.run(FunctionAgent(play, clock), task("a", **fields), **config)
    assert given == [seconds]
    assert done.results[0].error.startswith("Task timeout exceeded: ")


# -- refusals


def test_everything_wrong_is_said_before_anything_starts(desk):
    """Unknown dependency, circle, persona and a second of the same name, all at once, and nothing is on record."""
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


def test_a_typed_input_is_checked_again_when_its_references_are_filled(desk):
    """A node type that only another task knows is judged when it is known."""
    given = {"contract_description": "x", "node_type": "{{ tasks.a.output.kind }}", "output_path": "x.py"}
    done = desk.run(lambda _: {"kind": "Teapot"}, task("a"), task("b", "a", agent="coder", input_data=given))
    assert statuses(done) == {"a": "success", "b": "error"}
    assert "node_type" in done.results[1].error
    assert len(desk.events("run.started")) == 1


def test_without_an_agent_it_says_which_one_is_missing_and_who_could_play(desk):
    """A newcomer without a team is pointed to the agent that needs no model."""
    with pytest.raises(NotReady, match=r"no agent 'shell'.*--agent scripted"):
        ParallelDispatcher(home=desk.home).dispatch([task("a")])


def test_a_folder_for_traces_that_cannot_be_written_is_named_before_the_start(desk):
    """A file stands where the folder should be."""
    desk.traces.write_text("")
    with pytest.raises(NotReady, match="traces"):
        desk.run(echo, task("a"))
    assert not desk.events("run.started") if (desk.home / "mail" / "events.jsonl").exists() else True


# -- traces


def test_traces_and_index_are_what_the_log_tells(desk):
    """The files written on the way are those that are told again from the record."""
    done = desk.run(echo, task("a", input_data={"deep": [{"x": "y"}]}), task("b", "a"), task("bad", agent="scribe"))
    context, _ = open_for_dispatch(desk.home)
    dispatch = read_dispatch(context.mailbox.projections)
    given = given_to(context, dispatch)
    for item in given.tasks:
        written = json.loads((desk.traces / f"{item.task_id}.json").read_text())
        assert written == trace(dispatch, item, context.mailbox.blobs)
        assert [*written] == [
            "task_id", "agent", "input", "output", "error", "execution_time_ms", "mcp_calls", "timestamp",
        ]  # fmt: skip
    written = json.loads(Path(done.trace_index).read_text())
    assert written == index(dispatch, given.tasks, given.config, lambda name: str(desk.traces / f"{name}.json"))
    assert [*written] == ["correlation_id", "dispatch_timestamp", "total_time_ms", "task_count", "config", "tasks"]
    assert written["correlation_id"] == done.correlation_id


def test_two_dispatches_of_one_second_write_two_indices(desk):
    """Both would be named by that second: the later one adds its short id, and neither replaces the other."""
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


def test_a_link_in_the_folder_of_traces_is_replaced_and_not_followed(desk):
    """Nothing outside of the folder is written, whoever put a link there."""
    desk.traces.mkdir()
    victim = desk.folder / "victim"
    victim.write_text("mine")
    (desk.traces / "a.json").symlink_to(victim)
    done = desk.run(echo, task("a"))
    assert done.results[0].trace_file
    assert victim.read_text() == "mine"


def test_a_trace_that_cannot_be_written_costs_the_file_and_not_the_task(desk):
    """A folder stands in its place: the result says that there is no trace, and the log has the facts."""
    (desk.traces / "a.json").mkdir(parents=True)
    progress = []
    dispatcher = desk.dispatcher(echo)
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


def test_a_task_works_on_what_those_before_it_left(team, project):
    """The second reads the first one's file in its own clone; both land on a branch of their own."""

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


def test_a_task_that_was_overtaken_is_told_and_does_it_again_on_what_is_there(team, project):
    """Two tasks change the same line at once: one lands, the other has the conflict in its prompt and one more try."""
    both, prompts = threading.Barrier(2), {}

    def play(job):
        prompts[name_of(job), job.attempt] = job.prompt
        lines = (job.workspace / "poem.txt").read_text().splitlines()
        lines[4] = f"{lines[4]} and {name_of(job)}" if job.attempt > 1 else name_of(job)
        (job.workspace / "poem.txt").write_text("\n".join(lines) + "\n")
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


def test_a_patch_that_may_not_land_is_the_tasks_error_and_goes_to_the_human(team, project):
    """A workflow needs a person's word, and there is nobody to wait for: nothing of it lands."""
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


def test_what_a_failed_run_left_does_not_land(team, project):
    """Half a change is no work, unlike in a sprint, where a person looks on."""

    def play(job):
        written("half.txt", "half\n")(job)
        raise RuntimeError("broke off")

    done = project.run(play, task("a"), task("b"))
    assert done.status == "failure"
    assert done.landed == 0


def test_mail_of_others_comes_to_one_run_and_is_read_when_it_ends_well(project, team):
    """Two tasks of one persona run at once: its mail is told to one of them, and then it is read."""
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


def test_a_sprint_knows_nothing_of_dispatches(team, project):
    """Their runs and patches are no business of the next sprint, which starts as if they were not there."""
    project.run(written("a.txt", "x\n"), task("a"))
    result = team.sprint({"ann": team.replaced(3, "changed")})
    assert (result.sprint, result.converged, result.runs) == (1, True, 3)


# -- stopped, cut off, gone on with


def test_what_was_stopped_is_cancelled_and_gone_on_with_later(desk):
    """The task under way is given up, those behind it never start; going on does them, and not what was done."""
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


def test_going_on_does_again_what_failed_and_only_that(desk):
    """A failed task and those it blocked; the config is the old one but for what is said now."""
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


def test_a_dispatcher_that_was_ended_can_be_used_again(desk):
    """It goes on with what it was ended in."""

    def play(job):
        if name_of(job) == "a":
            dispatcher.end()

    dispatcher = desk.dispatcher(play)
    done = dispatcher.dispatch([task("a"), task("b", "a")])
    again = dispatcher.resume(done.correlation_id)
    assert statuses(done) == {"a": "success", "b": "cancelled"}
    assert again.status == "success"


def test_going_on_needs_nothing_of_what_is_done(project, team):
    """The persona of a task that succeeded has left, and what it printed is gone: the rest is done, and all is told."""

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


def test_a_branch_that_leads_elsewhere_or_nowhere_is_not_gone_on_with(project, team):
    """People have put it on another line of work, and then thrown that away: it says so and starts nothing."""
    done = project.run(written("a.txt", "x\n"), task("a"))
    unrelated = team.git("commit-tree", "-m", "Other", "main^{tree}")
    team.git("branch", "--force", done.branch, unrelated)
    with pytest.raises(NotReady, match="put it back"):
        project.dispatcher(echo).resume(done.correlation_id)
    team.git("branch", "--delete", "--force", done.branch)
    team.git("reflog", "expire", "--expire=now", "--all")
    team.git("gc", "--quiet", "--prune=now")
    with pytest.raises(NotReady, match="is gone"):
        project.dispatcher(echo).resume(done.correlation_id)
    assert not list((project.home / "work").glob("dispatch-*"))


def test_a_task_that_was_never_tried_is_found_by_its_name(desk):
    """The last dispatch that was given it is told of, not that nobody was."""
    dispatcher = desk.dispatcher(lambda _: dispatcher.end())
    done = dispatcher.dispatch([task("a"), task("b", "a")])
    context, _ = open_for_dispatch(desk.home)
    assert read_dispatch(context.mailbox.projections, task="b").id == done.correlation_id


def test_a_dispatch_that_is_not_over_is_told_as_it_stands(desk):
    """Under way, its tasks run or wait; once its process is gone, they were cut off: none was cancelled."""
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


def test_when_it_is_over_no_task_seems_to_wait_still():
    """What was blocked has not run, and the table says so."""
    with DispatchShow(quiet=True) as show:
        show.waiting([Row("a", 1, "failed"), Row("b", 1)])
    console = Console(file=io.StringIO(), width=60)
    console.print(show.table())
    assert [text.split()[2:] for text in console.file.getvalue().splitlines()[:2]] == [["failed"], ["not", "run"]]


def test_a_hangup_that_is_ignored_stays_so():
    """That is what `nohup` is for; without it a hangup ends the work."""
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


def test_only_one_goes_on_with_a_dispatch(desk):
    """Whoever is second is told that it is running."""
    done = desk.run(echo, task("a"))
    with (
        Leader(desk.home / "work" / f"dispatch-{done.correlation_id[-8:]}"),
        pytest.raises(NotLeader, match=f"dispatch {done.correlation_id} is running"),
    ):
        desk.dispatcher(echo).resume(done.correlation_id)


def test_a_lock_that_was_cleared_away_while_one_took_it_is_taken_anew(tmp_path, monkeypatch):
    """Who had it removes its file with its folder just then: nobody else may take it for free."""
    lock, cleared = fcntl.flock, []

    def flock(descriptor, how):
        if not cleared:
            cleared.append((tmp_path / "leader").unlink())
        return lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with Leader(tmp_path), pytest.raises(NotLeader), Leader(tmp_path):
        pass


def test_a_dispatch_that_never_was_is_not_gone_on_with(desk):
    """It says which was the last one."""
    with pytest.raises(NoSuchRun, match="nothing was dispatched yet"):
        desk.dispatcher(echo).resume("0123")
    done = desk.run(echo, task("a"))
    with pytest.raises(NoSuchRun, match=done.correlation_id):
        desk.dispatcher(echo).resume("ffff")


def test_a_branch_whose_move_was_cut_off_is_brought_to_where_the_log_says_it_is(project, team):
    """Everything is on record, but the branch still stands at its beginning: going on moves it, and runs nothing."""
    done = project.run(written("a.txt", "x\n"), task("a"))
    tip = team.git("rev-parse", done.branch)
    team.git("branch", "--force", done.branch, "main")
    again = project.dispatcher(echo).resume(done.correlation_id)
    assert (again.status, again.landed) == ("success", 1)
    assert team.git("rev-parse", done.branch) == tip
    assert len(project.events("run.started")) == 1


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """A log that takes so many appends; the next one, and all behind it, are never written."""

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
    """Dispatch with a log that dies; return whether it came to its end all the same."""
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


def test_cut_off_at_any_write_it_is_gone_on_with_and_every_task_is_done_once(project, team, monkeypatch):
    """Killed at each append of a dispatch that leaves patches: one run of each task ends well, one patch lands."""

    def play(job):
        written(f"{name_of(job)}.txt", "".join(sorted(path.name for path in job.workspace.glob("?.txt"))))(job)
        return name_of(job)

    tasks = [task("a"), task("b", "a", input_data={"x": "{{ tasks.a.output }}"})]
    steps = 0
    while not cut_off(monkeypatch, project, play, tasks, steps):
        steps += 1
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


def test_an_outcome_may_carry_what_it_likes(desk):
    """A scripted agent gives status and output as it wants them."""
    done = desk.run(
        ScriptedAgent({"forge": lambda _: Outcome("ok", 0, 1.5, "well", output={"n": 1})}),
        task("a"),
    )
    assert done.results[0].output == {"n": 1}
    assert done.results[0].execution_time_ms == 1500


def test_a_coroutine_that_awaits_a_dispatch_lets_others_go_on(desk):
    """The task ends only when another coroutine has made progress: a blocked event loop would fail it."""
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


def test_a_cancelled_await_ends_the_runs_of_its_dispatch_alone(desk):
    """The cancellation comes back when they have ended; another dispatch of the same dispatcher goes on."""
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


def test_an_awaited_dispatch_raises_what_it_was_refused_for(desk):
    """The refusal comes out of the await, not out of a thread."""

    async def work():
        await desk.dispatcher(echo).dispatch([task("a", "nobody")])

    with pytest.raises(InvalidTasks, match="unknown task 'nobody'"):
        asyncio.run(work())


def test_an_output_that_is_read_without_an_await_is_waited_for(desk):
    """In a notebook an event loop runs and nobody has to await; a resumed dispatch is no different."""

    async def work():
        first = desk.dispatcher(echo).dispatch([task("a")])
        again = desk.dispatcher(echo).resume(first.correlation_id)
        return first.status, again.counts, again.document()["results"][0]["output"]["of"]

    assert asyncio.run(work()) == ("success", {"success": 1}, "a")


def test_a_person_ends_one_task_and_the_others_go_on(desk):
    """By its run, as one of a sprint; it has failed then, and is not tried again."""

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
