"""Overlaps of items and which of them are ordered: compared with comparing every glob with every other."""

import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.text.globs import is_path, matches
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.planner.item import Item, Overlap, Phase, Roadmap
from team_mail.scheduler.planner.meeting import meet
from team_mail.scheduler.planner.overlap import MOST, overlaps
from team_mail.scheduler.planner.roadmap_file import read_roadmap

from ...samples import examples

EXAMPLES = Path(__file__).parents[3] / "examples" / "plan"
HOUR = 3_600.0


def item(id, phase=0, **fields) -> Item:
    return Item(id, id, phase, HOUR, **fields)


def roadmap(*items, phases=1, phase_barriers=True) -> Roadmap:
    return Roadmap(
        "a roadmap", tuple(Phase(f"phase {number}") for number in range(phases)), items, phase_barriers=phase_barriers
    )


def met(left, right) -> tuple[str, ...]:
    """Return the files that two items share, which are the same whoever is given first."""
    shared = overlaps(roadmap(item("one", **left), item("other", **right)))
    turned = overlaps(roadmap(item("one", **right), item("other", **left)))
    assert [set(overlap.files) for overlap in shared] == [set(overlap.files) for overlap in turned]
    return shared[0].files if shared else ()


@pytest.mark.parametrize(
    ("left", "right", "files"),
    [
        ({"files": ("client/*.py",)}, {"files": ("client/client.py",)}, ("client/client.py",)),
        ({"files": ("src",)}, {"files": ("src/api/main.py",)}, ("src/api/main.py",)),
        ({"files": ("src/",)}, {"files": ("src/api/*.py",)}, ("src/api/*.py",)),
        ({"files": ("src/**",)}, {"files": ("src/**",)}, ("src/**",)),
        ({"files": ("src/a.py", "docs/b.md")}, {"files": ("**/*.md", "src/a.py")}, ("docs/b.md", "src/a.py")),
        ({"files": ("src/a.py",)}, {"files": ("src/a.pyi",)}, ()),
        ({"files": ("src/a.py",)}, {"files": ("**/*.md",)}, ()),
        ({"files": ("src/a.py",)}, {"files": ("src/**/tests",)}, ()),
        ({"files": ("web/v1.beta/",)}, {"files": ("**/*.md",)}, ("web/v1.beta/",)),
        ({"files": ("web/v1.beta",)}, {"files": ("web/v1.beta/*.md",)}, ("web/v1.beta/*.md",)),
        ({"files": ("src/**/core/*.py",)}, {"files": ("src/**/api/*.py",)}, ()),
        ({"files": ("src/**/core/*.py",)}, {"files": ("src/**/co*/*.py",)}, ("src/**/core/*.py",)),
        ({"files": ("src/**/*.py",)}, {"files": ("src/**/*.md",)}, ()),
        ({"files": ("src/**/*.py",)}, {"files": ("src/**/test_*",)}, ("src/**/test_*",)),
        ({"files": ("**/conf.d",)}, {"files": ("etc/conf.d/web.ini",)}, ("etc/conf.d/web.ini",)),
    ],
)
def test_overlaps_of_files_that_two_items_change(left, right, files):
    """The narrower glob of each two that meet is listed; a folder that could be called `x.py` makes nothing meet."""
    assert met(left, right) == files


@pytest.mark.parametrize(
    ("left", "right", "files"),
    [
        ({"creates": ("client/heartbeat.py",)}, {"files": ("client/*.py",)}, ()),
        ({"creates": ("client/heartbeat.py",)}, {"files": ("client",)}, ()),
        ({"creates": ("client/heartbeat.py",)}, {"files": ("client/",)}, ()),
        ({"creates": ("client/",)}, {"files": ("client/",)}, ()),
        ({"creates": ("client/heartbeat.py",)}, {"files": ("client/heartbeat.py",)}, ("client/heartbeat.py",)),
        ({"creates": ("client/*.py",)}, {"files": ("client/heartbeat.py",)}, ("client/heartbeat.py",)),
        ({"creates": ("guide/",)}, {"files": ("guide/start.md",)}, ("guide/start.md",)),
        ({"creates": ("a.py",)}, {"creates": ("a.py",)}, ("a.py",)),
        ({"creates": ("docs/*.md",)}, {"creates": ("docs/a*",)}, ("docs/a*",)),
        ({"creates": ("docs/a.md",)}, {"creates": ("docs/b.md",)}, ()),
    ],
)
def test_overlaps_of_files_that_an_item_creates(left, right, files):
    """A glob means existing files; a new file is touched only by an item that names it."""
    assert met(left, right) == files


@pytest.mark.parametrize(
    ("touched", "files"),
    [
        ({"files": ("old/a.py",)}, ("old/a.py",)),
        ({"files": ("**/*.md",)}, ("new", "old")),
        ({"files": ("new/**",)}, ("new/**",)),
        ({"creates": ("old/late.py",)}, ("old/late.py",)),
        ({"creates": ("new/late.py",)}, ("new/late.py",)),
        ({"renames": (("new/a.py", "x.py"),)}, ("new/a.py",)),
        ({"renames": (("older", "newer"),)}, ()),
    ],
)
def test_a_renamed_folder_touches_everything_below_it(touched, files):
    """Under its old and its new name: what is written there at the same time would be lost."""
    assert met({"renames": (("old", "new"),)}, touched) == files


def test_only_the_first_shared_files_are_listed():
    """Twenty show what an overlap is about."""
    many = tuple(f"src/m{number:03}.py" for number in range(100))

    assert met({"files": many}, {"files": many}) == many[:MOST]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (lambda number: ("**",), "more than 250,000 pairs"),
        pytest.param(lambda number: (f"{'[a]*' * 120}{number}",), "take too long", marks=pytest.mark.storm),
        (lambda number: (f"{'?*' * 200}{number}",), "take too long"),
    ],
)
def test_too_many_globs_or_pairs_are_refused(files, why):
    """Each task and glob is valid alone; together they are more than can be compared."""
    crowd = roadmap(*(item(f"t{number}", files=files(number)) for number in range(900)))

    with pytest.raises(InvalidTasks, match=why):
        overlaps(crowd)


def test_many_globs_with_a_common_start_are_compared_quickly():
    """Two hundred and fifty tasks have paths and globs of their own below one folder."""
    globs = [(f"src/p{at}/a.py", f"src/p{at}/b.py", f"src/**/k{at}/*.py", f"lib/**/k{at}/*.md") for at in range(250)]
    crowd = roadmap(*(item(f"t{at}", files=files) for at, files in enumerate(globs)))
    before = time.process_time()

    shared = overlaps(crowd)

    assert shared == ()
    assert time.process_time() - before < 5


def test_manual_items_have_no_overlaps():
    """They are planned separately."""
    assert not overlaps(roadmap(item("one", files=("a",), manual=True), item("other", files=("a",))))


def test_overlaps_of_items_that_never_run_at_once_are_ordered():
    """By dependencies, also through manual items, or by a phase barrier, unless barriers are off."""
    same = {"files": ("a.py",)}
    way = roadmap(
        item("first", **same),
        item("look", manual=True, dependencies=("first",)),
        item("last", dependencies=("look",), **same),
        item("beside", **same),
        item("later", 1, **same),
        phases=2,
    )

    ordered = {(overlap.left, overlap.right): overlap.ordered for overlap in overlaps(way)}
    open_found = {
        (overlap.left, overlap.right): overlap.ordered for overlap in overlaps(replace(way, phase_barriers=False))
    }

    assert ordered == {
        ("first", "last"): True, ("first", "beside"): False, ("first", "later"): True,
        ("last", "beside"): False, ("last", "later"): True, ("beside", "later"): True,
    }  # fmt: skip
    assert open_found == {pair: pair == ("first", "last") for pair in ordered}


def test_a_cycle_is_refused():
    """A roadmap made in Python has not been checked before."""
    same = {"files": ("a",)}
    with pytest.raises(InvalidTasks, match="one -> other -> one"):
        overlaps(roadmap(item("one", dependencies=("other",), **same), item("other", dependencies=("one",), **same)))


def test_the_webhook_roadmap_has_one_conflict():
    """Logging changes the whole client, including the file that notifications change."""
    read = read_roadmap((EXAMPLES / "ai-webhook.yaml").read_bytes(), "ai-webhook.yaml", None)

    assert [overlap for overlap in overlaps(read) if not overlap.ordered] == [
        Overlap("notify", "logging", ("client/client.py",))
    ]
    assert read.items[-1].phase == 3


GLOBS = st.sampled_from(["a", "a/", "a/b", "a/*", "a/b*", "a/**", "**", "b", "b/*", "*/b", "?", "a/b/c"])
MOVES = st.sampled_from(["a", "a/b", "b", "c"])
FILES = st.lists(GLOBS, max_size=3).map(tuple)
ITEMS = st.lists(
    st.tuples(FILES, FILES, st.lists(st.tuples(MOVES, MOVES), max_size=1).map(tuple), st.integers(0, 2), st.booleans()),
    min_size=2,
    max_size=6,
)


@given(ITEMS, st.data(), st.booleans())
@settings(max_examples=examples(30))
def test_overlaps_equal_those_of_comparing_all_globs(drawn, data, phase_barriers):
    """Skipping globs that cannot meet loses nothing, and the order agrees with a search along the edges."""
    items: list[Item] = []
    for at, (files, creates, renames, phase, manual) in enumerate(drawn):
        earlier = data.draw(st.sets(st.sampled_from([left.id for left in items]), max_size=2)) if items else ()
        fields = {"files": files, "creates": creates, "renames": renames, "manual": manual}
        items.append(item(f"t{at}", phase, dependencies=tuple(earlier), **fields))

    shared = overlaps(roadmap(*items, phases=3, phase_barriers=phase_barriers))

    assert [(left.left, left.right, set(left.files) != set(), left.ordered) for left in shared] == [
        (left.id, right.id, True, left.id in needs(right, items) or (phase_barriers and left.phase != right.phase))
        for left, right in combinations(items, 2)
        if not left.manual and not right.manual and touch(left, right)
    ]


def needs(task, items) -> set[str]:
    by = {item.id: item for item in items}
    return set(task.dependencies).union(*(needs(by[name], items) for name in task.dependencies))


def touch(left, right) -> bool:
    """Tell by the rules, glob by glob, whether two items meet."""
    moves, others = ([path for pair in each.renames for path in pair] for each in (left, right))
    alike = [
        (left.files, [*right.files, *others]),
        (left.creates, [*right.creates, *others]),
        (moves, [*right.files, *right.creates, *others]),
    ]
    if any(meet(ours, theirs) for mine, yours in alike for ours in mine for theirs in yours):
        return True
    new = [(left.creates, right.files), (right.creates, left.files)]
    named = [(made, file) for mades, files in new for made in mades for file in files if file[-1] != "/"]
    return any(is_path(file) and matches(file.encode(), [made]) for made, file in named)
