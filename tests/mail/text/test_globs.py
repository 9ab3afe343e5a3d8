"""Glob patterns: compared with git's own pathspecs and with `fnmatch`, and patterns made to be slow."""

import fnmatch
import re
import subprocess
import time
from itertools import product

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from team_mail.mail.text.globs import MAX_GLOB, checked, end, escape, forms, is_from_top, is_path, matches, start

from ...samples import examples

SIGNS = ("a", "b", "a", "b", "-", "/", "/", "?", "*", "**", "**/", "/**", "[ab]", "[!a]", "[^-b]", "[a-]",
         "[[:alpha:]]", "[", "]", "[]a]", "[b-a]", "[[.]", "\\*", "\\[", "{a,b}", "./", ".")  # fmt: skip
PATTERNS = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=7).map("".join)
NAMES = ("a", "b", "ab", "ba", "-", "[ab]", "a*", "a.b", "{a,b}", "]")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Make a repository whose index names several hundred files, none of which has to be on the disk."""
    place = tmp_path_factory.mktemp("globs")
    folders = ["/".join(names) for depth in (1, 2) for names in product(NAMES[:6], repeat=depth)]
    paths = [*NAMES[6:], *(f"{folder}/{name}x" for folder in folders for name in NAMES), *deep("ab")]
    blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    index = "".join(f"100644 {blob}\t{path}\0" for path in paths)
    subprocess.run(["git", "init", "-q", place], check=True)
    subprocess.run(["git", "update-index", "-z", "--index-info"], cwd=place, input=index.encode(), check=True)
    return place, sorted(paths)


def deep(letters):
    """List paths of four names, whose folders have other names than the files beside them."""
    return ["deep/" + "/".join(names) for names in product(letters, repeat=3)]


def listed(place, *patterns):
    words = ["git", "ls-files", "-z", "--", *(f":(glob){pattern}" for pattern in patterns)]
    return subprocess.run(words, cwd=place, check=True, capture_output=True, text=True).stdout.split("\0")[:-1]


@given(PATTERNS)
@settings(max_examples=examples(80), deadline=None)
@example("[ab]")
@example("a/**/b")
@example("deep/**/b/**")
@example("*")
@example("[ab]/**/")
@example("[!a]/.")
def test_a_pattern_matches_what_git_lists(repository, pattern):
    """Git lists the same files for the pattern and what is below it; with a trailing slash, only for what is below."""
    place, paths = repository
    below = pattern.rstrip("/") + "/**"
    assume(pattern[0] != "/" and {*pattern.split("/")} - {"", "."} and ".." not in pattern)
    assume(not re.match(r"[^*?\[\\]*[^*?\[\\/]\*\*+(/|$)", pattern))  # to git `a**/b` also is `a`, `**/`, `b`

    assert [path for path in paths if matches(path, [pattern])] == sorted(listed(place, pattern, below))
    if not set("*?[\\") & set(pattern):
        assert sorted(listed(place, pattern)) == sorted(listed(place, pattern, below))


@given(st.text("ab-*?[]!", min_size=1, max_size=8), st.text("ab-[]!", min_size=1, max_size=5))
def test_one_name_is_matched_as_fnmatch_does(pattern, name):
    """Except for sets that are not closed, and for the path that a pattern spells."""
    assume(forms(pattern) and "**" not in pattern and "[^" not in pattern and name != pattern)
    assume("[" not in pattern or re.fullmatch(r"([^\[]|\[!?[ab]\])*", pattern))

    assert matches(name, [pattern]) is fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "**/**/**/*a*a*a*b",
        "*a" * 40 + "b",
        "**/a*/" * 30 + "b",
        "**/*a*a/" * 20 + "b",
        "a/**/" * 30 + "b",
        "*?" * 60 + "b" + "b",
    ],
)
@pytest.mark.parametrize("unit", ["a", "a/"])
def test_no_pattern_makes_matching_exponential(pattern, unit):
    """A path eight times as long takes at most about sixty times as long; backtracking would take forever."""
    times = []
    for size in (500, 4_000):
        path = unit * size + "c"
        began = time.process_time()
        rounds = 0
        while time.process_time() < began + 0.02:
            assert not matches(path, [pattern])
            rounds += 1
        times.append((time.process_time() - began) / rounds)
    assert times[1] < 300 * times[0]


@pytest.mark.parametrize("sets", ["[" + "a-b" * 2_000, "[" + "[:a" * 500, "[a-" * 500])
def test_an_unclosed_set_is_parsed_in_linear_time(sets):
    """It is read once."""
    assert matches(sets, [sets])
    assert not matches("a", [sets])


@given(st.text(min_size=1, max_size=20).filter(lambda path: "\0" not in path))
def test_an_escaped_path_matches_itself(path):
    """Every file name has a pattern, counted from the top of the repository."""
    assume(path.strip("/") == path and not {"", ".", ".."} & {*path.split("/")})

    assert matches(path, [escape(path)])
    assert is_from_top(escape(path))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("docs/**", "docs/a/b.md", True),
        ("docs", "docs/a/b.md", True),
        ("docs/", "docs/a", True),
        ("docs/**", "docs2/a", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "x/y/a.py", True),
        ("*.py", "x/a.py", False),
        ("src/*/t?.[ch]", "src/x/t1.c", True),
        ("src/*/t?.[!ch]", "src/x/t1.c", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a.b", "axb", False),
        ("**", "any/thing\nat all", True),
        ("/top", "top", True),
        ("./a//b", "a/b/c", True),
        ("docs/", "docs", False),
        ("docs", "docs", True),
        ("src/*", "src/a/b", True),
        ("**", "\udcff", True),
        ("a**b", "a/b", False),
        ("a[+-9]b", "a/b", False),
        ("{a,b}", "a", False),
        ("{a,b}", "{a,b}", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        ("[id]", "[id]/a", True),
        ("x*[y", "xa[y", False),
        ("?", "\U0001f600", True),
        ("A", "a", False),
        ("", "a", False),
    ],
)
def test_patterns_match_files_as_in_git(pattern, path, expected):
    """`**` matches any folders, `*` stays within one name, and a folder matches everything below it."""
    assert matches(path.encode(errors="surrogateescape"), [pattern]) is expected


@pytest.mark.parametrize(
    ("pattern", "path"), [("[z-a]x", b"[z-a]x"), ("[[]x", b"[x"), ("[a&&b]", b"&"), ("a[!]", b"a[!]")]
)
def test_unusual_sets_match_as_documented(pattern, path):
    """A set that can hold no letter stands for itself; the marks of Python's regular expressions mean nothing."""
    assert matches(path, [pattern])
    assert not matches(b"other", [pattern])


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
def test_the_start_and_end_of_all_matching_paths_are_known(glob, begins, ends, path):
    """They are the letters up to the first wildcard and after the last one."""
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
def test_a_glob_is_normalized_from_the_top(glob, expected):
    """However it is spelled, it is one glob; a slash at its end still means a folder."""
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
        ("[z-a]", r"\[z-a\] is not a character class"),
        ("a[!]b", r"\[!\] is not a character class"),
        ("a[^]b", "is not a character class"),
    ],
)
def test_invalid_globs_are_refused(glob, says):
    """They lead out of the repository, control a terminal, or have a set without letters."""
    with pytest.raises(ValueError, match=says):
        checked(glob)


@given(st.text("ab/.*?[]!^-\\", min_size=1, max_size=9))
def test_a_checked_glob_can_be_matched(text):
    """Checking it again changes nothing, and one without wildcards matches what is below it."""
    try:
        glob = checked(text)
    except ValueError:
        return

    assert not is_path(glob) or matches(glob.rstrip("/") + "/a", [glob])
    assert checked(glob) == glob
