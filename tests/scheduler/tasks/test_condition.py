"""Conditions of tasks: what may be written, which outputs meet it, and what is said where that cannot be decided."""

from __future__ import annotations

import copy
import json
import pickle
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.tasks.builder import TaskBuilder
from team_mail.scheduler.tasks.condition import Condition, Undecided, is_same_json
from team_mail.scheduler.tasks.reader import problems_of, read_input
from team_mail.scheduler.tasks.task import DispatchInput, Task

OUTPUT = {
    "ok": True, "score": 0.75, "count": 6, "note": "fine", "none": None, "odd key": [{"a": 1}], "long": "x" * 200,
    "half": "\ud800\n\0",
}  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 0.5, 1.0, -0.0]) | st.text(max_size=2)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=3)
)


def condition(key: str = "ok", **test: object) -> Condition:
    return Condition.model_validate({"task": "check", "key": key, **test})


@pytest.mark.parametrize(
    ("key", "test", "unmet"),
    [
        ("ok", {"equals": True}, ""),
        ("ok", {"equals": False}, "check.ok is true"),
        ("ok", {"equals": 1}, "check.ok is true"),
        ("count", {"equals": 6.0}, ""),
        ("count", {"equals": "6"}, "check.count is 6"),
        ("none", {"equals": None}, ""),
        ("note", {"equals": None}, 'check.note is "fine"'),
        ('["odd key"]', {"equals": [{"a": 1}]}, ""),
        ('["odd key"].0.a', {"equals": 2}, 'check["odd key"].0.a is 1'),
        ("long", {"equals": ""}, f'check.long is "{"x" * 59}…'),
        ("score", {"below": 0.8}, ""),
        ("score", {"below": 0.75}, "check.score is 0.75"),
        ("count", {"above": 5.5}, ""),
        ("count", {"above": 6}, "check.count is 6"),
        ('["odd key"].0.a', {"above": 0}, ""),
    ],
)
def test_an_output_meets_a_condition_or_the_reason_says_what_it_is(key, test, unmet):
    """A bound itself is neither below nor above; a value of another type is just not equal."""
    assert condition(key, **test).unmet(OUTPUT) == unmet


@pytest.mark.parametrize(
    ("key", "test", "message"),
    [
        ("okay", {"equals": True}, "(only if check.okay equals true): check.okay: there is no okay; did you mean ok?"),
        ("ok.deep", {"equals": True}, "check.ok.deep: there is no deep; check.ok is true"),
        ('["odd key"].7', {"above": 1}, "there is only 0"),
        ("note", {"below": 0.8}, '(only if check.note is below 0.8): check.note is "fine", which is no number'),
        ("ok", {"above": 0}, "check.ok is true, which is no number"),
        ("none", {"below": 1}, "check.none is null, which is no number"),
        ('["odd key"]', {"above": 0}, 'check["odd key"] is [{"a": 1}], which is no number'),
    ],
)
def test_what_is_missing_or_no_number_is_an_error_and_not_a_guess(key, test, message):
    """It names the task, the key, and what was read instead."""
    with pytest.raises(Undecided) as raised:
        condition(key, **test).unmet(OUTPUT)

    assert str(raised.value).startswith("whether to run it cannot be decided (only if check")
    assert message in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_not_compared(value):
    """It is neither below nor above anything."""
    with pytest.raises(Undecided, match="which is no number"):
        condition("x", below=1).unmet({"x": value})


@pytest.mark.parametrize("output", [None, "text", 7, [], {}])
def test_an_output_without_keys_decides_nothing(output):
    """The error says what the output is."""
    with pytest.raises(Undecided, match=r"check\.ok: there is no ok"):
        condition(equals=True).unmet(output)


def test_what_was_read_is_shown_in_one_line_that_the_log_takes():
    """Control characters and halves of characters are escaped."""
    shown = condition("half", equals="").unmet(OUTPUT)

    assert shown.isprintable()
    assert shown.encode()


@pytest.mark.parametrize(
    ("test", "text"),
    [
        ({"equals": False}, "only if check.ok equals false"),
        ({"equals": None}, "only if check.ok equals null"),
        ({"equals": {"a": ["b"]}}, 'only if check.ok equals {"a": ["b"]}'),
        ({"below": 0.8}, "only if check.ok is below 0.8"),
        ({"below": 0}, "only if check.ok is below 0"),
        ({"above": 6}, "only if check.ok is above 6"),
        ({"above": 1e300}, "only if check.ok is above 1e+300"),
    ],
)
def test_a_condition_is_said_in_words_and_written_as_it_was_given(test, text):
    """Nothing is added where it is written down, and what is read back, pickled or copied is the same."""
    whole = Task.model_validate({"task_id": "fix", "agent": "forge", "when": {"task": "check", "key": "ok"} | test})

    assert whole.when
    assert whole.when.text == text
    for unset in (False, True):
        document = json.loads(json.dumps(whole.model_dump(mode="json", exclude_unset=unset)))
        assert document["when"] == {"task": "check", "key": "ok"} | test
        assert Task.model_validate(document) == whole
    assert pickle.loads(pickle.dumps(whole)) == copy.deepcopy(whole) == whole


@given(VALUES, VALUES)
def test_json_values_are_equal_as_their_texts_are(left, right):
    """The oracle writes both with every number in one form; true stays apart from 1, and the order of keys is free."""

    def canonical(value: object) -> object:
        if isinstance(value, dict):
            return "object", frozenset((key, canonical(item)) for key, item in value.items())
        if isinstance(value, list):
            return "list", *map(canonical, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return type(value).__name__, value
        return "number", Fraction(value)

    assert is_same_json(left, right) == (canonical(left) == canonical(right))
    assert is_same_json(left, json.loads(json.dumps(left)))


def problems(when: object, *dependencies: str) -> list[str]:
    tasks = [
        {"task_id": "check", "agent": "forge"},
        {"task_id": "fix", "agent": "forge", "dependencies": dependencies or ("check",), "when": when},
    ]
    with pytest.raises(InvalidTasks) as refused:
        read_input(json.dumps({"tasks": tasks}).encode(), ["forge"])
    return list(refused.value.problems)


NAMED = {"task": "check", "key": "ok"}
NO_PATH = "must be the path of a value in an output, as ok or findings.0.file"


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        (7, "tasks[1].when: must be an object: {…}, not 7"),
        (NAMED, "tasks[1].when: has nothing to compare with; give one of equals, below and above"),
        (NAMED | {"equals": 1, "above": 2}, "tasks[1].when: has equals and above; keep one"),
        (NAMED | {"equal": 1}, "tasks[1].when.equal: is no field of when; did you mean equals?"),
        (NAMED | {"below": "0.8"}, 'tasks[1].when.below: must be a number, not "0.8"'),
        (NAMED | {"above": True}, "tasks[1].when.above: must be a number, not true"),
        (NAMED | {"above": None}, "tasks[1].when.above: must be a number"),
        (NAMED | {"equals": 1, "key": 7}, "tasks[1].when.key: must be text, not 7"),
        ({"task": "check", "equals": 1}, "tasks[1].when.key: is missing"),
        ({"key": "ok", "equals": 1}, "tasks[1].when.task: is missing"),
        *(
            (
                {"task": "check", "key": key, "equals": 1},
                f"tasks[1].when.key: {NO_PATH}, not {json.dumps(key)}",
            )
            for key in ("", ".ok", "a..b", "a.", "a b", "['a", "{{ x }}")
        ),
        (
            NAMED | {"task": "chek", "equals": 1},
            "tasks[1].when.task: refers to unknown task 'chek'; did you mean check?",
        ),
        (
            NAMED | {"task": "fix", "equals": 1},
            "tasks[1].when.task: refers to task 'fix', which 'fix' does not depend on; add it to its dependencies",
        ),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused_with_its_place(when, problem):
    """Before anything starts, with the nearest name; what is asked for is never guessed."""
    assert problems(when) == [problem]


def test_the_task_of_a_condition_is_a_direct_or_indirect_dependency():
    """As for references: only then has it certainly ended. A circle is told as for any dependency."""
    tasks = [
        Task(task_id="a", agent="forge"),
        Task(task_id="b", agent="forge", dependencies=("a",)),
        Task(task_id="c", agent="forge", dependencies=("b",), when=Condition(task="a", key="ok", equals=True)),
    ]
    assert problems_of(DispatchInput(tasks=tuple(tasks)), ["forge"]) == []

    tasks[1] = Task(task_id="b", agent="forge")
    assert problems_of(DispatchInput(tasks=tuple(tasks)), ["forge"]) == [
        "tasks[2].when.task: refers to task 'a', which 'c' does not depend on; add it to its dependencies"
    ]
    assert problems(NAMED | {"equals": 1}, "check", "fix") == [
        "Circular dependency detected involving task 'fix': fix -> fix"
    ]


def test_conditions_can_be_made_in_python():
    """As a dict through the builder; what JSON has not is refused there, too."""
    entry = TaskBuilder().create_task("fix", "forge", dependencies=["check"], when=NAMED | {"equals": False})

    assert json.loads(json.dumps(entry))["when"] == NAMED | {"equals": False}
    assert entry.when == Condition(task="check", key="ok", equals=False)
    with pytest.raises(ValidationError, match="which JSON has not"):
        Condition(task="check", key="ok", equals={"a": {1}})
    with pytest.raises(ValidationError, match="must be a number"):
        Condition(task="check", key="ok", below=float("nan"))
