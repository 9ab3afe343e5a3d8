"""The state of a dispatch as a fold over facts, and how one is found among many by its name."""

from __future__ import annotations

import pytest
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.kinds import Kind, RunStatus, TaskStatus
from team_mail.scheduler.state.dispatches import DispatchState, folded, read_dispatch, under_way
from team_mail.scheduler.state.facts import Fact

FIRST, SECOND = "0198a000-1111-7000-8000-00000000aaaa", "0198b000-2222-7000-8000-00000000bbbb"
SUPERVISOR = {"boot": "b", "pid": 1, "start": "2"}


class Projections:
    """The events of dispatches, told one by one; each comes a second after the one before."""

    def __init__(self):
        self.events: list[dict] = []

    def rows(self, name, dispatch=None, written="", since=0):
        if name == "scheduler.state.dispatches":
            return [row for row in self.events if row["kind"].startswith("dispatch.")]
        assert (name, written) == ("scheduler.state.dispatched", dispatch)
        return [row for row in self.events if row["data"]["dispatch"] == dispatch and row["seq"] >= since]

    def tell(self, kind, dispatch=FIRST, run=None, **data):
        seq = len(self.events) + 1
        self.events.append(
            {
                "seq": seq, "ts": f"2026-01-01T09:00:{seq:02}.000000Z", "kind": kind, "sender": "scheduler",
                "ref": None, "run": run, "data": {"dispatch": dispatch} | data, "hash": "0" * 32,
            }
        )  # fmt: skip
        return self

    def start(self, dispatch=FIRST, *tasks):
        return self.tell(
            Kind.DISPATCH_STARTED, dispatch, base="b" * 40, branch="team/x", agent=None, supervisor=SUPERVISOR,
            tasks=[{"task_id": task} for task in tasks],
        )  # fmt: skip

    def launch(self, task, attempt=1, dispatch=FIRST):
        return self.tell(
            Kind.RUN_STARTED, dispatch, f"{task}-{attempt}", task=task, attempt=attempt, agent="shell", persona="ann",
            tick=1, sprint=0, base="b" * 40, reason="task", mail=[], supervisor=SUPERVISOR,
        )  # fmt: skip

    def finish(self, task, attempt=1, status="ok"):
        return self.tell(
            Kind.RUN_FINISHED, FIRST, f"{task}-{attempt}", task=task, status=status, seconds=2.5, detail="exit 0",
            result={"answer": 42},
        )  # fmt: skip

    def end(self, task, status=TaskStatus.SUCCESS, error=""):
        return self.tell(Kind.TASK_FINISHED, FIRST, task=task, status=status, error=error)


@pytest.fixture
def records():
    return Projections()


def test_an_attempt_has_the_data_of_its_start_and_of_its_end(records):
    """Until it has ended it is open, without a result."""
    records.start(FIRST, "a").launch("a")
    (attempt,) = read_dispatch(records).open
    assert (attempt.status, attempt.start["persona"], attempt.result) == (RunStatus.OPEN, "ann", {})

    state = read_dispatch(records.finish("a").end("a"))

    (attempt,) = state.of("a")
    assert (attempt.status, attempt.seconds, attempt.detail) == ("ok", 2.5, "exit 0")
    assert attempt.result["result"] == {"answer": 42}
    assert (state.open, state.status("a"), state.status("never")) == ((), TaskStatus.SUCCESS, TaskStatus.CANCELLED)


def test_a_lost_attempt_says_why_and_the_next_one_takes_the_tasks_end_back(records):
    """A task that is tried again has no end until the new attempt gives it one."""
    records.start(FIRST, "a").launch("a")
    records.tell(Kind.RUN_LOST, FIRST, "a-1", task="a", persona="ann", why="its dispatch was cut off")
    records.end("a", TaskStatus.ERROR, "lost")
    assert read_dispatch(records).ends["a"].error == "lost"

    state = read_dispatch(records.launch("a", 2))

    assert [attempt.status for attempt in state.of("a")] == [RunStatus.LOST, RunStatus.OPEN]
    assert state.of("a")[0].detail == "its dispatch was cut off"
    assert state.ends == {}


def test_a_resumed_dispatch_keeps_its_successes_and_counts_its_time_anew(records):
    """Failed tasks are open again; until it ends, its length is the time from the resumption to the last fact."""
    records.start(FIRST, "a", "b").end("a").end("b", TaskStatus.ERROR, "exit 1")
    records.tell(Kind.DISPATCH_FINISHED, FIRST, successful=1, failed=1, seconds=3.25)
    assert read_dispatch(records).seconds == 3.25

    records.tell(Kind.DISPATCH_RESUMED, FIRST, supervisor=SUPERVISOR).launch("b", 2).finish("b", 2)
    state = read_dispatch(records)

    assert (set(state.ends), state.finished, state.seconds) == ({"a"}, None, 2.0)
    assert state.names == {"a", "b"}
    assert state.short == FIRST[-8:]


def test_a_dispatch_is_named_by_its_id_the_beginning_or_the_end_of_it(records):
    """Without a name it is the last one, or the last that had the task; an ambiguous name is refused."""
    records.start(FIRST, "a").start(SECOND, "b")

    for name in (FIRST, FIRST[:6], FIRST[-8:]):
        assert read_dispatch(records, name).id == FIRST
    assert read_dispatch(records).id == SECOND
    assert read_dispatch(records, task="a").id == FIRST
    with pytest.raises(NoSuchRun, match="'0198' names 2 dispatches"):
        read_dispatch(records, "0198")
    with pytest.raises(NoSuchRun, match=f"no dispatch 'ffff'; the last is {SECOND}"):
        read_dispatch(records, "ffff")
    with pytest.raises(NoSuchRun, match="no dispatch had a task 'z'"):
        read_dispatch(records, task="z")
    with pytest.raises(NoSuchRun, match="no dispatch yet"):
        read_dispatch(Projections())


def test_the_open_runs_of_dispatches_that_are_not_finished_are_under_way(records):
    """A finished dispatch has none, and a resumed one has its own again."""
    records.start(FIRST, "a").launch("a").start(SECOND, "b").launch("b", 1, SECOND)
    assert sorted(run.id for run in under_way(records)) == ["a-1", "b-1"]

    records.tell(Kind.DISPATCH_FINISHED, SECOND, successful=0, failed=1, seconds=1.0)

    assert [run.id for run in under_way(records)] == ["a-1"]


def test_events_without_the_data_of_their_kind_change_nothing():
    """Anybody may append to the log; what lacks the form of its kind is passed over."""
    empty = DispatchState()
    state = folded([Fact(1, "t", kind, "x", None, "r", {}, "") for kind in Kind])
    assert (state.id, state.attempts, state.ends) == (empty.id, empty.attempts, empty.ends)
