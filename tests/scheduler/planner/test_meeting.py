"""Whether two globs have a path in common: against matching real paths, and against globs meant to harm."""

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.globs import matches
from team_mail.scheduler.planner.meeting import meet

SIGNS = ("a", "b", "/", "?", "*", "**", "**/", "[ab]", "[!a]")
GLOBS = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=3).map("".join).filter(lambda glob: glob.strip("/"))
SHORT = ["".join(letters) for size in range(1, 8) for letters in product("ab/", repeat=size)]
PATHS = [path.encode() for path in SHORT if path.strip("/") == path and "//" not in path]
BELOW = [f"/{path}" for path in SHORT if len(path) <= 3 and path.strip("/") == path and "//" not in path]


@given(GLOBS, GLOBS)
def test_two_globs_meet_where_one_path_matches_both(left, right):
    """What is decided on the globs alone is what trying every short path finds; three signs need no longer one."""
    spelled = [f"{text}{below}".encode() for text in (left, right) for below in ("", *BELOW)]
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
def test_globs_meet_as_people_mean_them(left, right, expected):
    """A folder holds all that lies in it, a star stays in one, and a set of letters is taken at its word."""
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
def test_no_glob_makes_it_slow(left, right):
    """Globs that take a careless matcher longer than anybody lives are done at once."""
    before = time.monotonic()
    meet(left, right)
    took = time.monotonic() - before
    print(f"{took:.3f} s")
    assert took < 5
