"""Schedules: what holds for every schedule, compared with the best one of tiny plans and with full rectangles."""

from __future__ import annotations

import random
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.planner.schedule import critical_path, curve, schedule, tails

from ...samples import examples

NEAR = 1 + 1e-9
HOURS = {"registry": 1.0, "control": 4.0, "worker": 3.0}
CHAIN = {"control": ["registry"], "worker": ["control"]}


def lower_bound(durations, after, workers):
    """The least possible makespan: the longest chain of tasks, or the work divided by the workers."""
    return max(max(tails(durations, after).values(), default=0.0), sum(durations.values()) / workers)


@st.composite
def plans(draw, most=9, whole=False):
    """Draw tasks, edges from earlier to later ones, and pairs to keep apart."""
    count = draw(st.integers(1, most))
    lengths = st.integers(0, 6).map(float) if whole else st.floats(0, 100)
    durations = {f"t{number}": draw(lengths) for number in range(count)}
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda ends: ends[0] < ends[1])
    pairs = st.lists(pair, max_size=2 * count) if count > 1 else st.just([])
    after: dict[str, list[str]] = {}
    for first, second in draw(pairs):
        after.setdefault(f"t{second}", []).append(f"t{first}")
    return durations, after, [(f"t{first}", f"t{second}") for first, second in draw(pairs)]


def rectangle(chance, workers, count, length=1_000.0):
    """Cut full rows of equal length into tasks, shuffled, with edges that agree with where the pieces lay."""
    rows = [[0.0, length] for _ in range(workers)]
    while sum(len(row) - 1 for row in rows) < count:
        row = chance.choice(rows)
        row.insert(at := chance.randrange(1, len(row)), chance.uniform(row[at - 1], row[at]))
    pieces = [piece for row in rows for piece in pairwise(row)]
    chance.shuffle(pieces)
    durations = {f"t{number}": end - start for number, (start, end) in enumerate(pieces)}
    after: dict[str, list[str]] = {}
    for _ in range(int(count * chance.choice([0, 0.5, 1, 2, 4]))):
        first, second = chance.sample(range(count), 2)
        if pieces[first][1] <= pieces[second][0]:
            after.setdefault(f"t{second}", []).append(f"t{first}")
    return durations, after


def shortest(durations, after, workers, apart):
    """The best makespan of all: every order of tasks, each started as early as that order allows."""
    best = float("inf")
    rivals = {frozenset(pair) for pair in apart}
    for order in permutations(durations):
        ends, free, start = {}, [0.0] * workers, 0.0
        for task in order:
            if any(name not in ends for name in after.get(task, ())):
                break
            waits = [ends[name] for name in after.get(task, ())]
            waits += [ends[name] for name in ends if frozenset((task, name)) in rivals]
            start = max(min(free), *waits, 0.0) if waits else min(free)
            free[free.index(min(free))] = ends[task] = start + durations[task]
        else:
            best = min(best, *[max(ends.values())])
    return best


@given(plans(), st.integers(1, 5))
@settings(max_examples=examples(25), deadline=None)
def test_every_schedule_is_valid(plan, workers):
    """Each task runs once and whole, after its dependencies, one at a time on its worker, and apart from its rivals."""
    durations, after, apart = plan
    scheduled = schedule(durations, after, workers, apart)
    slots = {slot.task: slot for slot in scheduled.slots}
    assert sorted(slots) == sorted(durations)
    assert len(scheduled.slots) == len(durations)
    assert all(slot.end == slot.start + durations[slot.task] for slot in scheduled.slots)
    assert all(slots[name].end <= slots[task].start for task, waits in after.items() for name in waits)
    assert {slot.worker for slot in scheduled.slots} <= set(range(1, workers + 1))
    for number in range(1, workers + 1):
        own = [slot for slot in scheduled.slots if slot.worker == number]
        assert all(before.end <= behind.start for before, behind in pairwise(own))
    for left, right in apart:
        assert slots[left].end <= slots[right].start or slots[right].end <= slots[left].start
    assert scheduled.makespan == max(slot.end for slot in scheduled.slots)
    assert scheduled.makespan * NEAR >= lower_bound(durations, after, workers)


@given(plans(most=6, whole=True), st.integers(1, 3))
@settings(max_examples=examples(20), deadline=None)
def test_a_tiny_schedule_is_within_the_guarantee_of_list_scheduling(plan, workers):
    """At most 2 - 1/N times the best of all orders, and nearly always equal to it."""
    durations, after, _ = plan
    best = shortest(durations, after, workers, ())
    assert best <= schedule(durations, after, workers).makespan * NEAR <= best * (2 - 1 / workers) * NEAR**2


@given(plans(most=5, whole=True), st.integers(1, 3))
@settings(max_examples=examples(20), deadline=None)
def test_a_schedule_with_pairs_kept_apart_is_no_shorter_than_the_best(plan, workers):
    """With one worker, pairs kept apart make no difference."""
    durations, after, apart = plan
    makespan = schedule(durations, after, workers, apart).makespan
    assert makespan * NEAR >= shortest(durations, after, workers, apart)
    assert schedule(durations, after, 1, apart).makespan == pytest.approx(sum(durations.values()))


def test_schedules_of_full_rectangles_are_within_a_tenth_of_the_bound():
    """Plans are made by cutting up a rectangle, so they fit without a gap."""
    chance = random.Random(4)
    off = []
    for _ in range(15):
        workers = chance.randint(2, 10)
        durations, after = rectangle(chance, workers, chance.randint(2 * workers, 80))
        off.append(schedule(durations, after, workers).makespan / lower_bound(durations, after, workers))
    print(f"worst {max(off):.3f}, mean {sum(off) / len(off):.4f} of the bound")
    assert max(off) <= 1.1


def test_the_same_plan_gives_the_same_schedule():
    """The random orders have a fixed seed."""
    durations, after = rectangle(random.Random(7), 4, 40)
    assert schedule(durations, after, 4) == schedule(durations, after, 4)


def test_a_chain_takes_its_length_on_any_number_of_workers():
    """More workers cannot help."""
    assert [schedule(HOURS, CHAIN, workers).makespan for workers in (1, 2, 9)] == [8.0, 8.0, 8.0]
    assert critical_path(HOURS, CHAIN) == ("registry", "control", "worker")
    assert tails(HOURS, CHAIN) == {"registry": 8.0, "control": 7.0, "worker": 3.0}


def test_equal_tasks_start_in_the_order_given():
    """So a caller can put the more important ones first."""
    plan = schedule({"b": 1.0, "a": 1.0}, {}, 1)
    assert [slot.task for slot in plan.slots] == ["b", "a"]


def test_the_task_with_the_longest_tail_starts_first():
    """A short task that long ones depend on is not left for the end."""
    plan = schedule({"long": 3.0, "short": 1.0, "behind": 9.0}, {"behind": ["short"]}, 1)
    assert plan.slots[0].task == "short"


@given(plans(), st.integers(1, 8))
@settings(max_examples=examples(15), deadline=None)
def test_more_workers_never_take_longer(plan, most):
    """The curve starts at the total work, falls, and ends where another worker cannot help."""
    durations, after, _ = plan
    spans = [step.makespan for step in curve(durations, after, most)]
    assert spans[0] == pytest.approx(sum(durations.values()))
    assert all(later <= earlier for earlier, later in pairwise(spans))
    assert len(spans) == most or spans[-1] == pytest.approx(lower_bound(durations, after, len(durations)))


def test_each_schedule_of_a_curve_has_its_number_of_workers():
    """One worker more than needed has the same slots."""
    steps = curve({"a": 2.0, "b": 2.0, "c": 1.0}, {"c": ["a"]}, 5)
    assert [(step.workers, step.makespan) for step in steps] == [(1, 5.0), (2, 3.0)]


def test_an_empty_plan_takes_no_time():
    """It is a valid plan."""
    assert schedule({}, {}, 3).slots == ()
    assert critical_path({}, {}) == ()
    assert [step.makespan for step in curve({}, {}, 4)] == [0.0]


def test_dependencies_outside_of_the_plan_are_ignored():
    """A task of an earlier phase is done when this phase starts."""
    assert schedule({"a": 1.0}, {"a": ["elsewhere"]}, 1).makespan == 1.0


def test_a_cycle_is_refused_with_its_tasks():
    """The message names them in the order of the cycle."""
    with pytest.raises(ValueError, match=r"a -> b -> a|b -> a -> b"):
        schedule({"a": 1.0, "b": 1.0}, {"a": ["b"], "b": ["a"]}, 1)
    with pytest.raises(ValueError, match="at least one worker"):
        schedule({"a": 1.0}, {}, 0)
