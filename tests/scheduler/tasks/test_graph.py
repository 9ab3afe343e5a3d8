"""The graph of tasks: unknown dependencies, cycles and waves, compared with a naive oracle, and in large sizes."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.tasks.graph import (
    circle_text,
    cycles,
    depending,
    detect_circular_dependencies,
    validate_task_dependencies,
    waves,
)
from team_mail.scheduler.tasks.task import Task

from ...samples import examples


class Node(NamedTuple):
    task_id: str
    dependencies: tuple[str, ...] = ()


def graph(**edges: str) -> list[Node]:
    """Write a graph as `a="b c"`: a depends on b and c."""
    return [Node(name, tuple(needs.split())) for name, needs in edges.items()]


def reach(tasks: list[Node]) -> dict[str, set[str]]:
    """The naive oracle: what each task depends on, by asking until nothing is new."""
    edges = {task.task_id: set(task.dependencies) for task in tasks}
    reached = {name: needs & edges.keys() for name, needs in edges.items()}
    for _ in edges:
        reached = {name: needs.union(*(reached[need] for need in needs)) for name, needs in reached.items()}
    return reached


NAMES = "abcdefg"
graphs = st.lists(
    st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES + "z"), max_size=3)), max_size=7
).map(lambda given: [Node(name, tuple(needs)) for name, needs in dict(given).items()])
orderly = st.lists(st.lists(st.integers(0, 30), max_size=3), max_size=12).map(
    lambda given: [
        Node(f"t{place}", tuple(f"t{need % place}" for need in needs) if place else ())
        for place, needs in enumerate(given)
    ]
)


def test_the_messages_have_their_documented_text():
    """Programs look for these two sentences."""
    tasks = [
        Task(task_id="a", agent="coder", dependencies=("b", "c")),
        Task(task_id="c", agent="coder", dependencies=("d", "a")),
        Task(task_id="d", agent="coder", dependencies=("c",)),
    ]

    assert validate_task_dependencies(tasks) == ["Task 'a' depends on unknown task 'b'"]
    assert detect_circular_dependencies(tasks) == [
        "Circular dependency detected involving task 'a'",
        "Circular dependency detected involving task 'c'",
    ]
    assert validate_task_dependencies(tasks[2:1]) == detect_circular_dependencies([]) == []


@given(graphs, st.randoms(use_true_random=False))
def test_mappings_and_tasks_give_the_same_messages_also_mixed(tasks, random):
    """A mapping as in `tasks.json` means the same as an object; dependencies may be left out where there are none."""
    dicts = [{"task_id": name, "agent": "coder", "dependencies": [*needs]} for name, needs in tasks]
    bare = [{key: value for key, value in item.items() if value} for item in dicts]
    mixed = [random.choice(pair) for pair in zip(dicts, tasks, strict=True)]
    for check in (validate_task_dependencies, detect_circular_dependencies):
        assert check(dicts) == check(bare) == check(mixed) == check(iter(mixed)) == check(tasks)


def test_mappings_that_name_no_task_are_refused_with_their_places():
    """All at once."""
    wrong = [
        {"agent": "a"},
        {"task_id": 3},
        {"task_id": "c", "dependencies": "a"},
        {"task_id": "d", "dependencies": [1]},
    ]
    for check in (validate_task_dependencies, detect_circular_dependencies):
        with pytest.raises(InvalidTasks) as refused:
            check(wrong)
        assert [*refused.value.problems] == [
            "tasks[0].task_id: is missing",
            "tasks[1].task_id: must be text",
            "tasks[2].dependencies: must be a list of the names of tasks",
            "tasks[3].dependencies: must be a list of the names of tasks",
        ]


def test_a_cycle_is_shown_along_its_edges():
    """From the task given first to what it depends on, and back."""
    circles = cycles(graph(x="a", c="a", a="b", b="c", s="s"))

    assert circles == [("c", "a", "b"), ("s",)]
    assert circle_text(circles[0]) == "Circular dependency detected involving task 'c': c -> a -> b -> c"
    assert circle_text(circles[1]) == "Circular dependency detected involving task 's': s -> s"


def test_cycles_that_share_a_task_are_both_reported():
    """Removing one of them would not be enough."""
    assert cycles(graph(a="b c", b="a", c="a")) == [("a", "b"), ("a", "c")]


def test_a_long_cycle_is_shortened_in_the_middle():
    """Nobody reads a line of a thousand names."""
    text = circle_text([f"t{place}" for place in range(1_000)])

    assert "t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> (988 more) -> t994" in text
    assert text.endswith("t999 -> t0")


def test_waves_are_in_the_order_given():
    """A task is in the first wave that all it needs is before; what is unknown does not count."""
    tasks = graph(d="b c", b="a", c="a nobody", a="", e="")

    assert waves(tasks) == [("a", "e"), ("b", "c"), ("d",)]
    with pytest.raises(InvalidTasks, match="a -> b -> a"):
        waves(graph(a="b", b="a", c=""))


@given(graphs)
@settings(max_examples=examples(75), deadline=None)
def test_cycles_are_found_if_and_only_if_there_are_any(tasks):
    """Each is a cycle of existing edges; without their last edges none is left."""
    edges = {task.task_id: task.dependencies for task in tasks}
    circles = cycles(tasks)

    assert bool(circles) == any(name in needs for name, needs in reach(tasks).items())
    for circle in circles:
        assert len(set(circle)) == len(circle)
        assert all(after in edges[before] for before, after in pairwise((*circle, circle[0])))
        assert circle[0] == min(circle, key=list(edges).index)
    assert len(circles) == len(detect_circular_dependencies(tasks))


@given(orderly)
@settings(max_examples=examples(50), deadline=None)
def test_waves_and_dependencies_agree_with_the_oracle(tasks):
    """Direct and indirect dependencies are the same by every function."""
    expected = reach(tasks)
    pairs = {(first, second) for first in expected for second in expected}
    grouped = waves(tasks)
    wave_of = {name: place for place, wave in enumerate(grouped) for name in wave}

    assert cycles(tasks) == []
    assert depending(tasks, pairs) == {(first, second) for first, needs in expected.items() for second in needs}
    assert wave_of == {name: max((wave_of[need] + 1 for need in needs), default=0) for name, needs in expected.items()}


@pytest.mark.parametrize("size", [20_000, pytest.param(100_000, marks=pytest.mark.storm)])
def test_a_long_chain_of_tasks_is_handled_quickly(size):
    """Nothing recurses, and the far end of the chain is found at once."""
    chain = [Node(f"t{place}", (f"t{place + 1}",)) for place in range(size)]
    started = time.perf_counter()

    assert len(validate_task_dependencies(chain)) == 1
    assert cycles(chain) == []
    assert len(waves(chain)) == size
    assert depending(chain, {("t0", f"t{size - 1}"), (f"t{size - 1}", "t0")}) == {("t0", f"t{size - 1}")}
    (circle,) = cycles([*chain, Node(f"t{size}", ("t0",))])
    assert len(circle) == size + 1
    assert len(cycles([Node(link.task_id, (link.task_id, *link.dependencies)) for link in chain])) == size
    assert time.perf_counter() - started < size / 5000


def test_only_some_cycles_of_a_complete_graph_are_reported():
    """A thousand tasks that all depend on each other have too many cycles to list."""
    names = tuple(f"t{place}" for place in range(300))
    started = time.perf_counter()

    assert 0 < len(cycles([Node(name, names) for name in names])) < 300 * 300
    assert time.perf_counter() - started < 10


def test_all_tasks_of_a_document_are_checked():
    """It is what `tasks.json` holds; what is no task at all is named."""
    tasks = [{"task_id": "a", "dependencies": ["b"]}, {"task_id": "b", "dependencies": ["a", "c"]}]
    assert validate_task_dependencies({"tasks": tasks}) == ["Task 'b' depends on unknown task 'c'"]
    assert len(detect_circular_dependencies({"tasks": tasks})) == 1
    with pytest.raises(InvalidTasks, match="must be a task: an object with task_id and dependencies"):
        validate_task_dependencies([3])
