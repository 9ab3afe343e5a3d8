"""The set-up of workspaces by the command `scheduler`: real processes, and what a person sees of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from .test_scheduler import BIN, CLEAN, NAMES, Project, commands, project

__all__ = ["project"]


def setting(project: Project, setup: str, more: str = "", script: str = "cat > /dev/null; true") -> None:
    project.agent(script, f'{more}[sprint]\nretry_backoff = "0s"\n[workspace]\n{setup}\n')


def shell(script: str) -> str:
    return f"setup = {json.dumps(['sh', '-c', script])}"


def test_a_person_sees_the_last_lines_of_a_setup_that_failed(project):
    """Once, although three personas fail alike; the exit code says that the sprint did not converge."""
    setting(project, shell("echo fetching; echo no route to the registry >&2; exit 5"))
    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 4
    assert ended.stderr.count("  | no route to the registry\n") == 1
    assert "set-up failed: sh -c" in ended.stderr
    (mail,) = json.loads(project.ok("team-mail", "inbox", "--json", "--persona", "you"))[:1]
    assert "did not converge" in mail["subject"]
    run = project.events("run.finished")[0]["run"]
    shown = project.ok("team", "trace", run)
    assert "set-up" in shown
    assert "setup in 0" in shown
    assert "  no route to the registry" in shown
    assert json.loads(project.ok("team", "trace", run, "--json"))["workspace"]["exit"] == 5


def test_agents_and_setups_have_slots_and_ports_in_words_and_variables(project):
    """Placeholders and variables say the same, for all three runs at once."""
    script = "cat > /dev/null; cat was > {persona}.txt; echo {slot} {port} $TEAM_SLOT $TEAM_PORT >> {persona}.txt"
    setting(project, "port = 46000\n" + shell("echo {slot} {port} $TEAM_SLOT $TEAM_PORT > was"), script=script)
    project.ok("scheduler", "sprint")

    rows = [project.git("show", f"team/sprint-1:{name}.txt").splitlines() for name in NAMES]
    assert all(of_setup == of_agent for of_setup, of_agent in rows)
    words = [row[0].split() for row in rows]
    assert all(row[:2] == row[2:] for row in words)
    assert {row[0] for row in words} <= {"0", "1", "2"}
    assert all(int(row[1]) >= 46_000 for row in words)


def test_a_dry_run_and_a_start_tell_what_is_not_copied(project):
    """In one line each; the run goes on without it."""
    (project.folder / ".env").write_text("KEY=1\n")
    setting(project, 'copy = [".env", "gone"]\n' + shell("true"))

    shown = project.ok("scheduler", "--dry-run")
    assert "each workspace gets:\n  copy: .env\n  run: sh -c true\n  note: copy 'gone' names no file" in shown
    assert project.document("--dry-run")["setup"]["copy"] == [".env"]
    ended = project.run("scheduler", "sprint")
    assert ended.returncode == 0, ended.stderr
    assert "note: copy 'gone' names no file of your checkout\n" in ended.stderr


def test_a_dry_run_names_a_place_where_no_workspaces_can_be(project):
    """As the start does, and in the words of the start."""
    setting(project, f'root = "{project.folder}/runs"')
    assert "would lie in the checkout" in project.ok("scheduler", "--dry-run", code=2)
    assert "would lie in the checkout" in project.refused("sprint")
    tasks = project.folder / "tasks.json"
    tasks.write_text('{"tasks": [{"task_id": "a", "agent": "ann", "description": "x", "input_data": {}}]}')
    ended = project.run("team", "dispatch", str(tasks), "--dry-run")
    assert ended.returncode == 2
    assert "would lie in the checkout" in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only there a keeper finds its descendants")
def test_a_setup_ends_with_its_scheduler(project, tmp_path):
    """After kill -9 nothing of it lives, and the next command sets up anew and converges."""
    once = f"if mkdir {tmp_path}/once; then setsid sleep 4823 & echo begun > {tmp_path}/begun; wait; fi"
    setting(project, shell(f"exec 2> /dev/null; {once}; true"))
    os.mkfifo(tmp_path / "begun")
    scheduler = subprocess.Popen(
        [BIN / "scheduler", "sprint", "--set", "sprint.max_parallel=1"],
        cwd=project.folder, env=CLEAN, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert (tmp_path / "begun").read_text() == "begun\n"
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()

    project.ok("scheduler", "sprint")

    assert commands("sleep 4823") == []
    assert [event["data"]["why"] for event in project.events("run.lost")] == ["its scheduler is gone"]
    assert {event["data"]["status"] for event in project.events("run.finished")} == {"ok"}
