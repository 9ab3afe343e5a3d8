"""Tasks that may change the same files run one after the other."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.planner.item import Item, Phase, Roadmap
from team_mail.scheduler.planner.overlap import in_order, overlaps
from team_mail.scheduler.tasks.graph import cycles, depending
from team_mail.scheduler.tasks.task import Task

GLOBS = ("src/a.py", "src/b.py", "src/*.py", "docs/**", "README.md")


def task(name: str, files: tuple[str, ...] = (), needs: tuple[str, ...] = (), **more) -> Task:
    return Task(task_id=name, agent="forge", files=files, dependencies=needs, **more)


def needs(tasks) -> dict[str, tuple[str, ...]]:
    return {each.task_id: each.dependencies for each in tasks}


def test_the_task_that_was_given_later_waits():
    """Nothing else about it changes, and tasks that are apart stay apart."""
    a, b, c = task("a", ("src/*.py",)), task("b", ("src/a.py",), retries=2), task("c", ("docs/**",))
    ordered, pairs = in_order([a, b, c])
    assert needs(ordered) == {"a": (), "b": ("a",), "c": ()}
    assert ordered[1] == b.model_copy(update={"dependencies": ("a",)})
    assert [(pair.left, pair.right, pair.files) for pair in pairs] == [("a", "b", ("src/a.py",))]


def test_the_task_that_can_start_later_waits_although_it_was_given_first():
    """Else the two would wait for each other."""
    ordered, _ = in_order([task("fix", ("src/a.py",), ("find",)), task("find"), task("tidy", ("src/a.py",))])
    assert needs(ordered) == {"fix": ("find", "tidy"), "find": (), "tidy": ()}


def test_tasks_that_wait_for_each_other_anyway_are_left_alone():
    """An order that is there, direct or not, is not written twice."""
    tasks = [task("a", ("x",)), task("b", (), ("a",)), task("c", ("x",), ("b",))]
    assert in_order(tasks) == (tuple(tasks), ())


@pytest.mark.parametrize(
    "other", [{"files": ("src/*.py",)}, {"input_data": {"output_path": "src/a.py"}}, {"creates": ("src/a.py",)}]
)
def test_an_output_path_is_a_file_that_a_task_writes(other):
    """It may be there already or not."""
    writes = task("a", input_data={"output_path": "src/a.py"})
    assert needs(in_order([writes, task("b", **other)])[0])["b"] == ("a",)
    assert in_order([writes, task("b", input_data={"output_path": "{{ tasks.a.output.x }}"})])[1] == ()


def test_circles_are_refused():
    """They are the planner's to mend."""
    with pytest.raises(InvalidTasks, match="Circular"):
        in_order([task("a", ("x",), ("b",)), task("b", ("x",), ("a",))])


@given(st.data())
def test_no_two_tasks_that_touch_the_same_files_can_run_at_once(data):
    """Whatever the graph, the result has no circle, keeps all dependencies, and orders every overlap."""
    names = [f"t{number}" for number in range(data.draw(st.integers(1, 7)))]
    tasks = [
        task(
            name, tuple(data.draw(st.sets(st.sampled_from(GLOBS), max_size=2))),
            tuple(data.draw(st.sets(st.sampled_from(names[:place]), max_size=2))) if place else (),
        )
        for place, name in enumerate(names)
    ]  # fmt: skip
    tasks = data.draw(st.permutations(tasks))
    ordered, _ = in_order(tasks)
    assert cycles(ordered) == []
    assert all({*before.dependencies} <= {*after.dependencies} for before, after in zip(tasks, ordered, strict=True))
    items = tuple(Item(each.task_id, "", 0, 1.0, files=each.files) for each in ordered)
    met = {(pair.left, pair.right) for pair in overlaps(Roadmap("", (Phase(""),), items))}
    both = {*combinations(names, 2)} | {pair[::-1] for pair in combinations(names, 2)}
    reached = depending(ordered, both)
    assert all((left, right) in reached or (right, left) in reached for left, right in met)
