"""Single tasks: what each field accepts, what is refused, and how Python makes them."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from pydantic import ValidationError
from team_mail.scheduler.tasks.builder import TaskBuilder
from team_mail.scheduler.tasks.reader import problems_of, read_input
from team_mail.scheduler.tasks.task import DispatchConfig, DispatchInput, Task
from team_mail.scheduler.tasks.typed import CoderInput, DebugInput, check_input

CODER = {"contract_description": "Store users", "node_type": "Effect", "output_path": "src/users.py"}
DEBUG = {"problem_description": "Slow", "affected_files": ["src/api.py"]}


def refusal(**fields) -> str:
    with pytest.raises(ValidationError) as refused:
        Task.model_validate({"task_id": "a", "agent": "forge"} | fields)
    return str(refused.value)


def test_the_documented_input_is_valid():
    """It has no config and gets the documented defaults."""
    given = DispatchInput.model_validate(
        {"tasks": [{"task_id": "test-1", "agent": "coder", "description": "", "input_data": CODER, "dependencies": []}]}
    )

    assert given.tasks == (Task(task_id="test-1", agent="coder", input_data=CODER),)
    assert (given.config.max_workers, given.config.timeout_seconds, given.config.trace_dir) == (5, 300.0, "./traces")


def test_a_task_is_frozen_and_has_its_defaults():
    """Nobody changes a task under way, and what was not written has the documented value."""
    task = Task(task_id="a", agent="forge")

    assert (task.dependencies, task.input_data, task.priority, task.retries, task.retry_backoff) == ((), {}, 0, 0, 1.0)
    assert (task.timeout_seconds, task.estimate, task.files, task.creates) == (None, None, (), ())
    with pytest.raises(ValidationError):
        task.agent = "scribe"


@pytest.mark.parametrize(("written", "meant"), [("30m", 1_800.0), ("1h30m", 5_400.0), (90, 90.0), (0.5, 0.5)])
def test_durations_are_numbers_or_text(written, meant):
    """A number is seconds; text is a duration as in the settings."""
    task = Task.model_validate(
        {"task_id": "a", "agent": "forge", "timeout_seconds": written, "retry_backoff": written, "estimate": written}
    )

    assert (task.timeout_seconds, task.retry_backoff, task.estimate) == (meant, meant, meant)


@pytest.mark.parametrize(
    "name", ["a", "9", "gen-effect", "Build_2", "x" * 100, "dispatch", "dispatch-a_1", "dispatch-1"]
)
def test_ids_of_letters_digits_underscores_and_hyphens_are_valid(name):
    """The id is also the name of the trace file."""
    assert Task(task_id=name, agent="forge").task_id == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../a", "a.b", "a\nb", "a b", "-a", "_a", "ä", "a\0", "x" * 101, "a\n", "\uff11",
     "dispatch-20251006_120000", "Dispatch-1_2", "dispatch-1_2-3"],
)  # fmt: skip
def test_ids_that_are_no_safe_file_name_are_refused(name):
    """No separator, no dot, no trailing newline, and no name of an index file."""
    assert "must be" in refusal(task_id=name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"agent": ""}, "at least 1 character"),
        ({"priority": True}, "valid integer"),
        ({"priority": "1"}, "valid integer"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"retries": 101}, "less than or equal to 100"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"timeout_seconds": "soon"}, "must be a span of time"),
        ({"timeout_seconds": float("nan")}, "must be a span of time"),
        ({"estimate": -1}, "must be a span of time"),
        ({"dependencies": "a"}, "valid tuple"),
        ({"dependencies": [1]}, "valid string"),
        ({"files": ["/etc/passwd"]}, "must be a glob"),
        ({"files": ["src/../../x"]}, "must be a glob"),
        ({"creates": ["!src"]}, "must be a glob"),
        ({"input_data": []}, "valid dictionary"),
        ({"input_data": {"x": [1, {"y": {1}}]}}, "x[1].y is a set, which JSON has not"),
        ({"input_data": {"x": (1,)}}, "x is a tuple, which JSON has not"),
        ({"input_data": {"x": float("inf")}}, "x is not a finite number"),
        ({"input_data": {"x": 2**53 + 1}}, "x is an integer beyond"),
        ({"input_data": {"x": "\ud800"}}, "x holds half of a surrogate pair"),
        ({"input_data": {"\0": 1}}, "holds a NUL character"),
        ({"input_data": {1: 1}}, "valid string"),
        ({"dependancies": []}, "not permitted"),
    ],
)
def test_invalid_values_are_refused(fields, message):
    """No value is converted to another type."""
    refused = refusal(**fields)

    assert message in refused


def test_input_that_contains_itself_is_refused_quickly():
    """It is nested too deep, however many paths lead into the cycle."""
    endless: list[object] = []
    endless += [endless] * 10

    assert "is nested deeper than 24 levels" in refusal(input_data={"x": endless})


@pytest.mark.parametrize(
    "config",
    [
        {"max_workers": 0},
        {"max_workers": 1001},
        {"max_workers": 2.5},
        {"timeout_seconds": "0s"},
        {"trace_dir": ""},
        {"trace_dir": "a\nb"},
        {"trace_dir": "a\0"},
        {"max_per_agent": {"coder": 0}},
        {"max_per_agent": ["coder"]},
        {"workers": 3},
    ],
)
def test_an_invalid_config_is_refused(config):
    """Limits are whole numbers from 1, and a folder's name is one line."""
    with pytest.raises(ValidationError):
        DispatchConfig.model_validate(config)


def test_typed_input_has_the_documented_defaults():
    """What coder and debug may leave out has a value."""
    assert CoderInput.model_validate(CODER).validation_level == "moderate"
    assert DebugInput.model_validate(DEBUG).analysis_depth == "standard"
    assert check_input("coder", CODER) == check_input("debug", DEBUG) == []
    assert check_input("forge", {"anything": ["goes"]}) == []


def test_all_problems_of_a_typed_input_are_reported_at_once():
    """Unknown, missing and invalid fields, each with its path and the nearest known name."""
    wrong = {"node_type": "effect", "outputpath": "x", "context_files": ["", 5], "validation_level": 3}

    assert check_input("coder", wrong) == [
        "input_data.outputpath: is no field of coder's input; did you mean output_path?",
        "input_data.contract_description: is missing",
        (
            "input_data.node_type: Invalid node_type: effect; it must be Effect, Compute, Reducer or Orchestrator; "
            "did you mean Effect?"
        ),
        "input_data.output_path: is missing",
        "input_data.context_files[0]: must not be empty",
        "input_data.context_files[1]: must be text, not 5",
        "input_data.validation_level: Invalid validation_level: 3; it must be strict, moderate or lenient",
    ]


def test_a_reference_is_accepted_for_any_type():
    """A list, a choice or a path may come from another task; other braces are not accepted."""
    open_input = {
        "problem_description": "{{ tasks.a.output.problem }}",
        "affected_files": "{{ tasks.a.output.files }}",
        "analysis_depth": "{{ tasks.a.output.depth }}",
        "error_traces": ["{{ tasks.a.output.trace }}"],
    }

    assert check_input("debug", open_input) == []
    assert check_input("debug", open_input | {"analysis_depth": "{{ depth }}"}) != []


def test_the_builder_makes_the_documented_tasks():
    """The three tasks, made with keywords, are valid together."""
    builder = TaskBuilder()
    debug = builder.create_debug_task(
        task_id="debug-1",
        description="Analyze performance",
        problem_description="Slow API responses",
        affected_files=["src/api.py"],
    )
    coder = builder.create_coder_task(
        task_id="gen-1",
        description="Generate Effect node",
        contract_description="{{ tasks.debug-1.output.suggested_fix }}",
        node_type="Effect",
        output_path="src/output.py",
        dependencies=["debug-1"],
        priority=3,
        timeout_seconds="5m",
    )
    review = builder.create_task("review", "sentinel", "Look at it", {"file": "src/output.py"}, ["gen-1"])

    assert problems_of(DispatchInput(tasks=(debug, coder, review)), {"coder", "debug", "sentinel"}) == []
    assert (debug.agent, coder.agent, coder.priority, coder.timeout_seconds) == ("debug", "coder", 3, 300.0)
    assert coder.input_data["validation_level"] == "moderate"


def test_what_the_builder_makes_is_an_entry_of_a_file():
    """`json.dumps` takes it as it is, with what was given and nothing else; reading it back gives the same task."""
    builder = TaskBuilder()
    entries = [
        builder.create_task("plan", "steward"),
        builder.create_task(
            "write", "scribe", "Write", {"n": [1]}, ("plan",), timeout_seconds="5m", files=("docs/**",)
        ),
    ]

    text = json.dumps({"tasks": entries})

    assert json.loads(text)["tasks"][1] == {
        "task_id": "write", "agent": "scribe", "description": "Write", "input_data": {"n": [1]},
        "dependencies": ["plan"], "timeout_seconds": 300.0, "files": ["docs/**"],
    }  # fmt: skip
    assert read_input(text.encode(), {"scribe", "steward"}).tasks == tuple(entry.task for entry in entries)


def test_an_entry_has_the_fields_of_its_task_as_attributes():
    """Also those that were not given, and those that were changed since; a copy is one, too."""
    entry = TaskBuilder().create_task("write", "scribe", dependencies=["plan"])
    entry["priority"] = 3
    for each in (entry, copy.deepcopy(entry), pickle.loads(pickle.dumps(entry))):
        assert (each.task_id, each.dependencies, each.priority, each.retries) == ("write", ("plan",), 3, 0)
    assert not hasattr(entry, "nope")
    entry["priority"] = "high"
    with pytest.raises(ValidationError):
        _ = entry.priority


def test_tasks_made_in_python_are_checked_like_a_file():
    """The messages are the same."""
    builder = TaskBuilder()
    tasks = (
        builder.create_coder_task("a", "", "Store", "effect", "x.py", dependencies=("b",)),
        builder.create_task("b", "scrib", dependencies=("a", "c")),
        builder.create_task("A", "scribe"),
    )

    assert problems_of(DispatchInput(tasks=tasks), {"coder", "scribe"}) == [
        (
            "tasks[0].input_data.node_type: Invalid node_type: effect; "
            "it must be Effect, Compute, Reducer or Orchestrator; did you mean Effect?"
        ),
        "tasks[1].agent: there is no persona 'scrib'; did you mean scribe?",
        "tasks[2].task_id: 'A' is there already, at tasks[0], but for its case, as 'a'",
        "Task 'b' depends on unknown task 'c'; there are A, a, b",
        "Circular dependency detected involving task 'a': a -> b -> a",
    ]
    assert problems_of(DispatchInput(tasks=()), {"coder"}) == ["tasks: is empty; there is nothing to dispatch"]


def test_an_entry_is_changed_by_its_keys_and_takes_no_text_for_a_list():
    """An attribute that only looked changed would be lost on the way to JSON."""
    entry = TaskBuilder().create_task("a", "forge")
    with pytest.raises(AttributeError, match="set the key: task"):
        entry.task_id = "b"
    with pytest.raises(ValidationError):
        TaskBuilder().create_task("a", "forge", dependencies="bc")
