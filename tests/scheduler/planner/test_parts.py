"""The comparison of globs by names: it agrees with the full comparison whenever it has a result."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.planner.meeting import meet
from team_mail.scheduler.planner.parts import folder, meet_by_parts

from ...samples import examples

SIGNS = ("a", "b", "ab", "/", "/", "?", "*", "**", "**/", "[ab]", "[[]", "[*]")
GLOBS = (
    st.lists(st.sampled_from(SIGNS), min_size=1, max_size=7)
    .map("".join)
    .filter(lambda glob: glob.strip("/") and "//" not in glob and glob[0] != "/")
)


@given(GLOBS, GLOBS, st.booleans(), st.booleans())
@settings(max_examples=examples(100))
def test_a_comparison_by_parts_agrees_with_the_full_one(left, right, within, inside):
    """It has no result only where the full comparison is needed."""
    met = meet_by_parts(left, right, (within, inside))

    assert met in {None, meet(left, right, below=(within, inside))}


@pytest.mark.parametrize(
    ("left", "right", "within", "expected"),
    [
        ("src/**/a/*.py", "src/**/b/*.py", (False, False), False),
        ("src/**/*a*.py", "src/**/*b*.py", (False, False), True),
        ("src/a.py", "**/*.md", (False, True), False),
        ("src", "src/api/*.py", (True, False), True),
        ("*/*.py", "src/a/b.py", (False, False), False),
        ("app/[[]id]/page.tsx", "app/[[]no]/page.tsx", (False, False), False),
        ("app/[[]id]/page.tsx", "app/*/page.tsx", (False, False), True),
        ("[ab]", "a", (True, True), None),
    ],
)
def test_common_globs_are_compared_by_parts(left, right, within, expected):
    """Sets of letters are not."""
    assert meet_by_parts(left, right, within) is expected


@pytest.mark.parametrize(
    ("glob", "name"),
    [("src/**/a/*.py", "a"), ("a/*.py", "a"), ("*.py", ""), ("**/*.py", ""), ("a*/b.py", ""), ("a/**.py", "")],
)
def test_the_folder_of_all_files_is_known_if_it_is_literal(glob, name):
    """It has to be the name right in front of the file."""
    assert folder(glob) == name
