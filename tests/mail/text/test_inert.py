"""Names in a text that a forge reads: nothing is closed, mentioned or skipped, and the rest stays as it is."""

from __future__ import annotations

import pytest
from team_mail.mail.text.inert import inert


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("closes #1", "closes # 1"),
        ("Fixes: octo/app#12", "Fixes: octo/app# 12"),
        ("resolves GH-3", "resolves GH- 3"),
        ("https://github.com/octo/app/issues/4", "https://github.com/octo/app/issues/ 4"),
        ("ann: @octo, packages/@babel/core", "ann: @ octo, packages/@ babel/core"),
        ("[skip ci] [CI skip] [no ci]", "[ skip ci] [ CI skip] [ no ci]"),
    ],
)
def test_a_reference_is_taken_apart_once(text, said):
    """By a space that is seen, and what has been taken apart stays so."""
    assert inert(text) == said
    assert inert(said) == said


@pytest.mark.parametrize("text", ["notes #one", "octo@example.org", "a [skip] list", "issues/old", "C#", "@", "high-5"])
def test_what_refers_to_nothing_stays(text):
    """A name is changed only where a forge would read it."""
    assert inert(text) == text
