"""References to the output of other tasks: what is one, what it becomes, and that output is always data."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import TeamMailError
from team_mail.scheduler.tasks.references import MissingOutput, filled, find_references, references

from ...samples import examples

OUTPUT = {
    "debug": {
        "root_cause": "no index",
        "findings": [{"file": "src/a.py", "line": 3}, {"file": "src/b.py", "line": 4}, {"file": "src/c.py", "line": 5}],
        "odd key": {"a.b": 1, "it's": 2, 'say "x"': 3},
        "0": "zero",
        "none": None,
        "yes": True,
        "share": 0.5,
        "größe": 7,
        "empty": [],
        "nothing": {},
        "one": [1],
    },
    "a-1_b": ["first"],
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b c", "{{"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ tasks.debug.output.root_cause }}", "no index"),
        ("{{tasks.debug.output.root_cause}}", "no index"),
        ("{{\n tasks.debug.output.findings.2.line\t}}", 5),
        ("{{ tasks.debug.output.findings[1] }}", {"file": "src/b.py", "line": 4}),
        ("{{ tasks.debug.output.findings[ 0 ].file }}", "src/a.py"),
        ('{{ tasks.debug.output["odd key"]["a.b"] }}', 1),
        ("{{ tasks.debug.output['odd key'][\"it's\"] }}", 2),
        (r'{{ tasks.debug.output["odd key"]["say \"x\""] }}', 3),
        ("{{ tasks.debug.output.0 }}", "zero"),
        ("{{ tasks.debug.output.größe }}", 7),
        ("{{ tasks.debug.output.none }}", None),
        ("{{ tasks.debug.output.yes }}", True),
        ("{{ tasks.a-1_b.output }}", ["first"]),
        ("{{ tasks.a-1_b.output.0 }}!", "first!"),
        (" {{ tasks.debug.output.yes }}", " true"),
        ("{{ tasks.debug.output.none }} of {{ tasks.debug.output.share }}", "null of 0.5"),
        ("at {{ tasks.debug.output.findings.0 }}", 'at {"file":"src/a.py","line":3}'),
        ("{ {{ tasks.debug.output.one }} }", "{ [1] }"),
        ("{{{{ tasks.debug.output.yes }}}}", "{{true}}"),
    ],
)
def test_a_reference_becomes_the_value_it_names(text, value):
    """Alone, it keeps the type of the value; within text, it becomes text."""
    assert filled({"x": [text]}, OUTPUT) == {"x": [value]}
    assert references({"x": [text]}) <= OUTPUT.keys()


@pytest.mark.parametrize(
    "text",
    ["", "{{ }}", "{{ x }}", "{{ task.a.output }}", "{% tasks.a.output %}", "{{ mytasks.a.output }}", "tasks.a.output",
     "{{ 7 * 7 }}", "${{ secrets.KEY }}", "{{ tasks }}"],
)  # fmt: skip
def test_other_braces_are_left_as_they_are(text):
    """Templates of other tools pass through."""
    assert filled(text, {}) == text
    assert list(find_references(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ tasks.a }}",
        "{{ tasks.a.out }}",
        "{{ tasks.a.output. }}",
        "{{ tasks.a.output..x }}",
        "{{ tasks.a.output.x | upper }}",
        "{{ tasks.a.output.x() }}",
        "{{ tasks.a.output.x + 1 }}",
        "{{ tasks.a.output[x] }}",
        "{{ tasks.a.output[-1] }}",
        '{{ tasks.a.output["\\q"] }}',
        '{{ tasks.a.output["x }}',
        "{{ tasks.a/b.output }}",
        "{{ tasks.a.output.x }",
        "{{ tasks.a.output",
        "{{ tasks.",
    ],
)
def test_malformed_references_are_found(text):
    """Filters, calls, arithmetic and unfinished ones are problems; when an input is filled, they stay as they are."""
    (reference,) = find_references({"deep": [text]})

    assert reference.malformed
    assert reference.path == ("deep", 0)
    assert references(text) == frozenset()
    assert filled(text, OUTPUT) == text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("findings.7", "tasks.debug.output.findings.7: there is no 7; there are 0 to 2"),
        ("findings.-1", "tasks.debug.output.findings.-1: there is no -1; there are 0 to 2"),
        ("findings.99999999999999999999", "there are 0 to 2"),
        ("findings.²", "there are 0 to 2"),
        ("one.1", "there is only 0"),
        ("empty.0", "the list is empty"),
        ("nothing.x", "tasks.debug.output.nothing.x: there is no x; the object is empty"),
        ("findings.0.lin", "tasks.debug.output.findings.0.lin: there is no lin; did you mean line?"),
        ("findings.0.zzz", "there is no zzz; there are file, line"),
        ("root_cause.0", "tasks.debug.output.root_cause.0: there is no 0; tasks.debug.output.root_cause is text"),
        ("none.x", "tasks.debug.output.none is null"),
        ("yes.real", "tasks.debug.output.yes is true"),
        ("__class__", "there is no __class__"),
        ("findings.append", "there is no append"),
        ('findings["a b"]', 'tasks.debug.output.findings["a b"]: there is no a b'),
    ],
)
def test_a_path_that_does_not_exist_is_an_error_that_says_what_does(path, message):
    """Only keys and indexes can be named, no attributes of Python objects."""
    dotted = path if path.startswith("[") else f".{path}"
    with pytest.raises(MissingOutput) as missing:
        filled({"x": f"see {{{{ tasks.debug.output{dotted} }}}}"}, OUTPUT)

    assert message in str(missing.value)
    assert isinstance(missing.value, TeamMailError)


def test_a_reference_to_a_task_without_output_is_an_error():
    """It names the task."""
    with pytest.raises(MissingOutput, match=r"^tasks.gone.output: task 'gone' has given no output$"):
        filled("{{ tasks.gone.output.x }}", OUTPUT)


def test_inserted_output_is_not_searched_for_references():
    """An output that looks like a reference stays text, so agents cannot read other outputs."""
    outputs = {"a": "{{ tasks.secret.output }}", "secret": "key", "b": "{{ tasks."}

    assert filled("{{ tasks.a.output }}", outputs) == "{{ tasks.secret.output }}"
    assert filled("<{{ tasks.a.output }}>", outputs) == "<{{ tasks.secret.output }}>"
    assert filled("{{ tasks.b.output }}secret.output }}", outputs) == "{{ tasks.secret.output }}"


def test_keys_are_left_as_they_are():
    """References are filled in values only."""
    assert filled({"{{ tasks.a.output }}": 1}, {"a": "x"}) == {"{{ tasks.a.output }}": 1}


def test_inserted_output_is_a_copy():
    """Two tasks with the same output in their inputs cannot change it for each other."""
    outputs = {"a": {"list": [1]}}

    filled("{{ tasks.a.output }}", outputs)["list"].append(2)

    assert outputs == {"a": {"list": [1]}}


def test_inserted_output_is_limited():
    """All references of an input together insert at most a mebibyte, however they are written."""
    outputs = {"a": "x" * 500_000, "b": ["x" * 500_000]}

    assert len(filled("{{ tasks.a.output }}{{ tasks.a.output }}", outputs)) == 1_000_000
    for text in (
        "{{ tasks.a.output }}" * 3,
        ["{{ tasks.a.output }}"] * 3,
        {str(n): "{{ tasks.b.output }}" for n in range(3)},
    ):
        with pytest.raises(MissingOutput, match="makes the input more than 1,048,576 characters longer"):
            filled(text, outputs)


def test_an_output_that_the_log_cannot_hold_is_refused():
    """It is no JSON, or becomes too deep where it is inserted."""
    deep: object = 1
    for _ in range(23):
        deep = [deep]
    endless: list[object] = []
    endless.append(endless)

    for value in ({1, 2}, float("nan"), endless):
        with pytest.raises(MissingOutput, match="is nothing that JSON could hold"):
            filled("{{ tasks.a.output }}", {"a": value})
    assert filled({"x": "{{ tasks.a.output }}"}, {"a": deep}) == {"x": deep}
    with pytest.raises(MissingOutput, match=r"^input_data.x.y.*is nested deeper than 24 levels"):
        filled({"x": {"y": "{{ tasks.a.output }}"}}, {"a": deep})
    with pytest.raises(MissingOutput, match="beyond 2\\^53"):
        filled("{{ tasks.a.output }}", {"a": 2**60})


@given(json_values)
@example({"{{": "{{ tasks.a.output }}"})
@settings(max_examples=examples(50), deadline=None)
def test_any_output_is_inserted_unchanged(value):
    """Alone it is the same value; within text it is its JSON."""
    outputs = {"a": {"value": value}}

    assert filled({"x": ["{{ tasks.a.output.value }}"]}, outputs) == {"x": [value]}
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert filled("<{{ tasks.a.output.value }}>", outputs) == f"<{written}>"


@pytest.mark.parametrize(
    "unit", ["{{", "{{ tasks.", '{{ tasks.a.output["', "{{ tasks.a.output.x", "{{ tasks.a.output[ ", "{{ "]
)
def test_hostile_text_is_read_in_linear_time(unit):
    """Half a megabyte of beginnings takes no longer than half a megabyte of text."""
    text = unit * (500_000 // len(unit))
    started = time.perf_counter()

    assert references(text) == frozenset()
    assert filled(text, {}) == text
    assert time.perf_counter() - started < 5
