"""What every runner promises: one suite over the one that starts agents and the scripted one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Event
from team_mail.personas.agent import Assignment, Job, Outcome
from team_mail.personas.workspace import Captured, Mirror
from team_mail.scheduler.context import Context
from team_mail.scheduler.hosts.remote import RemoteRunner
from team_mail.scheduler.hosts.worker import HostWorker
from team_mail.scheduler.leader import alive
from team_mail.scheduler.progress import Progress
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.local import LocalRunner
from team_mail.scheduler.runs.progress import RunEnded, RunOffered, RunStarted, RunTaken
from team_mail.scheduler.runs.record import RunRecord
from team_mail.scheduler.runs.run import Batch, Runner, RunResult
from team_mail.scheduler.runs.scripted import ScriptedRunner
from team_mail.scheduler.runs.watch import Watch
from team_mail.scheduler.state.facts import Mail
from team_mail.scheduler.state.projections import HANDED

OK = Outcome("ok", 0, 0.5, "exit 0")
FAILED = Outcome("failed", 3, 0.5, "exit 3")
PATCH = b"diff --git a/new.txt b/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+new\n"
TASK = Assignment("d" * 32, "write", "Write a file.", {"path": "new.txt"})


@dataclass
class Bench:
    """A runner and what it writes. `ends` says how ann's runs end, in their order; `edit` has each change a file."""

    context: Context
    make: Callable[[Bench], Runner]
    ends: list[Outcome] = field(default_factory=lambda: [OK])
    edit: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    progress: list[Progress] = field(default_factory=list)
    appends: list[list[str]] = field(default_factory=list)

    def run(self, launch: Launch) -> RunResult | None:
        base = self.context.base()
        self.context.mirror.update(base)
        self.context = replace(self.context, on_append=self._note)
        return self.make(self).run(launch, Batch(launch.sprint, 2, base, "team/sprint-1", 60.0))

    def _note(self, events: Sequence[Event]) -> None:
        """Note what was appended, but for how a run is handed out."""
        if kinds := [event.kind for event in events if event.kind not in HANDED]:
            self.appends.append(kinds)

    def data(self, kind: str) -> dict:
        (event,) = (event for event in self.context.mailbox.log.read() if event.kind == kind)
        return event.data

    def mail(self) -> Mail:
        """A message that waits for ann."""
        self.context.mailbox.send(Letter("bob", ["ann"], "Hello", "Have a look."))
        (row,) = self.context.mailbox.unread(["ann"])
        return Mail("ann", row["seq"], row["id"], row["ts"], "bob", "Hello", "note", "normal", None)


def local(bench: Bench) -> Runner:
    """The runner of real sprints; a function plays ann."""
    ends = iter(bench.ends)

    def play(job: Job) -> Outcome:
        assert job.prompt
        if bench.edit:
            (job.workspace / "new.txt").write_text("new\n")
        outcome = next(ends)
        if outcome.status == "stopped":
            job.stop.wait(30)
        return outcome

    bench.context.agents["shell"].scripts["ann"] = play
    return LocalRunner(bench.context, Watch(bench.context, bench.stop), bench.progress.append)


class ByWorker:
    """Has each run carried out by a worker with a home of its own, in the threads of this process."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        context, watch = self._bench.context, Watch(self._bench.context, self._bench.stop)
        home = context.home.with_name(".elsewhere")
        theirs = replace(context, home=home, mirror=Mirror(context.git.directory, home / "workspaces"))
        worker = HostWorker(theirs, frozenset({"shell"}))
        with watch, ThreadPoolExecutor(1) as threads:
            runner = RemoteRunner(context, watch, self._told)
            working = threads.submit(worker.run)
            try:
                return runner.run(launch, batch)
            finally:
                worker.end()
                working.result()

    def _told(self, progress: Progress) -> None:
        if not isinstance(progress, RunOffered | RunTaken):
            self._bench.progress.append(progress)


def remote(bench: Bench) -> Runner:
    """The runner of teams with workers; a function plays ann there."""
    local(bench)
    return ByWorker(bench)


def scripted(bench: Bench) -> Runner:
    """The runner for tests, with the same results."""
    captured = Captured(PATCH, ("new.txt",), 1, 0) if bench.edit else Captured(b"", (), 0, 0)
    results = [RunResult(outcome, captured) for outcome in bench.ends]
    record = RunRecord(bench.context.append, bench.context.mailbox.blobs)
    return ScriptedRunner(record, {"ann": results}, bench.progress.append, bench.stop)


@pytest.fixture(params=[local, remote, scripted], ids=lambda make: make.__name__)
def bench(request, team) -> Bench:
    return Bench(team.context(), request.param)


ANN = Launch("ann", "shell", 1, 1, "batch", "first launch of the sprint")
WRITE = partial(Launch, "ann", "shell", 1, 0, "task", "task write", assignment=TASK)


def test_a_run_is_on_record_before_it_begins_and_after_it_has_ended(bench):
    """Its start is one append, all that its end means another; both tell the listener."""
    bench.edit = True
    result = bench.run(ANN)
    assert result
    assert (result.outcome.status, result.has_patch, result.given_up) == ("ok", True, False)
    assert bench.appends == [["run.started"], ["patch.captured", "run.finished"]]
    started, ended = bench.progress
    assert isinstance(started, RunStarted)
    assert isinstance(ended, RunEnded)
    assert (ended.launch, ended.outcome.status, ended.files) == (ANN, "ok", 1)


def test_a_run_is_recorded_with_its_launch_its_batch_and_its_outcome(bench):
    """These are the values that a sprint is decided by."""
    bench.ends = [FAILED]
    bench.run(ANN)
    started, finished = bench.data("run.started"), bench.data("run.finished")
    started.pop("offered", None)
    assert started | {"base": "", "supervisor": {}} == {
        "sprint": 1, "persona": "ann", "attempt": 1, "tick": 2, "base": "", "agent": "shell", "reason": "batch",
        "mail": [], "supervisor": {},
    }  # fmt: skip
    assert {name: finished[name] for name in ("sprint", "persona", "status", "exit", "detail", "cut")} == {
        "sprint": 1, "persona": "ann", "status": "failed", "exit": 3, "detail": "exit 3", "cut": False,
    }  # fmt: skip


def test_the_supervisor_of_a_run_is_named_by_host_boot_pid_and_start(bench):
    """Two hosts may have a process of the same number."""
    bench.run(ANN)
    supervisor = bench.data("run.started")["supervisor"]
    assert set(supervisor) == {"host", "boot", "pid", "start"}
    assert supervisor["host"] == socket.gethostname()
    assert alive(supervisor)
    assert alive({name: value for name, value in supervisor.items() if name != "host"}), "as older logs have it"


def test_a_patch_is_kept_with_the_files_it_changes(bench):
    """The bytes are in a blob that the event names."""
    bench.edit = True
    bench.run(ANN)
    captured = bench.data("patch.captured")
    assert (captured["files"], captured["insertions"], captured["deletions"]) == (["new.txt"], 1, 0)
    assert b"+new" in bench.context.mailbox.blobs.read(captured["patch"]["sha256"])


@pytest.mark.parametrize(("end", "unread"), [(OK, 0), (FAILED, 1)])
def test_mail_counts_as_read_only_by_a_run_that_ended_well(bench, end, unread):
    """A run that failed may not have come to it: the next attempt gets it again."""
    bench.ends = [end]
    bench.run(replace(ANN, reason="mail", mail=(bench.mail(),)))
    assert len(bench.context.mailbox.unread(["ann"])) == unread
    assert len(bench.data("run.started")["mail"]) == 1


def test_a_run_that_is_stopped_before_it_begins_leaves_nothing(bench):
    """There is nothing to give up."""
    bench.stop.set()
    assert bench.run(ANN) is None
    assert bench.appends == []
    assert bench.progress == []


@pytest.mark.parametrize(
    ("ends", "edit", "last", "expected"),
    [
        (OK, False, False, ["run.finished", "task.finished"]),
        (OK, True, True, ["patch.captured", "run.finished"]),
        (FAILED, False, False, ["run.finished"]),
        (FAILED, True, True, ["run.finished", "task.finished"]),
    ],
    ids=["nothing to land", "a patch to land", "tried again", "the last attempt"],
)
def test_a_task_ends_in_one_append_with_the_run_that_decides_it(bench, ends, edit, last, expected):
    """A crash between the two would leave a task that ended well to be done again."""
    bench.ends, bench.edit = [ends], edit
    bench.run(WRITE(last_attempt=last))
    assert bench.appends == [["run.started"], expected]
    if "task.finished" in expected:
        finished = bench.data("task.finished")
        status, error = ("success", "") if ends is OK else ("error", "exit 3")
        assert finished == {"dispatch": "d" * 32, "task": "write", "persona": "ann", "status": status, "error": error}


@pytest.mark.parametrize("status", ["failed", "timeout", "quota"])
def test_what_a_run_left_that_did_not_end_well_is_kept_and_no_patch(bench, status):
    """It may be half a change: it stands beside the end of the run, where the weaver does not look."""
    bench.ends, bench.edit = [Outcome(status, 3, 0.5, "exit 3")], True
    bench.run(ANN)
    assert bench.appends == [["run.started"], ["run.finished"]]
    partial = bench.data("run.finished")["partial"]
    assert (partial["files"], partial["insertions"]) == (["new.txt"], 1)
    assert b"+new" in bench.context.mailbox.blobs.read(partial["patch"]["sha256"])


def test_a_task_whose_run_timed_out_says_so_in_the_words_of_its_format(bench):
    """The reason begins with the words that readers of results look for."""
    bench.ends = [Outcome("timeout", None, 2.0, "2 s are over")]
    bench.run(WRITE(last_attempt=True))
    assert bench.data("task.finished")["error"] == "Task timeout exceeded: 2 s are over"


def test_the_same_run_is_recorded_once(bench):
    """Its id is derived from the attempt, and those of its events from the run."""
    bench.edit, bench.ends = True, [OK, OK]
    bench.run(ANN)
    bench.run(ANN)
    kinds = [event.kind for event in bench.context.mailbox.log.read()]
    assert [kinds.count(kind) for kind in ("run.started", "patch.captured", "run.finished")] == [1, 1, 1]


def test_a_run_given_up_with_its_scheduler_is_lost_and_not_finished(bench):
    """It was no failure of its own: the next scheduler launches the same work anew."""
    bench.ends = [Outcome("stopped", None, 0.5, "ended from outside")]
    if bench.make is not scripted:
        bench.progress = StopsAtStart(bench.stop)
        result = bench.run(ANN)
    else:
        given_up = RunResult(bench.ends[0], given_up=True)
        bench.make = lambda bench: ScriptedRunner(
            RunRecord(bench.context.append, bench.context.mailbox.blobs), {"ann": [given_up]}
        )
        result = bench.run(ANN)
    assert result
    assert result.given_up
    assert bench.appends == [["run.started"], ["run.lost"]]
    assert bench.data("run.lost") == {
        "persona": "ann", "agent": "shell", "why": "the scheduler was stopped", "orderly": True,
    }  # fmt: skip


class StopsAtStart(list):
    """A listener that has the whole batch ended as soon as its run has started."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def append(self, progress: Progress) -> None:
        super().append(progress)
        self._stop.set()
