"""Pipes, folders and devices in the place of files that commands read: refused at once, and never waited for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from team_mail.mail.log.event import derived_id

from ..samples import each_once
from .test_scheduler import BIN, CLEAN, Project

FIRST = derived_id("run", "1", "ann", "1")  # anybody can know the name of a run's folder before it starts
TASKS = json.dumps({"tasks": [{"task_id": "a", "agent": "ann", "estimate": "1s"}]})


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name(f"{path.name}-elsewhere"))
    path.symlink_to(path.with_name(f"{path.name}-elsewhere"))


# Every place of a team is tried with a pipe, which a reader that does not look would wait for, and each kind somewhere:
# all of them come to `open_file`, of which tests/mail/log/test_disk.py tries every kind. The storm tries all of both.
KINDS = [pipe, folder, zeros, link_to_a_pipe]
OF_A_RUN = ["output.log", "prompt.md", "launch.json", "ended.json", "heartbeat"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    top = tmp_path / "project"
    top.mkdir()
    project = Project(top)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("commit", "--quiet", "--allow-empty", "-m", "Begin")
    (project.team / "personas").mkdir(parents=True)
    (project.team / "personas" / "ann.md").write_text("---\nid: ann\n---\nWork.\n")
    project.agent("cat > /dev/null; echo done")
    return project


def put(make: Callable[[Path], None], path: Path) -> None:
    """Put something in the place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)


READERS = [
    (".team/team.toml", "scheduler --dry-run", 2),
    (".team/team.toml", "team config", 2),
    (".team/personas/bob.md", "team personas", 1),
    ("tasks.json", "team dispatch tasks.json", 2),
    ("tasks.json", "team dispatch tasks.json --dry-run", 2),
    ("tasks.json", "team plan tasks.json", 2),
    ("ann.patch", "scheduler weave ann.patch", 2),
    ("secrets.env", "scheduler sprint --quiet", 2),
    (".team/work/leader", "scheduler sprint --quiet", 1),
]


@pytest.mark.parametrize(("place", "words", "code", "make"), each_once(READERS, KINDS, plain=True))
def test_what_stands_in_the_place_of_a_file_is_refused_at_once(project, make, place, words, code):
    """With the name of the file, and what is there instead."""
    if place == "secrets.env":
        project.agent("cat > /dev/null", 'env_file = "secrets.env"\n')
    put(make, project.folder / place)
    ended = project.run(*words.split())
    assert ended.returncode == code, ended
    said = ended.stdout + ended.stderr
    assert Path(place).name in said, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("place", "make"), each_once([".worktreeinclude", ".team/work/leader", "traces/a.json"], KINDS, plain=True)
)
def test_what_can_be_done_without_is_told_and_not_waited_for(project, make, place):
    """The commands do what they do without that file."""
    put(make, project.folder / place)
    (project.folder / "tasks.json").write_text(TASKS)
    if place == ".worktreeinclude":
        assert ".worktreeinclude of your checkout names nothing" in project.ok("scheduler", "sprint", "--dry-run")
        assert project.document("sprint")["converged"]
    elif place == "traces/a.json":
        ended = project.run("team", "dispatch", "tasks.json", "--json")  # a link there is replaced
        assert ended.returncode == (2 if make in {pipe, folder} else 0), ended
        assert ended.returncode == 0 or "traces/a.json is there already, and is no trace" in ended.stderr
    else:
        assert "nobody leads now" in project.ok("scheduler", "status")


@pytest.mark.parametrize(("name", "make"), each_once(OF_A_RUN, KINDS))
def test_what_stands_in_a_runs_folder_before_it_starts_is_not_waited_for(project, make, name):
    """It is replaced, or the run fails at once with the reason, and is tried again."""
    put(make, project.team / "runs" / FIRST / name)
    project.agent("cat > /dev/null; echo done", '[sprint]\nretry_backoff = "0s"\n')
    assert project.document("sprint")["converged"]
    (first, *_) = project.events("run.finished")
    assert first["data"]["status"] == ("failed" if make is folder else "ok"), first
    assert make is not folder or "directory" in first["data"]["detail"].lower()


@pytest.mark.parametrize(("name", "make"), each_once(OF_A_RUN, KINDS))
def test_what_a_run_puts_into_its_own_folder_holds_nobody_up(project, make, name):
    """Its scheduler was killed while it went on; status, dry run and the next sprint end, and so does the trace."""
    pipes = project.folder.with_name("pipes")
    pipes.mkdir()
    for end in ("ready", "go"):
        os.mkfifo(pipes / end)
    ready, go = (os.open(pipes / end, os.O_RDWR) for end in ("ready", "go"))
    project.agent(
        f"cat > /dev/null; [ {{attempt}} = 1 ] || exit 0; echo ready > {pipes}/ready; read line < {pipes}/go",
        '[sprint]\nretry_backoff = "0s"\n',
    )
    try:
        with project.start("scheduler", "tick") as tick:
            assert os.read(ready, 100) == b"ready\n"
            tick.send_signal(signal.SIGKILL)
            tick.communicate(timeout=60)
        put(make, project.team / "runs" / FIRST / name)
        project.ok("scheduler", "status")
        project.ok("scheduler", "--dry-run")
        os.write(go, b"go on\n")
        assert project.document("sprint")["runs"] >= 1
        project.run("team", "trace", FIRST[:13], "--output")
    finally:
        os.close(ready)
        os.close(go)


@pytest.mark.parametrize("make", KINDS)
def test_a_recorded_patch_that_is_no_file_fails_its_run(project, make):
    """And is not taken for one that was not recorded."""
    put(make, project.folder / "recorded" / "ann.patch")
    ended = project.run("scheduler", "sprint", "--replay", "recorded", "--json")
    assert ended.returncode == 4
    assert "ann.patch is no regular file" in str(project.log() or ended.stderr + ended.stdout)


@pytest.mark.parametrize(
    ("given", "command"),
    each_once(
        ["<(cat tasks.json)", "/dev/stdin < tasks.json", "- < tasks.json", "/dev/fd/3 3< tasks.json"],
        ["dispatch --dry-run", "plan"],
    ),
)
def test_what_the_shell_opened_for_a_command_is_read(project, given, command):
    """That is the user's own pipe, and not something in the place of a file."""
    (project.folder / "tasks.json").write_text(TASKS)
    line = f"exec {BIN}/team {command} {given}"
    ended = subprocess.run(
        ["bash", "-c", line], cwd=project.folder, env=CLEAN, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_patches_from_the_shells_own_pipes_are_woven(project):
    """As `git diff` prints them, without a file between."""
    (project.folder / "new.txt").write_text("new\n")
    line = f"git add -N . && exec {BIN}/scheduler weave --dry-run <(git diff -- new.txt)"
    ended = subprocess.run(
        ["bash", "-c", line], cwd=project.folder, env=CLEAN, capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended
