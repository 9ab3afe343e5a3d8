"""The schedule against what holds of every schedule, the best one of tiny plans, and rectangles that are full."""

from __future__ import annotations

import random
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.planner.schedule import critical_path, curve, lower_bound, schedule, tails

NEAR = 1 + 1e-9
HOURS = {"registry": 1.0, "control": 4.0, "worker": 3.0}
CHAIN = {"control": ["registry"], "worker": ["control"]}


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
@settings(max_examples=150, deadline=None)
def test_every_schedule_holds_what_a_schedule_promises(plan, workers):
    """Each task once and whole, none before what it waits for, no worker twice at once, no rivals side by side."""
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
@settings(max_examples=60, deadline=None)
def test_a_tiny_plan_is_within_the_guarantee_of_the_best_schedule(plan, workers):
    """List scheduling is never worse than 2 - 1/N times the best of all orders, and hardly ever worse at all."""
    durations, after, _ = plan
    best = shortest(durations, after, workers, ())
    assert best <= schedule(durations, after, workers).makespan * NEAR <= best * (2 - 1 / workers) * NEAR**2


@given(plans(most=5, whole=True), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_pairs_kept_apart_are_not_scheduled_better_than_can_be(plan, workers):
    """The best of all orders is a bound for rivals, too, and one worker alone never minds them."""
    durations, after, apart = plan
    makespan = schedule(durations, after, workers, apart).makespan
    assert makespan * NEAR >= shortest(durations, after, workers, apart)
    assert schedule(durations, after, 1, apart).makespan == pytest.approx(sum(durations.values()))


def test_full_rectangles_come_out_within_a_tenth_of_the_bound():
    """A hundred plans made by cutting up a rectangle: it is known that the work fits without a gap."""
    chance = random.Random(4)
    off = []
    for _ in range(100):
        workers = chance.randint(2, 10)
        durations, after = rectangle(chance, workers, chance.randint(2 * workers, 80))
        off.append(schedule(durations, after, workers).makespan / lower_bound(durations, after, workers))
    print(f"worst {max(off):.3f}, mean {sum(off) / len(off):.4f} of the bound")
    assert max(off) <= 1.1


def test_the_same_plan_gives_the_same_schedule():
    """Chance is not left to chance: the plan of yesterday is the plan of today."""
    durations, after = rectangle(random.Random(7), 4, 40)
    assert schedule(durations, after, 4) == schedule(durations, after, 4)


def test_a_chain_takes_its_length_on_any_number_of_workers():
    """What waits for each other gains nothing from company."""
    assert [schedule(HOURS, CHAIN, workers).makespan for workers in (1, 2, 9)] == [8.0, 8.0, 8.0]
    assert critical_path(HOURS, CHAIN) == ("registry", "control", "worker")
    assert tails(HOURS, CHAIN) == {"registry": 8.0, "control": 7.0, "worker": 3.0}


def test_of_equal_tasks_the_one_given_first_goes_first():
    """That is how a caller says what is more important."""
    plan = schedule({"b": 1.0, "a": 1.0}, {}, 1)
    assert [slot.task for slot in plan.slots] == ["b", "a"]


def test_the_longest_tail_goes_first():
    """A short task that long ones wait for is not left for the end."""
    plan = schedule({"long": 3.0, "short": 1.0, "behind": 9.0}, {"behind": ["short"]}, 1)
    assert plan.slots[0].task == "short"


@given(plans(), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_more_workers_never_take_longer(plan, most):
    """The curve falls, starts at the whole work, and ends where nobody more can help."""
    durations, after, _ = plan
    spans = [step.makespan for step in curve(durations, after, most)]
    assert spans[0] == pytest.approx(sum(durations.values()))
    assert all(later <= earlier for earlier, later in pairwise(spans))
    assert len(spans) == most or spans[-1] == pytest.approx(lower_bound(durations, after, len(durations)))


def test_a_curve_says_for_how_many_workers_each_schedule_is():
    """A worker more than help is still counted, with the same slots."""
    steps = curve({"a": 2.0, "b": 2.0, "c": 1.0}, {"c": ["a"]}, 5)
    assert [(step.workers, step.makespan) for step in steps] == [(1, 5.0), (2, 3.0)]


def test_nothing_to_do_takes_no_time():
    """An empty plan is one, too."""
    assert schedule({}, {}, 3).slots == ()
    assert critical_path({}, {}) == ()
    assert [step.makespan for step in curve({}, {}, 4)] == [0.0]


def test_what_is_not_in_the_plan_is_not_waited_for():
    """An edge to a task of another phase is over when this one starts."""
    assert schedule({"a": 1.0}, {"a": ["elsewhere"]}, 1).makespan == 1.0


def test_tasks_in_a_circle_are_refused_by_name():
    """Each waits for the next, and that is said in this order."""
    with pytest.raises(ValueError, match=r"a -> b -> a|b -> a -> b"):
        schedule({"a": 1.0, "b": 1.0}, {"a": ["b"], "b": ["a"]}, 1)
    with pytest.raises(ValueError, match="at least one worker"):
        schedule({"a": 1.0}, {}, 0)
