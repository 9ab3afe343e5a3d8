"""Single patches on a new branch, the trees they make, and the objects that are kept."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.git import Git
from team_mail.scheduler.weaver.index import read_index, write_index
from team_mail.scheduler.weaver.landing import Branch
from team_mail.scheduler.weaver.merging import Merging
from team_mail.scheduler.weaver.patch import Change, Entry, WeaveLimits
from team_mail.scheduler.weaver.scratch import quarantine
from team_mail.scheduler.weaver.tree import Applied, read_tree
from team_mail.scheduler.weaver.weave import weave

from ...samples import examples
from ..project import Project, lines


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    files = {"a": "a\n", "d/b": "b\n", "d/e/c": "c\n", "d.x": "x\n", "z": ("100755", "z\n")}
    return Project(tmp_path_factory.mktemp("trees") / "project", files)


PATHS = st.lists(st.sampled_from(["a", "d/b", "d/e/c", "d.x", "z", "n", "d/n", "d/e/n", "m/m/m", "d-"]), unique=True)


@given(PATHS, PATHS)
@settings(max_examples=examples(8), deadline=None)
def test_a_tree_changed_in_memory_equals_the_tree_that_git_writes(project, gone, new):
    """It has the id of an index with the same changes, and the original tree is unchanged."""
    edits = dict.fromkeys(gone) | dict.fromkeys(new, "new\n")
    oid = project.git.line("hash-object", "-w", "--stdin", stdin=b"new\n")
    with quarantine(project.git, project.base) as scratch:
        tree = read_tree(scratch, project.base)
        before = tree.oid
        changes = [
            Change(p.encode(), tree[p.encode()], None if c is None else Entry("100644", oid)) for p, c in edits.items()
        ]
        assert tree.fits(changes)
        assert tree.changed(changes).oid == project.tree(edits, project.base)
        assert tree.changed([]).oid == before == tree.oid


NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not {0, 46} & set(name) and b"/" not in name)


@given(st.sets(NAMES, max_size=6), st.booleans())
@settings(max_examples=examples(8), deadline=None)
def test_git_reads_an_index_written_here_and_vice_versa(project, tmp_path_factory, names, executable):
    """The files are the same byte for byte, whatever their names, also one of thousands of letters."""
    path = tmp_path_factory.mktemp("index") / "index"
    oid = project.git.line("hash-object", "-w", "--stdin", stdin=b"new\n")
    files = {name: Entry("100755" if executable else "100644", oid) for name in {*names, b"long" * 1100}}
    write_index(path, files, len(project.base))
    git = project.git.using(index=path)

    listed = git("ls-files", "--stage", "-z").split(b"\0")[:-1]
    tree = git.line("write-tree")
    git("-c", "index.version=2", "read-tree", tree)

    assert {line.partition(b"\t")[2] for line in listed} == files.keys()
    assert read_index(path, len(project.base)) == files


def test_an_index_with_conflicts_or_of_another_version_is_not_read(project, tmp_path):
    """Git is asked instead."""
    oid = project.git.line("hash-object", "-w", "--stdin", stdin=b"new\n")
    write_index(tmp_path / "index", {b"a": Entry("100644", oid)}, 40)
    git = project.git.using(index=tmp_path / "index")
    git("update-index", "--index-version", "4")
    assert read_index(tmp_path / "index", 40) is None
    git("update-index", "--index-version", "2")
    git("update-index", "--index-info", stdin=f"100644 {oid} 2\tb\n".encode())
    assert read_index(tmp_path / "index", 40) is None


def test_a_patch_that_does_not_land_leaves_the_branch_unchanged(project):
    """A fork of the branch is independent of it."""
    with quarantine(project.git, project.base) as scratch:
        tree = read_tree(scratch, project.base)
        branch = Branch(Merging(scratch, WeaveLimits()), tree, project.base)

        def applied(persona, text):
            submission = project.submission(persona, {"a": text})
            oid = scratch.git.line("hash-object", "-w", "--stdin", stdin=text.encode())
            return Applied(submission, tree, (Change(b"a", tree[b"a"], Entry("100644", oid)),))

        fork = branch.fork()
        assert branch.land(applied("one", "1\n"))
        tip = branch.tip
        assert not branch.land(applied("two", "2\n"))
        assert (branch.tip, len(branch.landed), fork.tip) == (tip, 1, project.base)
        assert fork.land(applied("two", "2\n"))


def test_settings_of_the_repository_do_not_change_what_lands(tmp_path):
    """Conflict style, white space, renames, attributes and hooks have no effect (A5)."""
    project = Project(tmp_path / "project", {"a.txt": lines(), "b.txt": lines()})
    submissions = [
        project.submission("mover", {"a.txt": None, "c.txt": lines()}, priority=1),
        project.submission("editor", {"a.txt": lines((7, "new"))}),
        project.submission("one", {"b.txt": lines((7, "one"))}),
        project.submission("two", {"b.txt": lines((7, "two"))}),
        project.submission("space", project.patch({"b.txt": lines((3, "x"))}).replace(b" line 2", b" line  2")),
    ]
    plain = weave(project.git, project.base, submissions)
    hostile = {
        "merge.conflictStyle": "zdiff3",
        "merge.renames": "false",
        "apply.ignoreWhitespace": "change",
        "apply.whitespace": "fix",
        "core.splitIndex": "true",
        "core.sparseCheckout": "true",
        "core.fsmonitor": f"touch {tmp_path}/ran",
        "diff.noprefix": "true",
        "diff.external": f"touch {tmp_path}/ran",
        "core.hooksPath": str(tmp_path),
        "commit.gpgSign": "true",
        "i18n.commitEncoding": "latin1",
    }
    for name, value in hostile.items():
        project.git("config", name, value)
    (tmp_path / "post-index-change").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "post-index-change").chmod(0o755)

    assert weave(project.git, project.base, submissions) == plain
    assert not (tmp_path / "ran").exists()
    assert [landed.submission.persona for landed in plain.landed] == ["mover", "editor", "one"]
    assert [landed.submission.persona for landed in plain.refused] == ["space"]


def test_git_variables_of_the_environment_do_not_change_what_lands(tmp_path, monkeypatch):
    """The scheduler may have been started with any GIT_ variables."""
    project = Project(tmp_path / "project", {"a.txt": lines()})
    submissions = [project.submission(p, {"a.txt": lines((n, p))}) for n, p in ((3, "one"), (15, "two"))]
    plain = weave(project.git, project.base, submissions)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_AUTHOR_NAME", "TZ"):
        monkeypatch.setenv(name, "nowhere")

    assert weave(project.git, project.base, submissions) == plain


def test_a_repository_with_a_colon_in_its_path_is_woven(tmp_path):
    """Git separates object folders by colons."""
    project = Project(tmp_path / 'a:b"c', {"a.txt": lines()})

    assert len(weave(project.git, project.base, [project.submission("p", {"a.txt": "x\n"})]).landed) == 1


def test_landed_objects_are_handed_over_as_one_pack(tmp_path):
    """Git flushes it as a whole, so a branch never points at objects that a power cut can remove."""
    project = Project(tmp_path / "project", {"a.txt": lines()})
    before = {path.name for path in packs(project.git)}

    woven = weave(project.git, project.base, [project.submission("p", {"a.txt": "x\n"})])

    new = [path for path in packs(project.git) if path.name not in before]
    assert {path.suffix for path in new} >= {".pack", ".idx"}
    packed = project.git("show-index", stdin=next(p for p in new if p.suffix == ".idx").read_bytes()).decode()
    assert woven.tip in packed


def packs(git: Git) -> list[Path]:
    return list((git.directory / "objects" / "pack").glob("*"))


def test_a_sha256_repository_is_woven(tmp_path):
    """Object ids have the format of the repository."""
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(tmp_path / "p")], check=True)
    git = Git(tmp_path / "p" / ".git")
    blob = git.line("hash-object", "-w", "--stdin", stdin=lines().encode())
    tree = git.line("mktree", stdin=f"100644 blob {blob}\ta.txt\n".encode())
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    base = git.line(*who, "commit-tree", tree, "-m", "base")
    project = Project(tmp_path / "sha1", {"a.txt": lines()})
    submissions = [
        project.submission(p, project.patch({"a.txt": lines((n, p))}), base=base) for n, p in ((3, "one"), (15, "two"))
    ]

    woven = weave(git, base, submissions)

    assert len(woven.landed) == 2
    assert len(woven.tip) == 64
    git("fsck", "--strict", woven.tip)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names descriptors as Linux does")
def test_landed_objects_are_durable_before_the_branch_moves(tmp_path, monkeypatch):
    """The pack, its index and their folder are flushed, even if the repository's settings turn that off."""
    project = Project(tmp_path / "project", {"a": "a\n"})
    project.git("config", "core.fsync", "none")
    project.git("config", "core.fsyncMethod", "writeout-only")
    traces, folders, fsync = tmp_path / "traces", [], os.fsync
    traces.mkdir()

    def recorded(descriptor: int) -> None:
        folders.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    git = replace(project.git, settings={"GIT_TRACE2_EVENT": str(traces)})

    woven = weave(git, project.base, [project.submission("ann", {"a": "ann\n"})])

    (indexed,) = [trace for file in traces.iterdir() if '"index-pack"' in (trace := file.read_text())]
    events = [json.loads(line) for line in indexed.splitlines()]
    # git 2.40 and later count in an event of its own
    counts = {event.get("key", event.get("name")): event.get("value", event.get("count")) for event in events}
    flushes = [int(count) for name, count in counts.items() if str(name).endswith("hardware-flush")]
    (pack,) = (project.git.directory / "objects" / "pack").glob("*.pack")
    assert sum(flushes) >= 2, "the pack and its index"
    assert folders == [str(pack.parent)]
    assert project.git.line("cat-file", "-t", woven.tip) == "commit"
