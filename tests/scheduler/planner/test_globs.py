"""Whether two globs have a path in common: against the rule that judges real paths, and against globs meant to harm."""

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.scheduler.planner.globs import MAX_GLOB, checked, end, is_path, meet, start
from team_mail.scheduler.weaver.refusal import matches

SIGNS = ("a", "b", "/", "?", "*", "**", "**/", "[ab]", "[!a]")
GLOBS = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=3).map("".join).filter(lambda glob: glob.strip("/"))
SHORT = ["".join(letters) for size in range(1, 8) for letters in product("ab/", repeat=size)]
PATHS = [path.encode() for path in SHORT if path.strip("/") == path and "//" not in path]


@given(GLOBS, GLOBS)
def test_two_globs_meet_where_one_path_matches_both(one, other):
    """What is decided on the globs alone is what trying every short path finds; three signs need no longer one."""
    found = any(matches(path, [one]) and matches(path, [other]) for path in PATHS)

    assert meet(one, other) is found
    assert meet(other, one) is found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
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
        ("a[+-9]b", "a/b", True),
        ("[[]id]", "[[]id]", True),
        ("/top", "top", True),
        ("**", "any/thing\nat all", True),
        ("?", "\U0001f600", True),
        ("[", "[", True),
        ("[z-a]", "[z-a]", False),
    ],
)
def test_globs_meet_as_people_mean_them(one, other, expected):
    """A folder holds all that lies in it, a star stays in one, and a set of letters is taken at its word."""
    assert meet(one, other) is expected
    assert meet(other, one) is expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*a" * 250, "*b" * 250),
        ("**/a" * 125, "**/b" * 125 + "c"),
        ("*" * 500, "?" * 500),
        ("[!a]*" * 100, "a*" * 250),
        ("**/" * 160 + "x", "**a" * 160),
    ],
)
def test_no_glob_makes_it_slow(one, other):
    """Globs that take a careless matcher longer than anybody lives are done at once."""
    before = time.monotonic()
    meet(one, other)
    took = time.monotonic() - before
    print(f"{took:.3f} s")
    assert took < 5


@pytest.mark.parametrize(
    ("glob", "begins", "ends", "path"),
    [
        ("src/a*b.py", "src/a", "b.py", False),
        ("docs/guide/", "docs/guide", "docs/guide", True),
        ("/**/x", "", "/x", False),
        ("app/[id]/page", "app/", "/page", False),
        ("odd[name", "odd[name", "odd[name", True),
    ],
)
def test_a_glob_says_how_its_paths_begin_and_end(glob, begins, ends, path):
    """Up to the first wildcard and from the last one on, all of its paths are alike."""
    assert (start(glob), end(glob), is_path(glob)) == (begins, ends, path)


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("./src//a.py", "src/a.py"),
        ("/src/./api/", "src/api/"),
        ("**", "**"),
        ("docs/a b.md", "docs/a b.md"),
        (".github/*", ".github/*"),
    ],
)
def test_a_glob_is_counted_from_the_top(glob, expected):
    """However it is spelled, it is one glob; a slash at its end still says that it is a folder."""
    assert checked(glob) == expected


@pytest.mark.parametrize(
    ("glob", "says"),
    [
        ("", "1 to 500 letters"),
        ("x" * (MAX_GLOB + 1), "1 to 500 letters"),
        ("a\nb", "a path or a glob"),
        ("a\x1b[31m", "a path or a glob"),
        ("..", "within the repository"),
        ("src/../../etc/passwd", "within the repository"),
        ("/", r"write \*\* for all"),
        ("./", r"write \*\* for all"),
        (":(top)src", "within the repository"),
        ("src\\main.py", "with / between"),
        ("[z-a]", r"\[z-a\] is no set"),
        ("a[!]b", r"\[!\] is no set"),
        ("a[^]b", "is no set"),
    ],
)
def test_what_is_no_glob_is_refused(glob, says):
    """A way out of the repository, what steers a terminal, and sets that hold no letter are said by name."""
    with pytest.raises(ValueError, match=says):
        checked(glob)


@given(st.text("ab/.*?[]!^-\\", min_size=1, max_size=9))
def test_a_checked_glob_can_be_matched(text):
    """What passes is taken by the rule for real paths as well, meets itself, and passes again unchanged."""
    try:
        glob = checked(text)
    except ValueError:
        return

    matches(b"a/b", [glob])
    assert meet(glob, glob)
    assert checked(glob) == glob
