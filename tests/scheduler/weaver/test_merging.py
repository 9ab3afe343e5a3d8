"""Merges of patches with trees: what git makes of everything, made of the files that matter, and known for later."""

import re
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from team_mail.personas.errors import GitError
from team_mail.personas.git import Git
from team_mail.scheduler.weaver.applying import apply_all
from team_mail.scheduler.weaver.commit import changed_by, write_commit
from team_mail.scheduler.weaver.landing import WAYS, Branch
from team_mail.scheduler.weaver.merging import Merging
from team_mail.scheduler.weaver.objects.pack import NewObject, write_pack
from team_mail.scheduler.weaver.objects.reader import ObjectReader
from team_mail.scheduler.weaver.patch import WeaveLimits
from team_mail.scheduler.weaver.scratch import quarantine
from team_mail.scheduler.weaver.tree import Tree, read_tree

from ...samples import examples
from ..project import Project, lines

LIMITS = WeaveLimits()
FILES = {"a": lines(count=9), "b": lines(count=9), "d/c": lines(count=9), "d/e/f": "f\n", "z": "z\n"}
EDITS = st.lists(
    st.tuples(st.sampled_from(sorted(FILES)), st.sampled_from(["edit", "edit", "move", "drop", "add", "folder"]),
              st.integers(1, 9)),
    min_size=1, max_size=4,
)  # fmt: skip


def edited(edits, mark: str) -> dict[str, str | None]:
    """Return what some edits make of the files: edited, moved, dropped, added, made a folder."""
    now: dict[str, str] = dict(FILES)
    for name, verb, line in edits:
        if verb == "edit" and name in now:
            now[name] = now[name].replace(f"line {line}\n", f"line {line} by {mark}\n")
        elif verb == "move" and name in now:
            now[f"m{line % 2}/{name}"] = now.pop(name).replace(f"line {line}\n", f"{mark}\n" if line % 3 else "")
        elif verb == "add":
            now[f"new{line % 3}"] = f"{mark}\n" if line % 2 else "same\n"
        elif verb == "folder" and name in now:
            now[f"{name}/inner"] = now.pop(name)
        elif verb == "drop":
            now.pop(name, None)
    gone = dict.fromkeys(FILES.keys() - now.keys())
    return gone | {name: text for name, text in now.items() if FILES.get(name) != text}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("merging") / "project", FILES)


def whole(git: Git, tree, each) -> tuple[str, set[tuple[str, int, str]]]:
    """Merge two whole commits by git: the tree, and the versions of files in conflict."""
    ours, theirs = (
        write_commit(tree.objects.write, each.submission, oid, [each.submission.base]) for oid in (tree.oid, each.tree)
    )
    git = tree.objects.git
    ended = git.run("merge-tree", "--write-tree", "--no-messages", ours, theirs)
    top, *rows = ended.stdout.decode().splitlines()
    fields = [re.fullmatch(r"\d+ (\w+) (\d)\t(.*?)(~[0-9a-f]{40})?", row).groups() for row in rows if row]
    return top, {(path, int(number), oid) for oid, number, path, _ in fields}


def unmarked(git: Git, oid: str) -> bytes:
    """Return a version of a file without the ids of commits, which git writes into a file that both sides renamed."""
    return re.sub(rb"[0-9a-f]{40}", b"", git("cat-file", "blob", oid))


@given(EDITS, EDITS)
@example([("a", "move", 1)], [("a", "move", 2)])
@settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_merge_of_few_files_is_that_of_whole_trees(project, ours, theirs):
    """Renames, deletions and folders in the place of files included; git merges all of both trees beside it."""
    tip = project.commit(edited(ours, "tip"), project.base)
    submission = project.submission("p", edited(theirs, "patch"))
    with quarantine(project.git, tip) as scratch:
        tree = read_tree(scratch, tip)
        for each in apply_all(scratch, tree, [submission], LIMITS)[0]:
            (merge,) = Merging(scratch, LIMITS).merge(tree, [each])
            top, stages = whole(project.git, tree, each)

            paths = [(re.sub(r"~[0-9a-f]{40}$", "", stage.path.decode()), stage) for stage in merge.stages or ()]
            own = {(path, stage.number, unmarked(scratch.git, stage.entry.oid)) for path, stage in paths}
            assert own == {(path, number, unmarked(scratch.git, oid)) for path, number, oid in stages}
            assert (merge.stages is None) == (not stages)
            if not stages:
                assert tree.changed(merge.changes).oid == top


@given(st.lists(EDITS, min_size=2, max_size=4), st.lists(EDITS, min_size=2, max_size=4))
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_known_of_earlier_merges_changes_none(project, tips, work):
    """Merges are the same from one who has made many, ahead and one by one, as from one who knows nothing."""
    commits = [project.commit(edited(edits, f"tip{n}"), project.base) for n, edits in enumerate(tips)]
    submissions = [project.submission(f"p{n}", edited(edits, f"p{n}")) for n, edits in enumerate(work)]
    with quarantine(project.git, project.base) as scratch:
        applied = apply_all(scratch, read_tree(scratch, project.base), submissions, LIMITS)[0]
        merging = Merging(scratch, LIMITS)
        for tree in [read_tree(scratch, commit) for commit in commits]:
            if applied:
                merging.foresee(tree, applied, WAYS)
            for way in WAYS:
                known = [merging.changes(way, tree, each) for each in applied]
                assert known == [Merging(scratch, LIMITS).changes(way, tree, each) for each in applied]


@given(
    st.lists(EDITS, min_size=2, max_size=4),
    st.lists(EDITS, min_size=2, max_size=6),
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True), min_size=4, max_size=4),
)
@example(
    [[("a", "edit", 1)], [("a", "edit", 2)], [("a", "edit", 3)]],
    [[("a", "edit", line)] for line in (7, 8, 9)],
    [[0], [0, 1], [2, 0, 1], [0]],
)
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_patches_that_are_merged_together_are_merged_as_git_merges_each_alone(project, tips, work, queues):
    """Whatever stands beside them, whatever was merged before, and whichever of them git refuses."""
    commits = [project.commit(edited(edits, f"tip{n}"), project.base) for n, edits in enumerate(tips)]
    submissions = [project.submission(f"p{n}", edited(edits, f"p{n}")) for n, edits in enumerate(work)]
    with quarantine(project.git, project.base) as scratch:
        applied = apply_all(scratch, read_tree(scratch, project.base), submissions, LIMITS)[0]
        merging = Merging(scratch, LIMITS)
        for tree, queue in zip([read_tree(scratch, commit) for commit in commits], queues, strict=False):
            if ahead := [applied[number] for number in queue if number < len(applied)]:
                merging.foresee(tree, ahead, ["3way"])
                for each in ahead:
                    assert merging.changes("3way", tree, each) == alone(scratch, tree, each)


ODD = [
    "0",
    "1/0",
    "new\nline",
    'quo"te',
    "tab\there",
    "caf\udce9",
    " b/ a/ ",
    "deep/" * 60 + "x",
    "A",
    "a",
    "d/diff --git a",
]
WORDS = lines(count=9)
BODIES = [
    WORDS, "", "one\n", WORDS.replace("line 2", "two"), WORDS.replace("line 8", "eight"), WORDS.replace("\n", "\r\n"),
    WORDS.removesuffix("\n"), b"\0" + WORDS.encode(), b"\0\1", WORDS + "diff --git a/1/a b/1/a\n--- a/0/0\n",
    ("100755", WORDS), ("100755", WORDS.replace("line 2", "run")), ("120000", "a"), None,
]  # fmt: skip
RULES = [
    "a text eol=crlf\n* -diff\n", "* binary\n", "[attr]odd merge=union\n* odd\n", "* merge=union\n", "* text=auto\n",
]  # fmt: skip
ODD_EDITS = st.dictionaries(st.sampled_from(ODD), st.sampled_from(BODIES), min_size=1, max_size=5)
ODD_RULES = st.dictionaries(st.sampled_from([".gitattributes", "d/.gitattributes"]), st.sampled_from(RULES), max_size=1)


@pytest.fixture(scope="module")
def odd_project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("odd") / "project", dict.fromkeys(ODD[:8], WORDS))


@given(st.lists(st.tuples(ODD_EDITS, ODD_RULES).map(lambda pair: pair[0] | pair[1]), min_size=3, max_size=7))
@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_odd_patches_are_merged_together_as_git_merges_each_alone(odd_project, work):
    """With names like those of the folders they are put into, or of any bytes; with modes, links, rules, line ends."""
    tip = odd_project.commit(work[0], odd_project.base)
    submissions = [odd_project.submission(f"p{n}", edits) for n, edits in enumerate(work[1:])]
    with quarantine(odd_project.git, tip) as scratch:
        applied = apply_all(scratch, read_tree(scratch, odd_project.base), submissions, LIMITS)[0]
        tree, merging = read_tree(scratch, tip), Merging(scratch, LIMITS)
        if applied:
            merging._apply(tree, applied)
        for each in applied:
            assert merging.changes("3way", tree, each) == alone(scratch, tree, each)


def alone(scratch, tree, each):
    """Merge a patch with all files of a tree by `git apply --3way`; return what changes, None for a conflict."""
    index = scratch.index("alone").using(work_tree=scratch.fresh("alone"))
    (work := Path(index.settings["GIT_WORK_TREE"])).mkdir()
    index("read-tree", tree.commit)
    patch = scratch.git("diff-tree", "-p", "--binary", "--full-index", "--no-renames", each.base.oid, each.tree)
    if index.run("apply", "--cached", "--3way", "-", stdin=patch, cwd=work).returncode:
        return None
    return tuple(tree.changes_to(Tree(index.line("write-tree"), scratch)))


def test_rules_that_hold_only_at_the_top_hold_for_patches_that_are_merged_together(tmp_path):
    """Of the repository, and macros, which git reads in no other folder; other attributes hold in any."""
    text = {"a": lines(count=9), "d/c": lines(count=9)}
    rules = {".gitattributes": "[attr]ours merge=union\na ours\n", "d/.gitattributes": "c merge=union\n"}
    for number, (files, info) in enumerate([(rules, None), ({}, "/a merge=union\nd/c merge=union\n")]):
        project = Project(tmp_path / str(number), text | files)
        (place := project.git.directory / "info").mkdir(exist_ok=True)
        (place / "attributes").write_text(info) if info else (place / "attributes").unlink(missing_ok=True)
        tip = project.commit({name: body.replace("line 5", "tip") for name, body in text.items()}, project.base)
        submissions = [
            project.submission(f"{name}{n}", {name: text[name].replace("line 5", f"{n}")})
            for name in text
            for n in "12"
        ]
        with quarantine(project.git, tip) as scratch:
            tree = read_tree(scratch, tip)
            applied = apply_all(scratch, read_tree(scratch, project.base), submissions, LIMITS)[0]
            merging = Merging(scratch, LIMITS)
            merging.foresee(tree, applied, ["3way"])
            assert [merging.changes("3way", tree, each) is None for each in applied] == [False] * 4


def test_patches_that_all_fail_are_merged_by_few_processes(project, monkeypatch):
    """Each that fails leaves the branch as it was, and twice as many of the next are merged at once."""
    submissions = [project.submission(f"p{n:02}", {"a": FILES["a"].replace("line 5", f"{n}")}) for n in range(20)]
    with quarantine(project.git, project.base) as scratch:
        tree = read_tree(scratch, project.base)
        branch = Branch(Merging(scratch, LIMITS), tree, project.base)
        applied = apply_all(scratch, tree, submissions, LIMITS)[0]
        git, started = Git.run, list[str]()
        monkeypatch.setattr(
            Git, "run", lambda self, *words, **more: (started.append(words[0]), git(self, *words, **more))[1]
        )

        landed = [each for each, lands in branch.land_each(applied) if lands]

    assert landed == applied[:1]
    assert len([word for word in started if word in {"apply", "merge-tree"}]) <= 20


def test_a_merge_of_two_new_files_of_one_name_writes_nothing_beside_the_scratch_files(project):
    """Git writes out what is there to look at it: not into the repository, and not in the way of the next merge."""
    names = ["added", "hooks/added", "attempt-0.index"]
    tip = project.commit(dict.fromkeys(names, "same\n"), project.base)
    submission = project.submission("p", dict.fromkeys(names, "same\n"))
    before = sorted(project.git.directory.rglob("*"))
    with quarantine(project.git, tip) as scratch:
        tree = read_tree(scratch, tip)
        (each,) = apply_all(scratch, tree, [submission], LIMITS)[0]
        assert [Merging(scratch, LIMITS).changes("3way", tree, each) for _ in range(2)] == [(), ()]
    assert sorted(project.git.directory.rglob("*")) == before


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_git_reads_the_packs_that_are_written_here(tmp_path, algorithm):
    """Of every kind and size, in repositories with either kind of ids."""
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={algorithm}", tmp_path / "x.git"], check=True)
    git = Git(tmp_path / "x.git")
    bodies = {git.line("hash-object", "--stdin", stdin=body): body for body in (b"", b"x", b"y" * 15, b"z" * 5_000)}

    write_pack(
        git.directory / "objects" / "pack", {oid: NewObject("blob", body) for oid, body in bodies.items()}, algorithm
    )

    assert {oid: git("cat-file", "blob", oid) for oid in bodies} == bodies
    git("fsck", "--strict")
    git("verify-pack", *map(str, (git.directory / "objects" / "pack").glob("*.idx")))


def test_what_is_written_is_read_by_whoever_asks_next(project):
    """By git and by the process that goes on; one that is not there is an error, and the next is read all the same."""
    with quarantine(project.git, project.base) as scratch:
        oid = scratch.write("blob", b"text\n")
        assert scratch.blobs([oid]) == {oid: b"text\n"}
        assert scratch.git("cat-file", "blob", oid) == b"text\n"
        with pytest.raises(GitError, match="missing, not a blob"):
            scratch.blobs([oid, "1" * 40])
        with pytest.raises(GitError, match="is commit, not a blob"):
            scratch.blobs([project.base])
        assert scratch.blobs([oid]) == {oid: b"text\n"}


def test_reading_goes_on_after_somebody_ended_the_process_that_reads(project):
    """Whoever looks for hours is not blind for the rest of them."""
    with closing(ObjectReader(project.git)) as reader:
        before = reader.read([project.base], "commit")
        reader._process.kill()
        reader._process.wait()
        assert reader.read([project.base], "commit") == before


def test_who_changed_a_file_is_told_for_many_bases_as_for_each(project):
    """Also across a merge, from bases beside the branch, and for files with odd names."""
    odd = "odd\nname"
    one = project.commit({"a": "1\n", odd: "1\n"}, project.base, author="Ann")
    two = project.commit({"b": "2\n"}, one, author="Ben")
    side = project.commit({"d/c": "3\n"}, project.base, author="Cat")
    who = ("-c", "user.name=x", "-c", "user.email=x@y")
    both = project.tree({"d/c": "3\n"}, two)
    joined = project.git.line(*who, "commit-tree", both, "-p", two, "-p", side, "-m", "join")
    tip = project.commit({"a": "4\n"}, joined, author="Dan")
    bases, files = [project.base, one, side, two, tip], ["a", "b", "d/c", odd, "none"]

    every = changed_by(project.git, bases, tip, files)

    assert every == {base: changed_by(project.git, [base], tip, files)[base] for base in bases}
    for base in bases:
        words = ("log", "--format=%an", "--name-only", "-z", f"{base}..{tip}", "--", *files)
        names = project.git(*words).replace(b"\n", b"\0").split(b"\0")
        assert {who for _, (who, _, _) in every[base]} == {name.decode() for name in names} & {
            "Ann",
            "Ben",
            "Cat",
            "Dan",
        }
    assert [(file, who) for file, (who, _, _) in every[project.base] if file == "a"] == [("a", "Dan"), ("a", "Ann")]
    assert (odd, "Ann") in [(file, who) for file, (who, _, _) in every[project.base]]
    assert changed_by(project.git, bases, tip, []) == {base: [] for base in bases}
