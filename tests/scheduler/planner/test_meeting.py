"""Whether two globs match a common path: compared with matching real paths, and with globs made to be slow."""

import time
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from team_mail.mail.text.globs import matches
from team_mail.scheduler.planner.meeting import meet

SIGNS = ("a", "b", "/", "?", "*", "**", "**/", "[ab]", "[!a]")
GLOBS = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=3).map("".join).filter(lambda glob: glob.strip("/"))
SHORT = ["".join(letters) for size in range(1, 8) for letters in product("ab/", repeat=size)]
PATHS = [path.encode() for path in SHORT if path.strip("/") == path and "//" not in path]
BELOW = [f"/{path}" for path in SHORT if len(path) <= 3 and path.strip("/") == path and "//" not in path]


@example("/[ab]", "?*[!a]")  # a name may be spelled as the glob is
@given(GLOBS, GLOBS)
def test_two_globs_meet_if_and_only_if_some_path_matches_both(left, right):
    """Trying every short path gives the same result; three letters need no longer path."""
    spelled = [f"{text.strip('/')}{below}".encode() for text in (left, right) for below in ("", *BELOW)]
    witnessed = any(matches(path, [left]) and matches(path, [right]) for path in (*PATHS, *spelled))

    assert meet(left, right) is witnessed
    assert meet(right, left) is witnessed


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("client/*.py", "client/client.py", True),
        ("client/*.py", "client/deep/client.py", False),
        ("client", "client/deep/client.py", True),
        ("client/", "client", True),
        ("client", "client.py", False),
        ("a/b", "a", True),
        ("src/**/*.py", "src/main.py", True),
        ("src/**", "source/**", False),
        ("*.md", "README.*", True),
        ("*.md", "docs/*.md", False),
        ("test_*.py", "*_test.py", True),
        ("a[0-4].txt", "a[5-9].txt", False),
        ("a[0-5].txt", "a[5-9].txt", True),
        ("[!a]*", "a*", False),
        ("[^a]x", "ax", False),
        ("a[+-9]b", "a/b", False),
        ("a**b", "a/b", False),
        ("app/[id].tsx", "app/[[]id].tsx", True),
        ("[[]id]", "[[]id]", True),
        ("/top", "top", True),
        ("**", "any/thing\nat all", True),
        ("?", "\U0001f600", True),
        ("[", "[", True),
        ("[z-a]", "[z-a]", True),
        ("[z-a]", "a", False),
        ("", "", False),
    ],
)
def test_common_globs_meet_as_expected(left, right, expected):
    """A folder holds everything below it, a star stays within one name, and a set matches its letters."""
    assert meet(left, right) is expected
    assert meet(right, left) is expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("*a" * 250, "*b" * 250),
        ("**/a" * 125, "**/b" * 125 + "c"),
        ("*" * 500, "?" * 500),
        ("[!a]*" * 100, "a*" * 250),
        ("**/" * 160 + "x", "**a" * 160),
    ],
)
def test_no_glob_makes_the_comparison_slow(left, right):
    """Globs that take exponential time in a backtracking matcher are compared at once."""
    before = time.monotonic()
    meet(left, right)
    took = time.monotonic() - before
    print(f"{took:.3f} s")
    assert took < 5
