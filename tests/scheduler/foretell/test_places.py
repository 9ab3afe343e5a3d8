"""Where runs are: the lines of a diff, mapped back to the base, and what people see of them."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from team_mail.scheduler.foretell.places import (
    FilePlaces,
    Hunk,
    Places,
    in_base,
    places_of,
    read_hunks,
    read_places,
    unread,
    write_places,
)
from team_mail.scheduler.weaver.patch import Change, Entry
from team_mail.scheduler.weaver.scratch import quarantine
from team_mail.scheduler.weaver.tree import tree_of

from ...samples import examples
from ..project import Project, lines

TEXTS = some.lists(some.sampled_from("abcd"), max_size=12)


def hunks_between(old, new):
    """What git's -U0 says, by Python's own diff: of an empty side, the line before it."""
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield Hunk(a + (b > a), b - a, c + (d > c), d - c)


@given(TEXTS, TEXTS)
def test_a_line_that_was_not_changed_comes_from_its_own_line(old, new):
    """The oracle pairs the lines; those of a change come from the lines that it replaced."""
    hunks = [*hunks_between(old, new)]
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        for at in range(block.size):
            line = block.b + at + 1
            assert in_base((line, line), hunks) == (block.a + at + 1,) * 2
    for hunk in hunks:
        if hunk.old_count and hunk.new_count:
            assert in_base((hunk.new, hunk.new), hunks) == (hunk.old, hunk.old + hunk.old_count - 1)


def test_the_hunks_of_several_runs_come_from_one_question(tmp_path):
    """Files whose names and lines look like git's own output included, and one whose type has changed."""
    odd, text = "a\n@@ -1 +1 @@", "diff --git a/x b/x\n@@ -7,7 +7,7 @@\n"
    project = Project(tmp_path, {"f": lines(), odd: text, "z": "link\n"})
    edits = [
        {"f": lines((3, "three"), (9, "nine")), "z": ("120000", "f")},
        {odd: text + "@@ -9 +9 @@\n", "bin": b"\0\1", "f": None},
        {},
    ]
    asked = []
    for edit in edits:
        tree = project.tree(edit, project.base)
        changes = [
            Change(path.encode(), None if path == "bin" else Entry("100644", "o"), entry_of(content))
            for path, content in edit.items()
        ]
        asked.append((project.git.line("rev-parse", f"{project.base}^{{tree}}"), tree, changes))

    first, second, third = read_hunks(project.git, asked)

    assert first[b"f"] == (Hunk(3, 1, 3, 1), Hunk(9, 1, 9, 1))
    assert second == {odd.encode(): (Hunk(2, 0, 3, 1),), b"f": (Hunk(1, 20, 0, 0),)}
    assert third == {}


# Files by path; "a" may also be a folder.
STATES = some.lists(
    some.dictionaries(some.sampled_from(["a", "a/b", "a/c", "a/d/e", "f", "g/h"]), TEXTS).map(
        lambda files: {path: text for path, text in files.items() if "a" not in files or not path.startswith("a/")}
    ),
    min_size=2,
    max_size=6,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"), {"f": lines()})
    with quarantine(project.git, project.base) as made:
        yield made


@settings(deadline=None, max_examples=examples(12))
@given(states=STATES)
def test_hunks_that_are_known_need_not_be_read_again(scratch, states):
    """What is read of new changes alone, beside what is known, is what is read of all: files become folders, too."""

    def tree(files):
        blobs = {
            path: scratch.write("blob", "".join(f"{row}\n" for row in text).encode()) for path, text in files.items()
        }
        return tree_of(scratch, {path.encode(): Entry("100644", oid) for path, oid in blobs.items()})

    base, *later = map(tree, states)
    known, hunks = [], {}
    for state in later:
        changes = base.changes_to(state)
        fresh = unread(changes, known)
        assert {*changes} - {*known} <= {*fresh} <= {*changes}
        partly = base.changed(fresh)
        (read,) = read_hunks(scratch.git, [(base.oid, partly.oid, fresh)])
        kept = {change.path for change in changes} - {change.path for change in fresh}
        hunks, known = {path: rows for path, rows in hunks.items() if path in kept} | read, changes
        assert hunks == read_hunks(scratch.git, [(base.oid, state.oid, changes)])[0]


def test_only_what_is_new_is_read():
    """A file beside those that are known, however many they are."""
    known = [Change(b"d/f%d" % number, None, Entry("100644", "o")) for number in range(9)]
    new = Change(b"d/new", None, Entry("100644", "o"))
    assert unread([*known, new], {*known}) == [new]


def entry_of(content):
    if content is None:
        return None
    return Entry(content[0] if isinstance(content, tuple) else "100644", "n")


def test_what_was_written_down_is_read_again_and_anything_else_is_nothing(tmp_path):
    """An agent may have written into the folder."""
    places = Places((FilePlaces("a.py", ((3, 4), (9, 9))), FilePlaces("b.bin", ())), 2)
    write_places(tmp_path, places)
    assert read_places(tmp_path) == places
    for data in ("", "[]", '{"v": 1}', '{"v": 1, "files": [{"file": "x", "lines": [[1]]}], "more": 0}'):
        (tmp_path / "places.json").write_text(data)
        assert read_places(tmp_path) == Places()


@pytest.mark.parametrize(("places", "shown"), [
    (Places(), ""),
    (Places((FilePlaces("kiosk/cart.py", ((20, 31), (40, 40))),)), "kiosk/cart.py:20-31, 40"),
    (Places((FilePlaces("a", ((1, 1),)), FilePlaces("b", ()), FilePlaces("c", ())), 4), "a:1, b and 5 more"),
    (Places((FilePlaces("a\x1b[2J\n", tuple((n, n) for n in range(1, 6))),)), "a\\x1b[2J\\n:1, 2, 3 and 2 more"),
])  # fmt: skip
def test_places_are_shown_in_a_few_words(places, shown):
    """Two files, three places of each, and how many more; escaped."""
    assert places.shown == shown


def test_no_more_is_kept_of_a_run_than_anybody_reads():
    """However many files it has changed."""
    changes = [Change(b"f%04d" % number, None, Entry("100644", "o")) for number in range(500)]
    places = places_of(changes, {b"f0000": [Hunk(0, 0, line, 1) for line in range(1, 99)]})
    assert (len(places.files), places.more, len(places.files[0].spans)) == (20, 480, 10)
