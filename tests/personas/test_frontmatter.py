"""YAML documents that are read with the line of each value."""

from __future__ import annotations

import pytest
from team_mail.personas import frontmatter
from team_mail.personas.frontmatter import Fault, read_yaml


def test_a_document_is_read_with_the_line_of_each_value():
    """Values are dicts, lists, text as written, and None; a path gives the line of each."""
    values, lines = read_yaml("\ufefftitle: No\r\ntasks:\r\n- id: a\r\n  estimate: 1.50\r\n- ~\r\n")

    assert values == {"title": "No", "tasks": [{"id": "a", "estimate": "1.50"}, None]}
    assert lines[("title",)] == 1
    assert lines[("tasks", 0, "estimate")] == 4
    assert lines[("tasks", 1)] == 5


def test_an_empty_document_is_none():
    """Whether that is allowed is for the caller to decide."""
    assert read_yaml("# only a comment\n") == (None, {})


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: !mine 2", 2, "the tag '!mine' is not supported; write the value without it"),
        ("a: 1\nb: !!python/object:os.x {}", 2, "is not supported"),
        ("a: \0", 1, "is not text; remove it"),
        ("a: 1\na: 2", 2, "'a' is given twice; keep one"),
    ],
    ids=["own tag", "object", "NUL", "duplicate key"],
)
def test_a_fault_has_the_line_of_the_value(text, line, says):
    """Nothing that the file does not write out is created, and nothing is read for ever."""
    with pytest.raises(Fault, match=says) as refused:
        read_yaml(text)
    assert refused.value.line == line


def test_a_document_with_too_many_values_is_refused(monkeypatch):
    """The fault is raised at the first value beyond the limit, before the rest is parsed."""
    monkeypatch.setattr(frontmatter, "MAX_VALUES", 10)
    assert read_yaml("- x\n" * 9)[0] == ["x"] * 9
    with pytest.raises(Fault, match="more than 10 values; write a document of this size as JSON") as refused:
        read_yaml("- x\n" * 20)
    assert refused.value.line == 10
