"""Changes that are made not to be seen: a capture has each of them, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from team_mail.personas.workspace import Mirror

from ...samples import examples
from ..test_workspace import git, repository, tree

FILES = {
    "README": ("100644", b"one\n"),
    "TREE": ("100644", b"two\n"),  # as the part of an index behind its entries is called
    "TREES/TREE": ("100644", b"three\n"),
    "run.sh": ("100755", b"#!/bin/sh\n"),
    "z.py": ("100644", b"z = 1\n"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return repository(tmp_path_factory.mktemp("hidden") / "project", FILES)


@pytest.fixture(scope="module")
def mirror(project, tmp_path_factory):
    return Mirror(project, tmp_path_factory.mktemp("work"))


@pytest.fixture
def mirror_alone(project, tmp_path):
    """A mirror that no other test has."""
    return Mirror(project, tmp_path / "work")


def as_before(place: Path, before: os.stat_result) -> None:
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def write(place: Path) -> None:
    """Change one character in place, and put the time back."""
    before = place.stat()
    place.write_bytes(b"X" + place.read_bytes()[1:])
    as_before(place, before)


def replace(place: Path) -> None:
    """Put another file of the same size, mode and time in its place."""
    before, other = place.stat(), place.with_name("other")
    other.write_bytes(place.read_bytes()[:-1] + b"X")
    other.chmod(before.st_mode)
    as_before(other, before)
    other.rename(place)


def permit(place: Path) -> None:
    """Change whether it can be executed, and nothing else."""
    place.chmod(place.stat().st_mode ^ 0o111)


def make_old(place: Path) -> None:
    """Change its time alone."""
    os.utime(place, (1, 1))


def link(place: Path) -> None:
    """Put a link of the same size in its place."""
    size = place.stat().st_size
    place.unlink()
    place.symlink_to("x" * size)


def remove(place: Path) -> None:
    place.unlink()


EDITS = (write, replace, permit, make_old, link, remove)
HIDING = (
    (),
    ("update-index", "--assume-unchanged", *FILES),
    ("update-index", "--skip-worktree", *FILES),
    ("update-index", "--force-remove", *FILES),
    ("config", "core.trustctime", "false"),
    ("config", "core.checkStat", "minimal"),
    ("config", "core.fileMode", "false"),
    ("config", "core.ignoreStat", "true"),
    ("sparse-checkout", "set", "--no-cone", "/README"),
)


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hiding=some.sampled_from(HIDING),
    edits=some.lists(some.tuples(some.sampled_from([*FILES]), some.sampled_from(EDITS)), max_size=4),
    loses_index=some.booleans(),
)
@example(hiding=(), edits=[], loses_index=False)
@example(hiding=HIDING[1], edits=[("z.py", write)], loses_index=False)
def test_no_change_can_be_hidden(project, mirror, hiding, edits, loses_index):
    """Sizes and times that stay, and flags in the agent's own index and settings: files are compared one by one."""
    workspace = mirror.workspace("run-1", git(project, "rev-parse", "HEAD"))
    before = tree(workspace.path)
    if hiding:
        git(workspace.path, *hiding)
    for name, edit in edits:
        if (workspace.path / name).is_file():
            edit(workspace.path / name)
    if loses_index:
        (workspace.path / ".git" / "index").unlink()
    now = tree(workspace.path)
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}

    captured = workspace.capture()

    assert {*captured.files} == changed
    assert bool(captured.patch) == bool(changed)


def hide_all(directory: Path) -> None:
    (directory / "info/exclude").write_text("*\n")


def start_program(directory: Path) -> None:
    program = directory.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {directory.parent}/started\n")
    program.chmod(0o755)
    with (directory / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {program}\n")


def put_link(directory: Path) -> None:
    (directory / "config").rename(directory.parent / "config")
    (directory / "config").symlink_to(directory.parent / "config")


def take_objects_away(directory: Path) -> None:
    (directory / "objects").rename(directory.parent / "objects")
    (directory / "objects").symlink_to(directory.parent / "objects")


def leave_object(directory: Path) -> None:
    (directory / "objects/00").mkdir()


def shorten(directory: Path) -> None:
    (directory / "info/attributes").write_bytes((directory / "info/attributes").read_bytes()[:-1])


@pytest.mark.parametrize("harm", [hide_all, start_program, put_link, take_objects_away, leave_object, shorten])
def test_a_git_directory_that_is_not_as_it_was_written_is_not_taken(mirror_alone, project, harm):
    """The one by which the clones were filled captures them, unless a byte of it is another one by then."""
    workspace = mirror_alone.workspace("run-2", git(project, "rev-parse", "HEAD"))
    (directory,) = (mirror_alone.folder / "mirror.git/trusted").iterdir()
    (workspace.path / "new").write_text("new\n")
    harm(directory)

    captured = workspace.capture()
    other = mirror_alone.workspace("run-3", workspace.base)

    assert captured.files == ("new",)
    assert (other.path / "README").read_bytes() == b"one\n"
    assert {path.name for path in directory.parent.glob("*-*-*")} == {f"{directory.name}-2"}
    assert not (directory.parent / "started").exists()


def test_the_git_directory_by_which_a_clone_was_filled_captures_it(mirror_alone, project):
    """And nothing is written to it, so that it is that of the next one as well."""
    workspace = mirror_alone.workspace("run-2", git(project, "rev-parse", "HEAD"))
    (workspace.path / "new").write_text("new\n")

    assert workspace.capture().files == ("new",)
    assert mirror_alone.workspace("run-3", workspace.base).capture().files == ()
    assert len([*(mirror_alone.folder / "mirror.git/trusted").iterdir()]) == 1
