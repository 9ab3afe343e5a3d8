"""Files of diagnostics: one writer each, and no line lost, whoever writes, rotates, forks or is killed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from team_mail.scheduler.settings.notify import LoggingSettings
from team_mail.team.diagnostics.diagnostics import Diagnostics, Wanted

WRITER = Path(__file__).with_name("writer.py")


def write(folder, name, lines, size, keep):
    words = [sys.executable, WRITER, folder, name, *map(str, (lines, size, keep))]
    return subprocess.Popen(words)


def read(folder):
    """Every line of all files, by process; each is JSON."""
    found = {}
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            document = json.loads(line)
            found.setdefault((document["program"], document["pid"]), []).append(document["msg"])
    return found


def diagnostics(folder, rotate=1 << 20, keep=5, **wanted):
    settings = LoggingSettings(file=str(folder / "logs" / "{program}-{pid}.jsonl"), keep=keep)
    return Diagnostics("scheduler", settings.model_copy(update={"rotate": rotate}), Wanted(**wanted))


def rotate_in_several_processes(folder, processes, lines, size):
    """Return how many rotations there were; every line is there once, in one file, in order."""
    writers = [write(folder, "scheduler", lines, size, 10**6) for _ in range(processes)]
    assert [writer.wait() for writer in writers] == [0] * processes
    found = read(folder)
    assert len(found) == processes
    for messages in found.values():
        assert sorted(messages, key=lambda text: int(text.split()[1])) == [f"line {n}" for n in range(lines)]
    return len([*folder.iterdir()]) - processes


def test_no_line_is_lost_when_two_processes_rotate(tmp_path):
    assert rotate_in_several_processes(tmp_path, 2, 400, 1_500) >= 40


@pytest.mark.storm
def test_no_line_is_lost_in_a_thousand_rotations_by_four_processes(tmp_path):
    rotations = rotate_in_several_processes(tmp_path, 4, 25_000, 12_000)
    print(f"{rotations} rotations, {4 * 25_000} lines, 0 lost")
    assert rotations >= 1_000


def test_a_killed_process_has_written_all_that_it_was_told(tmp_path):
    """Its last line is whole, and the next process of this program removes what is too old."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with diagnostics(tmp_path) as mine:
            mine.write(logging.INFO, "the last words")
            os.write(writer, b"1")
            signal.pause()
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert read(tmp_path / "logs") == {("scheduler", child): ["the last words"]}


def test_a_fork_writes_a_file_of_its_own(tmp_path):
    with diagnostics(tmp_path) as mine:
        mine.write(logging.INFO, "before")
        if (child := os.fork()) == 0:
            mine.write(logging.INFO, "in the child")
            os._exit(0)
        os.waitpid(child, 0)
        mine.write(logging.INFO, "after")
    assert read(tmp_path / "logs") == {
        ("scheduler", os.getpid()): ["before", "after"], ("scheduler", child): ["in the child"],
    }  # fmt: skip


def test_two_processes_of_one_id_get_a_file_each(tmp_path):
    """As in two containers that share the folder."""
    with diagnostics(tmp_path) as one, diagnostics(tmp_path) as other:
        one.write(logging.INFO, "one")
        assert {path.name for path in (tmp_path / "logs").iterdir()} == {
            f"scheduler-{os.getpid()}.jsonl", f"scheduler-{os.getpid()}-2.jsonl",
        }  # fmt: skip
        other.write(logging.INFO, "other")


def test_the_last_files_stay_and_those_in_use(tmp_path):
    """Of this program alone, and nothing that only looks like it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    others = ["team-1.jsonl", "scheduler-1.jsonl.bak", "scheduler-x.jsonl", "notes"]
    for number, name in enumerate([*others, "scheduler-2.jsonl", "scheduler-1.jsonl.000007", "scheduler-1.jsonl"]):
        (logs / name).write_text("{}\n")
        os.utime(logs / name, (number, number))
    with diagnostics(tmp_path, keep=2) as mine:
        mine.write(logging.INFO, "hello")
    kept = {"scheduler-1.jsonl.000007", "scheduler-1.jsonl", f"scheduler-{os.getpid()}.jsonl"}
    assert {path.name for path in logs.iterdir()} == {*others, *kept}


def test_a_folder_that_cannot_be_written_ends_no_command(tmp_path, capsys):
    (tmp_path / "logs").write_text("a file")
    with diagnostics(tmp_path) as mine:
        mine.write(logging.INFO, "one")
        mine.write(logging.INFO, "two")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scheduler: diagnostics are lost: ")
