"""Whether heads and tails of globs tell what walking them tells: never anything else, and mostly something."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.planner.meeting import meet
from team_mail.scheduler.planner.parts import folder, meet_by_parts

SIGNS = ("a", "b", "ab", "/", "/", "?", "*", "**", "**/", "[ab]", "[[]", "[*]")
GLOBS = (
    st.lists(st.sampled_from(SIGNS), min_size=1, max_size=7)
    .map("".join)
    .filter(lambda glob: glob.strip("/") and "//" not in glob and glob[0] != "/")
)


@given(GLOBS, GLOBS, st.booleans(), st.booleans())
@settings(max_examples=300)
def test_what_is_told_is_what_walking_tells(left, right, within, inside):
    """The short way is only ever silent where the long one is needed."""
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
def test_common_globs_need_no_walk(left, right, within, expected):
    """What people write is told at once; sets of letters are not."""
    assert meet_by_parts(left, right, within) is expected


@pytest.mark.parametrize(
    ("glob", "name"),
    [("src/**/a/*.py", "a"), ("a/*.py", "a"), ("*.py", ""), ("**/*.py", ""), ("a*/b.py", ""), ("a/**.py", "")],
)
def test_the_folder_of_all_files(glob, name):
    """It is known where a glob says it in letters, right in front of the file."""
    assert folder(glob) == name
