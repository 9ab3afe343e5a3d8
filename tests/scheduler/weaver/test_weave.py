"""The weaver: which patches land, in which order, and never fewer than first come, first served would land."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.personas.errors import GitError
from team_mail.scheduler.errors import BranchMoved
from team_mail.scheduler.landing.manual import submissions_from_pulls, weave_by_hand
from team_mail.scheduler.weaver.conflict_graph import best_order
from team_mail.scheduler.weaver.patch import PatchSubmission, WeaveLimits
from team_mail.scheduler.weaver.weave import weave, weave_again
from team_mail.team.show.weave import lines as report

from ...samples import examples
from ..project import WHEN, Project, lines, new_file


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project", {"a.txt": lines(), "b.txt": lines(), "src/c.py": lines(), "src/d.py": "d\n"})


def personas(patches) -> list[str]:
    return [patch.submission.persona for patch in patches]


# -- what lands


def test_patches_of_different_files_land_as_a_chain_of_commits(project):
    """Each is a commit by its persona on top of the one before, with trailers that name the log entry."""
    submissions = [
        project.submission(f"p{n}", {path: lines((2, f"p{n}"))})
        for n, path in enumerate(["a.txt", "b.txt", "src/c.py"])
    ]

    woven = weave(project.git, project.base, submissions)

    assert personas(woven.landed) == ["p0", "p1", "p2"]
    assert not woven.conflicted + woven.refused + woven.held + woven.conflicts
    log = project.git.line(
        "log", "--reverse", "--format=%H|%P|%an|%ae|%cn|%aI|%s|%(trailers:only)", f"{project.base}..{woven.tip}"
    )
    first = log.splitlines()[0].split("|")
    assert first[0] == woven.landed[0].commit
    assert first[1:7] == [project.base, "p0", "p0@team-mail", "weaver", "2026-11-20T12:00:00+00:00", "p0's work"]
    assert "Team-Mail-Run: run-p0" in log
    assert "Team-Mail-Head: 1:abc" in log
    assert [landed.how for landed in woven.landed] == ["apply"] * 3
    assert project.read(woven.tip, "src/c.py") == lines((2, "p2"))
    project.git("fsck", "--strict", woven.tip)


def test_the_same_weave_gives_the_same_commits(project):
    """The order in which patches are submitted makes no difference, nor does repetition."""
    submissions = [project.submission(f"p{n}", {"a.txt": lines((n * 4, "new"))}) for n in range(1, 5)]

    first = weave(project.git, project.base, submissions)

    assert weave(project.git, project.base, submissions[::-1]) == first
    assert len(first.landed) == 4


@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["a.txt", "b.txt", "src/c.py"]), st.integers(1, 20), st.booleans()),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_the_commits_of_a_weave_are_made_again_where_only_its_start_is_known(tmp_path_factory, changes):
    """By whichever way each landed, also by a merge; with another patch in its place, nothing is."""
    folder = tmp_path_factory.mktemp("again")
    files = {"a.txt": lines(), "b.txt": lines(), "src/c.py": lines()}
    project, other = Project(folder / "one", files), Project(folder / "two", {"none": "x\n"})
    start = project.commit({"b.txt": lines((10, "newer"))}, project.base)
    submissions = []
    for number, (path, line, moves) in enumerate(changes):
        text = lines((line, f"p{number}"))
        edits = {path: None, f"moved{number}/{path}": text} if moves else {path: text}
        submissions.append(project.submission(f"p{number}", edits))
    woven = weave(project.git, start, submissions)
    landed = [(each.submission, each.commit) for each in woven.landed]
    pack = project.git("pack-objects", "--revs", "--stdout", "-q", stdin=f"{start}\n".encode())
    other.git("index-pack", "--stdin", stdin=pack)
    if len(landed) > 1:
        swapped = [(replace(landed[0][0], patch=landed[1][0].patch), landed[0][1]), *landed[1:]]
        assert not weave_again(other.git, start, swapped)
        assert other.git.run("cat-file", "-e", woven.tip).returncode
    assert weave_again(other.git, start, landed)
    other.git("fsck", "--strict", woven.tip)


def test_weaving_no_patches_leaves_the_tip(project):
    """There is nothing to do."""
    woven = weave(project.git, project.base, [])

    assert (woven.tip, woven.landed) == (project.base, ())


def test_a_weave_changes_no_ref_index_or_checkout(project):
    """Only objects are added to the repository, and none of patches that did not land."""
    (project.folder / "mine.txt").write_text("unsaved work")
    before = project.git.line("status", "--porcelain"), project.git.line("for-each-ref")
    held = project.submission("held", new_file(".github/workflows/x.yml", "held content"))
    oid = project.git.line("hash-object", "--stdin", stdin=b"held content\n")

    woven = weave(project.git, project.base, [project.submission("p", {"a.txt": lines((1, "new"))}), held])

    assert (project.git.line("status", "--porcelain"), project.git.line("for-each-ref")) == before
    assert (len(woven.landed), len(woven.held)) == (1, 1)
    assert project.git.run("cat-file", "-e", woven.tip).returncode == 0
    assert project.git.run("cat-file", "-e", oid).returncode == 1


def test_a_dry_run_leaves_nothing_in_the_repository(project, tmp_path):
    """With a separate object folder, the result is the same and the repository is unchanged."""
    submissions = [project.submission(f"p{n}", {"a.txt": lines((n * 4, "new"))}) for n in range(1, 4)]
    everything = ("cat-file", "--batch-all-objects", "--batch-check")
    before = project.git(*everything)

    dry = weave(project.git.using(objects=tmp_path), project.base, submissions)

    assert project.git(*everything) == before
    assert weave(project.git, project.base, submissions) == dry


def test_a_patch_against_an_older_commit_lands_on_the_tip(project):
    """Later commits changed other files, or other places of the same file."""
    tip = project.commit({"b.txt": lines((1, "later")), "a.txt": lines((1, "later"))}, project.base)
    submissions = [
        project.submission("far", {"src/c.py": lines((3, "new"))}),
        project.submission("near", {"a.txt": lines((15, "new"))}),
    ]

    woven = weave(project.git, tip, submissions)

    assert [landed.how for landed in woven.landed] == ["apply", "3way"]
    assert project.read(woven.tip, "a.txt") == lines((1, "later"), (15, "new"))


def test_only_the_patch_lands_if_its_base_is_not_in_the_tips_history(project):
    """Commits that only the base has do not land."""
    aside = project.commit({"b.txt": lines((1, "aside"))}, project.base)
    tip = project.commit({"a.txt": lines((1, "tip"))}, project.base)
    submission = project.submission("p", {"a.txt": lines((15, "new"))}, base=aside)

    woven = weave(project.git, tip, [submission])

    assert project.read(woven.tip, "a.txt") == lines((1, "tip"), (15, "new"))
    assert project.read(woven.tip, "b.txt") == lines()


def test_a_patch_follows_a_file_that_another_patch_renamed(project):
    """`git apply` does not find the file, but a merge of whole trees does."""
    rename = project.submission("mover", {"a.txt": None, "moved/a.txt": lines()}, priority=1)
    edit = project.submission("editor", {"a.txt": lines((7, "new"))})

    woven = weave(project.git, project.base, [edit, rename])

    assert [(landed.submission.persona, landed.how) for landed in woven.landed] == [
        ("mover", "apply"),
        ("editor", "merge-tree"),
    ]
    assert woven.landed[1].files == ("moved/a.txt",)
    assert project.read(woven.tip, "moved/a.txt") == lines((7, "new"))


def test_the_repositorys_merge_driver_is_used(project):
    """A driver in the repository's own config merges what git itself could not."""
    tip = project.commit({".gitattributes": "*.txt merge=both\n"}, project.base)
    project.git("config", "merge.both.driver", "cat %A %B > %A.new && mv %A.new %A")
    submissions = [project.submission(p, {"a.txt": f"{p}\n"}, base=tip) for p in ("one", "two")]

    woven = weave(project.git, tip, submissions)

    assert [landed.how for landed in woven.landed] == ["apply", "3way"]
    assert project.read(woven.tip, "a.txt") == "one\ntwo\n"


def test_a_merge_that_leaves_conflict_markers_does_not_land(project):
    """Even if the driver reports success, no commit contains conflict markers."""
    tip = project.commit({".gitattributes": "*.txt merge=bad\n"}, project.base)
    project.git("config", "merge.bad.driver", "printf '<<<<<<< ours\\n=======\\n>>>>>>> theirs\\n' > %A")
    submissions = [project.submission(p, {"a.txt": lines((3, p))}, base=tip) for p in ("one", "two")]

    woven = weave(project.git, tip, submissions)

    assert (personas(woven.landed), personas(woven.conflicted)) == (["one"], ["two"])


def test_lines_of_a_patch_that_look_like_markers_may_land(project):
    """A Markdown heading or a test of conflicts lands, even if it has to be merged."""
    project.git("config", "merge.some.driver", "false")
    text = "Title\n=======\n    <<<<<<< HEAD\n    mine\n    =======\n    yours\n    >>>>>>> branch\n>>>>>>> odd\n"
    submissions = [
        project.submission("other", {"a.txt": lines((18, "new"))}),
        project.submission("writer", {"doc.md": text, "a.txt": "=======\n" + lines()}),
    ]

    woven = weave(project.git, project.base, submissions)

    assert len(woven.landed) == 2
    assert project.read(woven.tip, "doc.md") == text
    assert project.read(woven.tip, "a.txt") == "=======\n" + lines((18, "new"))


def test_a_change_that_landed_already_is_there_and_no_commit(project):
    """Of two patches with the same change one lands, and the other one's is told as there, in text and as JSON."""
    submissions = [project.submission(p, {"a.txt": lines((3, "same"))}) for p in ("one", "two")]

    woven = weave(project.git, project.base, submissions)

    assert (personas(woven.landed), personas(woven.present)) == (["one"], ["two"])
    assert woven.landed[0].commit == woven.tip
    assert "  already there two (run-two): a.txt" in list(report(woven))
    assert woven.document()["present"] == [{"run": "run-two", "persona": "two", "files": ["a.txt"]}]


def test_a_patch_of_what_the_branch_has_moves_no_branch(project):
    """Woven again onto the result, the same patch makes no commit."""
    submission = project.submission("one", {"a.txt": lines((3, "same"))})
    first = weave(project.git, project.base, [submission])
    again = weave(project.git, first.tip, [submission])
    assert (again.tip, again.landed, personas(again.present)) == (first.tip, (), ["one"])


def test_a_patch_to_one_of_two_similar_places_lands_at_its_own(project):
    """It does not move to the first of two equal blocks when lines before them are removed."""
    block = "def f():\n    a = 1\n    b = 2\n    c = 3\n    return a\n\n\n"
    base = project.commit({"x.py": "# head\n" * 9 + block + block}, project.base)
    second = block + block.replace("b = 2", "b = 20")
    submissions = [
        project.submission("first", {"x.py": block + block}, base=base),
        project.submission("second", {"x.py": "# head\n" * 9 + second}, base=base),
    ]

    woven = weave(project.git, base, submissions)

    assert project.read(woven.tip, "x.py") == second


def test_the_line_of_a_conflict_is_that_of_the_branch_whatever_the_patch_adds_above_it(project):
    """Also where the same lines stand at several places."""
    twin = lines((15, "line 6"), (16, "line 7"))
    base = project.commit({"a.txt": twin}, project.base)
    tip = project.commit({"a.txt": twin.replace("line 6\n", "tip\n")}, base)
    patch = {"a.txt": "added 1\nadded 2\n" + twin.replace("line 6\n", "own\n")}

    (conflicted,) = weave(project.git, tip, [project.submission("p", patch, base=base)]).conflicted

    assert [hunk.line for hunk in conflicted.hunks] == [6, 15]


def test_a_folder_in_the_place_of_a_file_is_a_conflict(project):
    """If one patch makes a folder of a name and the other keeps the file, one of them lands."""
    submissions = [
        project.submission("folder", {"src/d.py": None, "src/d.py/inner.py": "new\n"}),
        project.submission("file", {"src/d.py": "changed\n"}),
    ]

    woven = weave(project.git, project.base, submissions)

    assert len(woven.landed) == len(woven.conflicted) == 1
    assert woven.conflicts
    project.git("fsck", "--strict", woven.tip)


def test_a_folder_can_replace_a_file(project):
    """Alone on its own base, such a patch lands."""
    woven = weave(
        project.git, project.base, [project.submission("p", {"src/d.py": None, "src/d.py/inner.py": "new\n"})]
    )

    assert project.files(woven.tip) == ["a.txt", "b.txt", "src/c.py", "src/d.py/inner.py"]


def test_empty_folders_are_removed(project):
    """Trees have no empty folders, and the top of the repository may be empty."""
    woven = weave(project.git, project.base, [project.submission("p", dict.fromkeys(project.files(project.base)))])

    assert project.files(woven.tip) == []
    project.git("fsck", "--strict", woven.tip)


def test_file_modes_and_binary_files_land(project):
    """A script becomes executable, and an image is unchanged."""
    image = bytes(range(256)) * 4
    woven = weave(project.git, project.base, [project.submission("p", {"a.txt": ("100755", lines()), "i.png": image})])

    assert project.git.line("ls-tree", woven.tip, "a.txt").startswith("100755")
    assert project.git("cat-file", "blob", f"{woven.tip}:i.png") == image


def test_two_patches_that_add_one_hook_write_none(project):
    """Git compares both by writing out the first, which must not be in the folder of the repository itself."""
    hook = "hooks/post-checkout"
    submissions = [project.submission(who, {hook: ("100755", f"echo {who}\n")}) for who in ("one", "two")]

    woven = weave(project.git, project.base, submissions)

    assert (personas(woven.landed), personas(woven.conflicted)) == (["one"], ["two"])
    assert not (project.git.directory / hook).exists()


def test_unusual_file_names_land(project):
    """Names may begin with a dash, contain a newline or be invalid UTF-8 (A6)."""
    names = ["-rf", "new\nline", 'tab\t"quote"', "b\udcffd", "ü", ":(glob)*", "src/*"]
    woven = weave(project.git, project.base, [project.submission("p", dict.fromkeys(names, "x\n"))])
    again = weave(project.git, woven.tip, [project.submission("q", dict.fromkeys(names, "y\n"), base=woven.tip)])

    assert sorted(woven.landed[0].files) == sorted(name.replace("\udcff", "\\xff") for name in names)
    assert len(again.landed) == 1
    raw = project.git("ls-tree", "-r", "-z", "--name-only", again.tip).split(b"\0")
    assert {name.encode(errors="surrogateescape") for name in names} <= set(raw)


def test_an_unknown_tip_is_an_error(project):
    """Nothing can be woven onto it."""
    with pytest.raises(GitError):
        weave(project.git, "1" * 40, [])


# -- the order


def test_a_reformat_of_all_files_does_not_block_the_other_patches(tmp_path):
    """Of 24 patches 23 land, while first come, first served lands one."""
    names = [f"f{n}.txt" for n in range(23)]
    project = Project(tmp_path / "project", dict.fromkeys(names, lines(count=5)))
    reformat = project.submission("reformat", dict.fromkeys(names, lines(count=5).replace("line ", "line  ")))
    submissions = [
        reformat,
        *(project.submission(f"p{n}", {name: lines((3, "new"), count=5)}) for n, name in enumerate(names)),
    ]

    woven = weave(project.git, project.base, submissions)

    assert len(woven.landed) == 23
    assert personas(woven.conflicted) == ["reformat"]
    assert len(woven.conflicts) == 23
    assert (
        len(project.by_three_way(submissions, project.base))
        == len(project.by_merge_tree(submissions, project.base))
        == 1
    )


def test_of_two_conflicting_patches_one_lands_by_priority_then_earlier_conflicts_then_age(project):
    """The one with the higher weight lands, and of equal ones the older."""
    old, new = (project.submission(p, {"a.txt": f"{p}\n"}) for p in ("old", "new"))

    def lands(*submissions):
        return personas(weave(project.git, project.base, submissions).landed)

    assert lands(old, new) == ["old"]
    assert lands(old, replace(new, refusals=1)) == ["new"]
    assert lands(old, replace(new, priority=1)) == ["new"]


def test_weights_never_make_fewer_patches_land():
    """They only choose among orders that land equally many, as long as nobody has lost twice."""
    submissions = [submission(n, priority=100 if n == 0 else 0, refusals=1 if n == 0 else 0) for n in range(3)]

    assert best_order(submissions, [(0, 1), (0, 2)], (), 30)[:2] == [1, 2]


@given(st.integers(1, 5), st.integers(1, 4), st.data())
@settings(max_examples=examples(12))
def test_nobody_starves_however_many_newcomers_its_patches_meet(waiting, newcomers, data):
    """Each of them lands at the latest when it has lost twice, and once more to each that had lost as often."""
    refusals, rounds = {number: data.draw(st.integers(0, 3)) for number in range(waiting)}, 0
    while refusals:
        old = [submission(n, refusals=refusals[name]) for n, name in enumerate(refusals)]
        submissions = old + [submission(len(old) + n) for n in range(newcomers)]
        pairs = [(n, m) for n in range(len(old)) for m in range(n + 1, len(submissions))]
        edges = [(n, m) for n, m in pairs if m >= len(old) or data.draw(st.booleans())]
        landed = set[int]()
        for number in best_order(submissions, edges, (), data.draw(st.sampled_from([0, 30]))):
            if not any({number, rival} in ({*edge} for edge in edges) for rival in landed):
                landed.add(number)
        refusals = {name: lost + 1 for n, (name, lost) in enumerate(refusals.items()) if n not in landed}
        rounds += 1
    assert rounds <= 2 + waiting


def submission(number: int, **fields) -> PatchSubmission:
    return PatchSubmission(f"run-{number}", f"p{number}", "", b"", number, "", WHEN, **fields)


@given(st.integers(1, 9), st.data())
@settings(max_examples=examples(30), deadline=None)
def test_the_order_lands_a_maximum_independent_set(count, data):
    """Small components equal the best of all subsets; larger ones go by degree and land at least one patch."""
    numbers = st.integers(0, count - 1)
    edges = {tuple(sorted(e)) for e in data.draw(st.lists(st.tuples(numbers, numbers), max_size=14)) if e[0] != e[1]}
    submissions = [submission(n, priority=data.draw(st.integers(0, 2))) for n in range(count)]

    def free(chosen) -> bool:
        return not any(a in chosen and b in chosen for a, b in edges)

    def first_free(order) -> list[int]:
        return [n for place, n in enumerate(order) if free({*order[:place], n})]

    subsets = [{n for n in range(count) if bits >> n & 1} for bits in range(1 << count)]
    best = max((len(s), sum(submissions[n].priority for n in s)) for s in subsets if free(s))
    order = best_order(submissions, edges, (), 30)
    chosen = set(order[: best[0]])
    assert sorted(order) == sorted(best_order(submissions, edges, (), 0)) == list(range(count))
    assert free(chosen)
    assert (len(chosen), sum(submissions[n].priority for n in chosen)) == best
    assert first_free(best_order(submissions, edges, (), 0))


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["change", "insert", "delete", "drop", "move", "rewrite"]),
        st.integers(0, 7),
    ),
    min_size=1,
    max_size=3,
)


def edited(files: dict[str, list[str]], edits, mark: str) -> dict[str, str | None]:
    now = {name: list(rows) for name, rows in files.items()}
    for name, verb, place in edits:
        if name not in now:
            continue
        if verb == "change":
            now[name][place % len(now[name])] = f"{mark} was here"
        elif verb == "insert":
            now[name].insert(place, f"{mark} came")
        elif verb == "delete" and len(now[name]) > 1:
            del now[name][place % len(now[name])]
        elif verb == "drop" and len(now) > 1:
            del now[name]
        elif verb == "move":
            now[f"{name}-{mark}"] = now.pop(name)
        elif verb == "rewrite":
            now[name] = [f"{mark} {row}" for row in now[name]]
    gone = {name: None for name in files if name not in now}
    return gone | {name: "\n".join(rows) + "\n" for name, rows in now.items() if rows != files.get(name)}


@given(st.lists(EDITS, min_size=2, max_size=6))
@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_never_fewer_patches_land_than_by_first_come_first_served(tmp_path_factory, work):
    """Compared with two loops over git on random patches; the result is a chain of sound commits."""
    files = {name: [f"{name} {n}" for n in range(8)] for name in "abc"}
    project = Project(tmp_path_factory.mktemp("random"), {name: "\n".join(rows) + "\n" for name, rows in files.items()})
    changed = [edited(files, edits, f"p{n}") for n, edits in enumerate(work)]
    submissions = [project.submission(f"p{n}", edits) for n, edits in enumerate(changed) if edits]

    woven = weave(project.git, project.base, submissions)

    naive = max(
        len(project.by_three_way(submissions, project.base)), len(project.by_merge_tree(submissions, project.base))
    )
    assert len(woven.landed) + len(woven.present) >= naive
    assert len(woven.landed) + len(woven.present) + len(woven.conflicted) == len(submissions)
    chain = project.git.line("rev-list", "--reverse", "--first-parent", f"{project.base}..{woven.tip}").split()
    assert chain == [landed.commit for landed in woven.landed]
    assert project.git.run("grep", "-qE", "^(<<<<<<<|>>>>>>>)", woven.tip).returncode == 1


def test_first_come_orders_are_tried_if_no_pair_was_compared(project):
    """Even then no fewer patches land than in either of the two loops."""
    tail = {"a.txt": "all new\n"}
    submissions = [
        project.submission("big", tail),
        *(project.submission(f"p{n}", {"a.txt": lines((n * 5, "x"))}) for n in (1, 2, 3)),
    ]

    assert len(weave(project.git, project.base, submissions, WeaveLimits(pairs=0)).landed) >= 1
    assert len(weave(project.git, project.base, submissions).landed) == 3


# -- folders that move


HOUSE = {f"old/{name}.txt": lines((1, name)) for name in "abc"} | {"old/sub/d.txt": lines((1, "d")), "top.txt": "top\n"}


@pytest.mark.parametrize("first", ["mover", "adder"])
@pytest.mark.parametrize("to", ["new/place", ""])
def test_a_new_folder_in_a_folder_that_moves_goes_with_it(tmp_path, first, to):
    """Git itself would leave it: it looks for no folder to which no file is added itself."""
    base = {f"old/{name}.txt": lines((1, name)) for name in "abc"} | {"top.txt": "top\n"}
    project = Project(tmp_path / "project", base)
    names = {name: f"{to}/{name.removeprefix('old/')}".removeprefix("/") for name in base if name != "top.txt"}
    edits = {
        "mover": dict.fromkeys(names) | {new: base[old] for old, new in names.items() if old != "old/a.txt"},
        "adder": {"old/more/deep/g.txt": "g\n", "old/more/h.txt": "h\n"},
    }
    order = [first, *(edits.keys() - {first})]

    woven = weave(project.git, project.base, [project.submission(name, edits[name]) for name in order])

    assert personas(woven.landed) == order
    left = {new for old, new in names.items() if old != "old/a.txt"}
    more = {f"{to}/more/{name}".removeprefix("/") for name in ("deep/g.txt", "h.txt")}
    assert {*project.git.line("ls-tree", "-r", "--name-only", woven.tip).split()} == {"top.txt"} | left | more


def test_a_new_folder_stays_where_nobody_can_tell_whether_its_folder_moved(tmp_path):
    """It was deleted, or went to two places alike."""
    base = {"old/a.txt": HOUSE["old/a.txt"], "old/b.txt": HOUSE["old/b.txt"]}
    for number, mover in enumerate(({}, {"p/a.txt": base["old/a.txt"], "q/b.txt": base["old/b.txt"]})):
        project = Project(tmp_path / str(number), base | {"top.txt": "top\n"})
        edits = {"mover": dict.fromkeys(base) | mover, "adder": {"old/more/g.txt": "g\n"}}
        woven = weave(project.git, project.base, [project.submission(name, edits[name]) for name in edits])
        names = project.git.line("ls-tree", "-r", "--name-only", woven.tip).split()
        assert names == sorted([*mover, "old/more/g.txt", "top.txt"])


@pytest.mark.parametrize("first", ["mover", "adder"])
def test_a_file_that_is_added_to_a_folder_that_moves_goes_with_it(tmp_path, first):
    """Whoever lands first, nothing is left in the dead folder, nor is anything else deleted."""
    project = Project(tmp_path / "project", HOUSE)
    edits = {
        "mover": dict.fromkeys(HOUSE.keys() - {"top.txt"})
        | {name.replace("old/", "new/place/"): text for name, text in HOUSE.items() if name != "top.txt"},
        "adder": {"old/e.txt": "e\n", "old/sub/f.txt": "f\n", "old/more/g.txt": "g\n", "top.txt": "changed\n"},
    }
    order = [first, *(edits.keys() - {first})]
    submissions = [project.submission(name, edits[name]) for name in order]

    woven = weave(project.git, project.base, submissions)

    assert personas(woven.landed) == order
    assert woven.landed[1].how == "merge-tree"
    names = project.git.line("ls-tree", "-r", "--name-only", woven.tip).split()
    assert [name for name in names if name.startswith("old/")] == []
    assert {"new/place/e.txt", "new/place/sub/f.txt", "new/place/more/g.txt", "new/place/a.txt"} < {*names}
    assert len(names) == len(HOUSE) + 3
    assert "new/place/e.txt" in woven.landed[1].files


@pytest.mark.parametrize(
    ("mover", "file"),
    [
        (
            {"old/a.txt": None, "p/a.txt": HOUSE["old/a.txt"], "old/b.txt": None, "q/b.txt": HOUSE["old/b.txt"]},
            "old/e.txt",
        ),
        (
            {name.replace("old/", "new/"): HOUSE[name] for name in ("old/a.txt", "old/b.txt")} | {"new/e.txt": "own\n"},
            "new/e.txt",
        ),
    ],
    ids=["two-places", "in-the-way"],
)
def test_a_file_whose_folder_moved_to_no_certain_place_is_told_as_a_conflict(tmp_path, mover, file):
    """Half of the folder went here and half there, or another file is where it would go."""
    base = {"old/a.txt": HOUSE["old/a.txt"], "old/b.txt": HOUSE["old/b.txt"]}
    project = Project(tmp_path / "project", base)
    submissions = [
        project.submission("mover", dict.fromkeys(base) | mover),
        project.submission("adder", {"old/e.txt": "e\n"}),
    ]

    woven = weave(project.git, project.base, submissions)

    assert personas(woven.landed) == ["mover"]
    assert [(hunk.file, hunk.yours.strip().splitlines()[-1]) for hunk in woven.conflicted[0].hunks] == [(file, "e")]


def test_a_clash_of_a_file_and_a_folder_is_named_as_its_authors_name_it(tmp_path):
    """Git puts one of them beside the other, under a name with a commit in it, which nobody knows."""
    project = Project(tmp_path / "project", {"a.txt": lines(), "link": "a\n"})
    submissions = [
        project.submission("filer", {"thing": "a file\n", "a.txt": lines((1, "x"))}),
        project.submission("folderer", {"thing/inner": "a folder\n", "a.txt": lines((1, "y"))}),
    ]

    woven = weave(project.git, project.base, submissions)

    ((_, _, files),) = woven.conflicts
    assert {*files} <= {"thing", "thing/inner", "a.txt"}
    assert {hunk.file for hunk in woven.conflicted[0].hunks} <= {"thing", "thing/inner", "a.txt"}
    assert "thing" in files


# -- by hand


def test_patch_files_are_woven_onto_a_new_branch(project, tmp_path):
    """Without a branch nothing is kept; an existing branch is not changed."""
    files = []
    for name, edits in {"one": {"a.txt": "one\n"}, "two": {"a.txt": "two\n"}, "three": {"b.txt": "3\n"}}.items():
        files.append(tmp_path / f"{name}.patch")
        files[-1].write_bytes(project.patch(edits))

    dry, none = weave_by_hand(project.folder, files, project.base, project.base, None)
    woven, branch = weave_by_hand(project.folder, files, project.base, project.base, "team/woven")

    assert none is None
    assert dry == woven
    assert project.git.line("rev-parse", "team/woven") == woven.tip
    assert branch == "team/woven"
    assert personas(woven.landed) == ["one", "three"]
    lines = [*report(woven)]
    assert lines[0] == f"weave of 3 patches onto {project.base[:12]}: 2 land"
    assert any(row.startswith("  conflict two") for row in lines)
    assert woven.document()["conflicts"] == [["one.patch", "two.patch", ["a.txt"]]]
    twice, _ = weave_by_hand(project.folder, files[:1] * 2, project.base, project.base, None)
    assert len({each.submission.key for each in (*twice.landed, *twice.present)}) == 2
    with pytest.raises(BranchMoved, match="there already"):
        weave_by_hand(project.folder, files, project.base, project.base, "team/woven")
    with pytest.raises(UsageError, match="no commit nowhere"):
        weave_by_hand(project.folder, files, "nowhere", project.base, None)
    with pytest.raises(UsageError, match="cannot read"):
        weave_by_hand(project.folder, [tmp_path / "none.patch"], project.base, project.base, None)


def test_pull_requests_are_woven_as_patches(project):
    """The patch is the difference between the ref and its merge base."""
    fork = project.commit({"a.txt": lines((2, "pulled"))}, project.base, "Mend line two", "Grace")
    main = project.commit({"b.txt": lines((1, "later"))}, project.base)
    project.git("update-ref", "refs/pull/7/head", fork)

    submissions = submissions_from_pulls(project.git, ["refs/pull/7/head"], main)
    woven = weave(project.git, main, submissions)

    assert (submissions[0].persona, submissions[0].subject, submissions[0].base) == (
        "Grace",
        "Mend line two",
        project.base,
    )
    assert project.read(woven.tip, "a.txt") == lines((2, "pulled"))


def test_a_weave_leaves_no_temporary_folder(project, tmp_path, monkeypatch):
    """Scratch indexes and objects are removed, even if the weave fails."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    code = (
        "import sys; from pathlib import Path; from team_mail.personas.git import Git; "
        "from team_mail.scheduler.weaver.weave import weave; weave(Git(Path(sys.argv[1])), sys.argv[2], [])"
    )
    argv = [sys.executable, "-c", code, str(project.folder / ".git")]
    subprocess.run([*argv, project.base], check=True)
    assert subprocess.run([*argv, "1" * 40], check=False, capture_output=True).returncode

    assert not list((tmp_path / "scratch").iterdir())
