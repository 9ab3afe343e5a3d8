"""JSON values of agents: what the log and traces can hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.log.event import Draft, serialise
from team_mail.personas.value import MAX_DEPTH, compact, fault_in, masked, read_value

from ..samples import examples

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


def nested(value, depth=1) -> int:
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return max([depth, *(nested(item, depth + 1) for item in inner)])


@settings(max_examples=examples(75), deadline=None)
@given(json_values, st.integers(0, 30))
def test_a_value_without_a_fault_survives_writing_and_reading(value, wrapped):
    """A value without a fault comes back unchanged through the strictest writer; others are refused."""
    for _ in range(wrapped):
        value = [value]
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode().decode()
        sound = nested(value) <= MAX_DEPTH
    except ValueError:
        sound = False
    if fault_in(value) is None:
        assert sound
        assert read_value(written) == value
    elif sound:
        assert "2^53" in str(fault_in(value))


def test_a_value_of_the_greatest_depth_fits_into_an_event():
    """The limit is below that of an event, which wraps the value."""
    value = 1
    for _ in range(MAX_DEPTH - 1):
        value = {"inner": value}

    assert fault_in(value) is None
    assert serialise(Draft("run.finished", "scheduler", data={"output": {"value": value}}), "2026-01-01T00:00:00Z")
    assert fault_in([value]) == "data is nested deeper than 24"


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1, 2}}, (1, 2), b"x"], ids=["key", "set", "tuple", "bytes"])
def test_python_values_that_are_not_json_have_a_fault(value):
    """A Python function may return anything."""
    assert fault_in(value)


def test_the_longest_secret_is_masked_first():
    """A secret that contains another is masked as a whole, in keys as well."""
    value = {"abcd": ["xabcdef", 1, None]}
    assert masked(value, ["abcd", "abcdef"]) == {"***": ["x***", 1, None]}
    assert masked(value, []) is value


def test_compact_json_has_no_white_space():
    """Characters beyond ASCII are written as they are."""
    assert compact({"a": [1, "\N{SNOWMAN}"]}) == '{"a":[1,"\N{SNOWMAN}"]}'
