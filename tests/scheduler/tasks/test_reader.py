"""`tasks.json` from outside: what is read, what is refused with which message, and hostile input."""

from __future__ import annotations

import io
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.tasks.reader import problems_of, read_input, read_limited
from team_mail.scheduler.tasks.strict import MAX_BYTES, read_json

from ...samples import examples

PERSONAS = ("coder", "debug", "forge", "scribe")
CODER = {"contract_description": "Store users", "node_type": "Effect", "output_path": "src/users.py"}


def task(task_id: object = "a", agent: object = "forge", *dependencies: str, **more) -> dict[str, object]:
    return {"task_id": task_id, "agent": agent, "dependencies": list(dependencies), **more}


def problems(given: object) -> list[str]:
    """Read an input that is refused, and return what is wrong with it."""
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    with pytest.raises(InvalidTasks) as refused:
        read_input(data, PERSONAS)
    return list(refused.value.problems)


def test_a_valid_input_is_read_completely():
    """Every field of tasks and config is read, in the order given."""
    tasks = [
        task("find", "debug", input_data={"problem_description": "Slow", "affected_files": []}),
        task("fix", "coder", "find", input_data=CODER | {"context_files": "{{ tasks.find.output.files }}"}, priority=2),
        task("tell", "scribe", "fix", input_data={"why": ["{{ tasks.find.output.root_cause }}"]}, estimate="2h"),
    ]
    config = {"max_workers": 2, "timeout_seconds": "10m", "trace_dir": "out", "max_per_agent": {"coder": 1, "*": 2}}

    read = read_input(json.dumps({"tasks": tasks, "config": config}, ensure_ascii=False).encode(), PERSONAS)

    assert [item.task_id for item in read.tasks] == ["find", "fix", "tell"]
    assert (read.tasks[1].dependencies, read.tasks[1].priority, read.tasks[2].estimate) == (("find",), 2, 7_200.0)
    assert (read.config.max_workers, read.config.timeout_seconds) == (2, 600.0)
    assert problems_of(read, PERSONAS) == []


def test_all_problems_are_reported_at_once():
    """Fields, names, typed input, dependencies, cycles and references: one mistake does not hide the next."""
    tasks = [
        task("a", "coder", "b", input_data=CODER | {"node_type": "Efect"}),
        task("b", "codr", "a", "nobody"),
        task("a", dependancies=[]),
        7,
        task("x/y", retries="many"),
        task("c", "debug", input_data=[]),
        task("d", input_data={"deep": [{"a b": "{{ tasks.a.out }}"}], "who": "{{ tasks.nobod.output }}"}),
    ]

    assert problems({"tasks": tasks, "config": {"max_worker": 3}, "task": 1}) == [
        "task: is no field of the input; did you mean tasks?",
        "tasks[2].dependancies: is no field of a task; did you mean dependencies?",
        "tasks[3]: must be an object: {…}",
        (
            "tasks[4].task_id: must be 1 to 100 letters (a to z), digits, '_' and '-', "
            'with a letter or a digit in front, not "x/y"'
        ),
        'tasks[4].retries: must be a whole number, not "many"',
        "tasks[5].input_data: must be an object: {…}",
        "config.max_worker: is no field of the config; did you mean max_workers?",
        (
            "tasks[0].input_data.node_type: Invalid node_type: Efect; "
            "it must be Effect, Compute, Reducer or Orchestrator; did you mean Effect?"
        ),
        "tasks[1].agent: there is no persona 'codr'; did you mean coder?",
        "tasks[2].task_id: 'a' is there already, at tasks[0]",
        "Task 'b' depends on unknown task 'nobody'; there are a, b, c, d, x/y",
        "Circular dependency detected involving task 'a': a -> b -> a",
        "tasks[6].input_data.deep[0][\"a b\"]: '{{ tasks.a.out }}' is no reference; write {{ tasks.ID.output.KEY }}",
        "tasks[6].input_data.who: refers to unknown task 'nobod'; there are a, b, c, d, x/y",
    ]


def test_a_reference_needs_a_direct_or_indirect_dependency():
    """Only then has the other task certainly ended."""
    tasks = [task("a"), task("b", "forge", "a"), task("c", "forge", "b", input_data={"x": "{{ tasks.a.output }}"})]
    read_input(json.dumps({"tasks": tasks}).encode(), PERSONAS)

    tasks[1] = task("b", input_data={"x": "{{ tasks.b.output }}"})

    assert problems({"tasks": tasks}) == [
        "tasks[1].input_data.x: refers to task 'b', which 'b' does not depend on; add it to its dependencies",
        "tasks[2].input_data.x: refers to task 'a', which 'c' does not depend on; add it to its dependencies",
    ]


def test_a_reference_outside_of_the_input_is_a_problem():
    """It would not be filled, and the agent would see `{{ … }}`."""
    tasks = [task("a"), task("b", "forge", "a", description="Mend {{ tasks.a.output.cause }}, and {{ that }}.")]

    assert problems({"tasks": tasks}) == [
        "tasks[1].description: references are filled in input_data only; put it there, and speak of it here"
    ]


def test_unknown_personas_in_the_config_are_reported():
    """A limit for an unknown persona limits nobody."""
    assert problems({"tasks": [task()], "config": {"max_per_agent": {"scrib": 1, "*": 2}}}) == [
        "config.max_per_agent: there is no persona 'scrib'; did you mean scribe?"
    ]


def test_a_task_names_its_persona_as_agent_or_as_persona():
    """Both keys mean the same, and both may be given if they agree."""
    tasks = [
        {"task_id": "a", "persona": "scribe"},
        {"task_id": "b", "agent": "forge"},
        {"task_id": "c", "agent": "forge", "persona": "forge"},
    ]

    document = read_input(json.dumps({"tasks": tasks}).encode(), PERSONAS)

    assert [task.agent for task in document.tasks] == ["scribe", "forge", "forge"]
    assert [task.model_dump(exclude_unset=True)["agent"] for task in document.tasks] == ["scribe", "forge", "forge"]


def test_a_mistake_in_a_persona_is_reported_under_the_key_that_was_written():
    """Two that differ, an unknown one, one of the wrong type, a misspelt key, and none at all."""
    tasks = [
        {"task_id": "a", "agent": "forge", "persona": "scribe"},
        {"task_id": "b", "persona": "scrib"},
        {"task_id": "c", "persona": 7},
        {"task_id": "d", "personna": "forge"},
    ]

    assert problems({"tasks": tasks}) == [
        "tasks[0]: has the agent 'forge' and the persona 'scribe', which mean the same; keep one",
        "tasks[2].persona: must be text, not 7",
        "tasks[3].personna: is no field of a task; did you mean persona?",
        "tasks[3].agent: is missing",
        "tasks[1].persona: there is no persona 'scrib'; did you mean scribe?",
    ]


def test_more_tasks_than_the_limit_are_refused():
    """The message names the limit and the number given, and no other problem is reported."""
    assert problems({"tasks": [{}] * 10_001}) == ["tasks: has 10,001 entries, and the cap is 10,000"]


def test_ids_that_differ_only_in_case_are_refused():
    """Their traces would be the same file on some disks."""
    assert problems({"tasks": [task("Build"), task("build")]}) == [
        "tasks[1].task_id: 'build' is there already, at tasks[0], but for its case, as 'Build'"
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "the input is empty"),
        (b" \n", "the input is empty"),
        (b"[]", "the input must be an object"),
        (b"{}", 'tasks: is missing: write {"tasks": [\u2026]}'),
        (b'{"tasks": {}}', "tasks: must be a list"),
        (b'{"tasks": []}', "tasks: is empty; there is nothing to dispatch"),
        (b'{"tasks": [\n}', "the input is not JSON: expecting value (line 2, column 1)"),
        (b'{"max": 5, // at once\n}', "the input is not JSON: comments are no part of JSON"),
        (b'{"tasks": [{}]} {}', "the input is not JSON: extra data"),
        (b'\xef\xbb\xbf{"tasks": []}', "the input begins with a byte order mark"),
        ('{"tasks": []}'.encode("utf-16"), "the input begins with a byte order mark"),
        (b'{"tasks":\n"\xff"}', "the input is not UTF-8 (line 2)"),
        (b'{"tasks": [{"a": {"b c": "\\ud83d"}}]}', 'tasks[0].a["b c"]: holds half of a surrogate pair'),
        (b'{"tasks": [1, "\\u0000"]}', "tasks[1]: holds a NUL character"),
        (b'{"\\u0000": 1}', "the input: has the key '\\x00', which holds a NUL character"),
        (b'{"tasks": [], "tasks": []}', "the input: has the key 'tasks' twice; keep one"),
        (b'{"tasks": [{"a": {"x": 1, "x": 1}}]}', "tasks[0].a: has the key 'x' twice; keep one"),
        (b'{"tasks": [NaN]}', "tasks[0]: is NaN, which JSON has not"),
        (b'{"tasks": [-Infinity]}', "tasks[0]: is -Infinity, which JSON has not"),
        (b'{"tasks": [1e999]}', "tasks[0]: is not a finite number"),
        (b'{"tasks": [9007199254740993]}', "tasks[0]: is an integer beyond 2^53"),
        (b'{"tasks": [' + b"9" * 100_000 + b"]}", "tasks[0]: is an integer beyond 2^53"),
        (b"[" * 25 + b"]" * 25, "the input is nested deeper than 24 levels"),
        (b'{"tasks": [{"task_id": "a\x1b[31m"}]}', "the input is not JSON: invalid control character"),
    ],
)
def test_invalid_json_is_refused_with_its_place(given, message):
    """Each mistake gives one clear line."""
    (problem,) = problems(given)

    assert problem.startswith(message)


def test_several_faults_of_a_document_are_reported_together():
    """They can be fixed together."""
    assert problems(b'{"a": NaN, "b": "\\u0000", "c": {"d": 1, "d": 2}}') == [
        "a: is NaN, which JSON has not",
        "b: holds a NUL character, which is not text",
        "c: has the key 'd' twice; keep one",
    ]


def test_brackets_within_strings_do_not_count_as_nesting():
    """Real nesting may be 24 levels deep."""
    text = '[[[[[{{{{{ \\" ' * 100

    assert read_json(f'["{text}"]'.encode()) == [text.replace("\\", "")]
    assert read_json(b"[" * 24 + b"]" * 24)


def test_names_in_messages_are_escaped_and_cut():
    """They come from outside, and stay within one line."""
    listed = problems({"tasks": [task("a\x1b[31m\nb", "\u202eforge", "\x07")], "x\n" * 9_999: 1})

    assert not [problem for problem in listed if not problem.isprintable() or len(problem) > 500]
    assert "tasks[0].agent: there is no persona '\\u202eforge'; did you mean forge?" in listed


def test_fifty_problems_are_listed_and_the_others_counted():
    """A thousand would not be read."""
    listed = problems({"tasks": [task(f"t{place}", "nobody") for place in range(1_000)]})

    assert len(listed) == 51
    assert listed[-1] == "and 950 more"


@pytest.mark.parametrize(
    "given",
    [
        b'{"tasks":' + b"[" * 100_000,
        b'{"tasks":' + b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'"' + b"\\" * 1_000_000,
        b'{"tasks":[' + b"0," * 1_000_000 + b"0]}",
        b'{"tasks":[' + b"[]," * 9_000 + b"0]}",
        b'{"tasks":[{' + b",".join(b'"k%d":0' % place for place in range(100_000)) + b"}]}",
        b'{"tasks":[' + b'{"task_id":"a","agent":"x","dependencies":["u"]},' * 9_000 + b"0]}",
    ],
    ids=["lists", "objects", "balanced", "backslashes", "zeros", "empties", "keys", "unknown"],
)  # fmt: skip
def test_hostile_input_is_refused_quickly(given):
    """Deep, wide or long input gets a few clear lines."""
    started = time.perf_counter()

    listed = problems(given)

    assert 1 <= len(listed) <= 51
    assert time.perf_counter() - started < 10


def test_no_more_is_read_than_the_size_limit():
    """Of an endless stream one byte beyond the limit is read, and then it is refused."""

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b" " * size

    stream = Endless()
    data = read_limited(stream)

    assert len(data) == stream.given == MAX_BYTES + 1
    assert problems(data)[0].startswith("the input has more than 16,777,216 bytes")
    assert read_limited(io.BytesIO(b"abc"), 2) == b"abc"
    assert read_limited(io.BytesIO(b"ab"), 2) == b"ab"


def test_a_thousand_tasks_are_read_quickly():
    """1,000 tasks with 3,000 edges and as many references take 0.2 s; a busy machine gets five times as long."""
    dice = random.Random(1)
    tasks = [task("t0")] + [
        task(f"t{n}", "forge", f"t{n // 2}", *(f"t{dice.randrange(n)}" for _ in range(2)), input_data=referring(n // 2))
        for n in range(1, 1_000)
    ]
    data = json.dumps({"tasks": tasks}).encode()
    started = time.perf_counter()

    assert len(read_input(data, PERSONAS).tasks) == 1_000
    assert time.perf_counter() - started < 1


def referring(place: int) -> dict[str, object]:
    return {"to": [f"{{{{ tasks.t{place}.output.x }}}}", f"{{{{ tasks.t{place // 2}.output.x }}}}"]}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["a", "forge"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["tasks", "config", "task_id", "agent", "input_data", "dependencies", "files", "retries", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


def answer(read):
    """Return what is read, or None, and what is wrong."""
    try:
        return read(), ()
    except InvalidTasks as refused:
        return None, refused.problems


@given(st.dictionaries(st.sampled_from(["tasks", "config", "x"]), anything, max_size=3))
@settings(max_examples=examples(75), deadline=None)
def test_any_json_is_read_or_refused(given):
    """What is read has no problems as a whole."""
    data = json.dumps(given).encode("utf-8", "surrogatepass")

    read, wrong = answer(lambda: read_input(data, PERSONAS))

    assert (read is None) == bool(wrong)
    assert all(problem.strip() and "\n" not in problem for problem in wrong)
    assert read is None or problems_of(read, PERSONAS) == []


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]",:\\ tasks0'), max_size=60).map(str.encode))
@settings(max_examples=examples(75), deadline=None)
def test_any_bytes_are_read_or_refused(data):
    """No bytes get anything but an answer, and what is read is what Python reads."""
    value, wrong = answer(lambda: read_json(data))

    assert wrong or value == json.loads(data)
