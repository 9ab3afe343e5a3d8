"""What one may do to a dispatch that is under way: hear its events, cancel a task, leave it and come back."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.personas.running.process import RunLimits
from team_mail.scheduler.errors import Stopped
from team_mail.scheduler.settings.settings import AgentSettings
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team.dispatcher import ParallelDispatcher
from team_mail.team.open import make_agent

from ...waiting import until_there

NO_TRACES = DispatchConfig(trace_dir=None, max_workers=1)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The `.team` folder of a team without a repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".team"


def task(name: str, *dependencies: str, **fields) -> Task:
    return Task(task_id=name, agent="forge", dependencies=dependencies, **fields)


def test_the_events_of_a_dispatch_are_heard_as_they_are_written(home):
    """Whoever shows a dispatch needs no second look at the log."""
    heard: list[str] = []
    dispatcher = ParallelDispatcher(NO_TRACES, agent=FunctionAgent(lambda _: 1), home=home)
    done = dispatcher.dispatch([task("a")], heard=lambda events: heard.extend(event.kind for event in events))
    assert heard == ["dispatch.started", "run.started", "run.finished", "task.finished", "dispatch.finished"]
    assert done.trace_index is None


def test_without_a_folder_for_traces_nothing_is_written(home, tmp_path):
    """Neither a trace nor an index, nor the folder."""
    done = ParallelDispatcher(NO_TRACES, agent=FunctionAgent(lambda _: 1), home=home).dispatch([task("a")])
    assert done.results[0].trace_file is None
    assert [path.name for path in tmp_path.iterdir()] == [".team"]


def test_a_task_that_has_not_started_can_be_cancelled(home):
    """Its end is on record at once, what depends on it is blocked, and one that runs is no such task."""
    tried: list[bool] = []

    def play(job):
        if job.assignment.task == "a":
            tried.extend(dispatcher.cancel(name) for name in ("a", "b", "b", "nobody"))
        return job.assignment.task

    dispatcher = ParallelDispatcher(NO_TRACES, agent=FunctionAgent(play), home=home)
    done = dispatcher.dispatch([task("a", priority=1), task("b"), task("c", "b"), task("d")])
    assert tried == [False, True, False, False]
    assert [result.status for result in done.results] == ["success", "cancelled", "blocked", "success"]
    assert done.results[1].error == "cancelled before it started"
    again = ParallelDispatcher(NO_TRACES, agent=FunctionAgent(play), home=home).resume(done.correlation_id)
    assert [result.status for result in again.results] == ["success"] * 4


def leaving(home: Path, script: str) -> ParallelDispatcher:
    agent = CommandAgent("sh", ("sh", "-c", script))
    return ParallelDispatcher(NO_TRACES, agent=agent, home=home, leaving=threading.Event())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs do not outlive their scheduler")
@pytest.mark.parametrize("again", [False, True])
def test_a_run_outlives_a_dispatch_that_is_left_and_is_taken_over(team, monkeypatch, again):
    """Its agent goes on; whoever resumes gets its answer and its patch, and the tasks that were left are done.

    So it is if the one that resumes is left as well.
    """
    monkeypatch.chdir(team.folder)
    begun, go = team.folder.with_name("begun"), team.folder.with_name("go")
    script = f"echo x >> {begun}; until test -e {go}; do sleep 0.02; done; echo $TEAM_TASK | tee $TEAM_TASK.txt"
    first = leaving(team.home, script)
    thread = threading.Thread(target=lambda: (until_there(begun), first.leave()))
    thread.start()
    left = first.dispatch([task("a"), task("b")])
    thread.join()
    assert [result.status for result in left.results] == ["cancelled", "cancelled"]
    if again:
        second = leaving(team.home, script)
        second.listener = lambda progress: second.leave() if "taken over" in progress.text else None
        with pytest.raises(Stopped):
            second.resume(left.correlation_id)
    heard: list[str] = []
    go.touch()
    done = leaving(team.home, script).resume(left.correlation_id, heard=lambda each: heard.extend(e.kind for e in each))
    assert [result.output for result in done.results] == [{"text": "a"}, {"text": "b"}]
    assert begun.read_text() == "x\nx\n"
    assert heard[:2] == ["patch.captured", "run.finished"]
    assert [team.text(str(done.branch), f"{name}.txt") for name in "ab"] == [["a"], ["b"]]
    assert not [*(team.home / "work").glob("dispatch-*")]


def test_of_a_question_only_the_answer_is_kept(team, monkeypatch):
    """What its run changed is no patch and lands nowhere; that of another task does."""
    monkeypatch.chdir(team.folder)

    def play(job):
        (job.workspace / f"{job.assignment.task}.txt").write_text("made\n")
        return {"answer": job.assignment.task}

    dispatcher = ParallelDispatcher(NO_TRACES, agent=ScriptedAgent({"forge": play}), home=team.home)
    done = dispatcher.dispatch([task("a", keep="answer"), task("b")])
    assert [result.status for result in done.results] == ["success", "success"]
    assert done.landed == 1
    assert team.git("ls-tree", "--name-only", str(done.branch)) == "b.txt\npoem.txt"


def test_settings_say_how_long_an_agent_has_to_end():
    """From being asked to end to being killed."""
    assert make_agent("sh", AgentSettings(command=("sh",), kill_after=0.5)).limits.grace == 0.5
    assert make_agent("sh", AgentSettings(command=("sh",))).limits == RunLimits()
