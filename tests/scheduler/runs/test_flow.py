"""The order of steps: what may start when, on how many workers, and what a failure blocks."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from graphlib import CycleError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import ManualClock, SystemClock
from team_mail.scheduler.runs.flow import DONE, FAILED, FlowRunner, Step, StepResult, TaskQueue

from ...samples import examples


class Inline(Executor):
    """An executor that runs the work immediately in the caller's thread."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        return future


def started(flow: TaskQueue) -> list[str]:
    """Start every step that may start now."""
    names = []
    while (key := flow.start(0.0)) is not None:
        names.append(key)
    return names


def test_a_step_starts_as_soon_as_its_last_dependency_is_done():
    """There are no waves: the fast branch of a diamond continues while the slow one is running."""
    flow = TaskQueue(
        [Step("slow"), Step("fast"), Step("after fast", ("fast",)), Step("end", ("slow", "after fast"))], 9
    )
    assert started(flow) == ["slow", "fast"]
    flow.ended("fast", DONE, 0.0)
    assert started(flow) == ["after fast"]
    flow.ended("after fast", DONE, 0.0)
    assert started(flow) == []
    flow.ended("slow", DONE, 0.0)
    assert started(flow) == ["end"]


def test_ready_steps_start_by_rank_then_in_the_order_given():
    """The lowest rank starts first."""
    flow = TaskQueue([Step("c", rank=(2,)), Step("b", rank=(1,)), Step("a", rank=(1,))], 1)
    order = []
    while not flow.over:
        order += (now := started(flow))
        flow.ended(now[0], DONE, 0.0)
    assert order == ["b", "a", "c"]


def test_groups_share_the_limit_of_their_pool():
    """Two personas that one agent plays: what one has, the other has not."""
    steps = [Step("a", group="ann"), Step("b", group="bob"), Step("c", group="cyd")]
    flow = TaskQueue(steps, 9, {"*": 5}, {"local": 1}, {"a": "local", "b": "local", "c": ""}.__getitem__)
    assert started(flow) == ["a", "c"]
    flow.ended("a", StepResult(done=False, again=9.0), 0.0)
    assert started(flow) == ["b"]
    flow.ended("b", DONE, 0.0)
    assert started(flow) == []
    assert flow.start(9.0) == "a"


def test_a_step_draws_from_the_pool_that_is_its_own_when_it_starts():
    """One that waited for a pool goes to another; of one persona, what is full does not keep the others waiting."""
    pools = {"a": "claude", "b": "claude", "c": "claude", "d": "codex"}
    flow = TaskQueue([Step(key, group="ann") for key in "abcd"], 9, None, {"claude": 1, "codex": 2}, pools.__getitem__)
    assert started(flow) == ["a", "d"]
    assert started(flow) == []
    pools |= {"b": "codex", "c": "codex"}
    assert started(flow) == ["b"]
    pools["c"] = "claude"
    flow.ended("b", StepResult(done=False, again=9.0), 0.0)
    assert started(flow) == []
    pools["b"] = "gemini"
    assert flow.start(9.0) == "b"
    for key, then in (("a", ["c"]), ("b", []), ("c", []), ("d", [])):
        flow.ended(key, DONE, 9.0)
        assert started(flow) == then
    assert flow.over


def test_a_group_at_its_limit_does_not_block_other_groups():
    """`*` limits every group that is not named."""
    pieces = [Step(f"a{n}", group="ann") for n in range(3)] + [Step(f"b{n}", group="bob") for n in range(3)]
    flow = TaskQueue(pieces, 9, {"ann": 1, "*": 2})
    assert started(flow) == ["a0", "b0", "b1"]
    flow.ended("a0", DONE, 0.0)
    assert started(flow) == ["a1"]


def test_a_step_that_waits_for_its_retry_occupies_no_worker():
    """Another step uses the worker meanwhile; the retry starts when it is due."""
    flow = TaskQueue([Step("a"), Step("b")], 1)
    assert started(flow) == ["a"]
    flow.ended("a", StepResult(done=False, again=5.0), 10.0)
    assert flow.start(10.0) == "b"
    flow.ended("b", DONE, 11.0)
    assert flow.start(11.0) is None
    assert flow.due(11.0) == 4.0
    assert flow.start(15.0) == "a"


def test_a_cycle_is_refused():
    """A flow that could never end does not start."""
    with pytest.raises(CycleError):
        TaskQueue([Step("a", ("b",)), Step("b", ("a",))], 1)


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    edges = [
        tuple(sorted(draw(st.sets(st.integers(0, number - 1), max_size=3)))) if number else ()
        for number in range(count)
    ]
    bad = draw(st.sets(st.integers(0, count - 1), max_size=3))
    return edges, bad, draw(st.integers(1, 4))


@settings(max_examples=examples(30), deadline=None)
@given(graphs())
def test_every_step_runs_once_or_is_blocked_by_a_failure(graph):
    """By definition: a step runs if all its dependencies succeeded; otherwise it is reported once as blocked."""
    edges, bad, width = graph
    pieces = [Step(str(number), tuple(map(str, after))) for number, after in enumerate(edges)]
    well: set[int] = set()
    for number, after in enumerate(edges):
        if number not in bad and well.issuperset(after):
            well.add(number)
    ran, cut, most = [], [], []
    flow = TaskQueue(pieces, width)

    def work(key):
        most.append(len(flow.running))
        assert all(str(above) in ran for above in edges[int(key)])
        ran.append(key)
        return FAILED if int(key) in bad else DONE

    carrier = FlowRunner(work, threading.Event(), ManualClock(), lambda _key, _verdict, off: cut.extend(off))
    carrier.run(flow, Inline())

    tried = {number for number, after in enumerate(edges) if well.issuperset(after)}
    assert sorted(map(int, ran)) == sorted(tried)
    assert sorted(map(int, cut)) == sorted(set(range(len(edges))) - tried)
    assert max(most) <= width


def test_after_a_stop_nothing_starts_and_running_steps_are_waited_for():
    """The first step is running when the flow is stopped; the second never starts."""
    stop, begun, go, ran = threading.Event(), threading.Event(), threading.Event(), []

    def work(key):
        begun.set()
        go.wait(10)
        ran.append(key)
        return DONE

    flow = TaskQueue([Step("a"), Step("b")], 1)
    carrier = FlowRunner(work, stop, SystemClock())
    with ThreadPoolExecutor(1) as threads:
        loop = threading.Thread(target=carrier.run, args=(flow, threads))
        loop.start()
        assert begun.wait(10)
        stop.set()
        carrier.wake()
        go.set()
        loop.join(10)
    assert ran == ["a"]
    assert flow.over


def test_a_stop_ends_the_wait_for_a_retry():
    """Nobody waits for an hour after an interrupt."""
    stop, tried = threading.Event(), threading.Event()

    def work(_):
        tried.set()
        return StepResult(done=False, again=3_600.0)

    carrier = FlowRunner(work, stop, SystemClock())
    with ThreadPoolExecutor(1) as threads:
        loop = threading.Thread(target=carrier.run, args=(TaskQueue([Step("a")], 1), threads))
        loop.start()
        assert tried.wait(10)
        stop.set()
        carrier.wake()
        loop.join(10)
        assert not loop.is_alive()


def test_an_exception_of_a_step_is_raised_after_all_steps_have_ended():
    """It is not swallowed, and nothing is left running."""

    def work(key):
        raise ZeroDivisionError(key)

    flow = TaskQueue([Step("a"), Step("b", ("a",))], 1)
    with pytest.raises(ZeroDivisionError):
        FlowRunner(work, threading.Event(), ManualClock()).run(flow, Inline())
    assert flow.over


def test_starting_a_step_does_not_scan_a_full_group():
    """Two thousand steps wait for the one place of their group: each start compares a few of them, not all."""
    compared = 0

    class Counted(float):
        def __lt__(self, other):
            nonlocal compared
            compared += 1
            return float(self) < float(other)

    flow = TaskQueue([Step(f"{n}", rank=(Counted(-n),), group="ann") for n in range(2_000)], 5, {"ann": 1})
    while now := started(flow):
        flow.ended(now[0], DONE, 0.0)
    assert flow.over
    assert compared < 2_000 * 40


def test_a_limit_may_change_while_steps_go_on():
    """The service behind a group takes fewer, or more, than before."""
    limits = {"a": 2}
    queue = TaskQueue([Step(key, group="a") for key in "pqrst"], 8, limits)
    assert [queue.start(0), queue.start(0), queue.start(0)] == ["p", "q", None]
    limits["a"] = 1
    queue.ended("p", DONE, 0)
    assert queue.start(0) is None
    queue.ended("q", DONE, 0)
    limits["a"] = 3
    assert [queue.start(0) for _ in range(4)] == ["r", "s", "t", None]


def test_a_group_that_is_dropped_starts_nothing_more():
    """What goes on ends, other groups are let alone, and then it is over."""
    queue = TaskQueue([*(Step(key, group="a") for key in "pq"), Step("r", group="b")], 1)
    assert queue.start(0) == "p"
    queue.drop("a")
    assert not queue.over
    queue.ended("p", DONE, 0)
    assert queue.start(0) == "r"
    queue.ended("r", DONE, 0)
    assert queue.over
