"""The clean-up after a crash: the processes of given runs are ended, and no others."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest
from team_mail.personas.running.sweep import ask_to_end, sweep

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
DRIVER = """
import sys
from pathlib import Path
from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
home, run, script = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
job = Job(run, "bob", 1, 1, "", home / "work", home / "runs" / run, home, 60.0)
CommandAgent("a", ("sh", "-c", script)).play(job)
"""


@contextmanager
def driven(job, tmp_path, script):
    """Start a scheduler process that runs the script; yield it once the agent has opened `lives`."""
    os.mkfifo(tmp_path / "lives")
    words = [sys.executable, "-c", DRIVER, str(tmp_path), job.run, f"exec 9> ../lives; {script}"]
    with subprocess.Popen(words) as scheduler, (tmp_path / "lives").open() as lives:
        try:
            assert lives.readline() == "ready\n"
            yield scheduler, lives
        finally:
            scheduler.kill()


@LINUX
def test_runs_end_when_their_scheduler_is_killed(job, survivors, tmp_path):
    """After kill -9 of the scheduler its keepers end every process of its runs, even detached ones (T14)."""
    this = job()
    script = "(setsid env -i sh -c '(setsid sleep 60 &); sleep 60' &); echo ready >&9; exec sleep 60"
    with driven(this, tmp_path, script) as (scheduler, lives):
        keeper = int((this.folder / "heartbeat").read_text().split()[0])
        tree, ended = psutil.Process(keeper).children(recursive=True), os.pidfd_open(keeper)
        scheduler.kill()
        began = time.monotonic()
        assert lives.read() == ""  # end of file: the last process that had it open is gone
        took = time.monotonic() - began
        assert select.select([ended], [], [], 5)[0]
        os.close(ended)
    assert not survivors(this.run)
    print(f"scheduler killed: {len(tree)} processes gone after {took:.2f} s, 0 left")


@LINUX
def test_a_sweep_ends_a_run_whose_keeper_was_stopped(job, survivors, tmp_path):
    """A keeper under SIGSTOP cannot end its run, so the sweep ends both; other runs are left alone,
    also those of another team, which counts its runs alike.
    """
    this = job()
    with driven(this, tmp_path, "trap '' TERM; echo ready >&9; while :; do sleep 0.1; done") as (scheduler, lives):
        keeper = int((this.folder / "heartbeat").read_text().split()[0])
        os.kill(keeper, signal.SIGSTOP)
        scheduler.kill()
        assert sweep(["another"], tmp_path) == 0
        assert sweep([this.run], tmp_path / "of-another-team") == 0
        swept = sweep([this.run, "another"], tmp_path)
        assert lives.read() == ""
    assert swept >= 2
    assert not survivors(this.run)
    assert sweep([this.run], tmp_path) == 0
    print(f"swept up {swept} processes, 0 left")


@LINUX
def test_a_sweep_resumes_a_stopped_keeper_to_end_what_only_it_can_find(job, survivors, tmp_path):
    """A detached process without TEAM_RUN is ended by its keeper, which handles no signal until SIGCONT."""
    this = job()
    script = f"(setsid env -i sh -c 'sleep 60; :' {this.run} &); echo ready >&9; exec sleep 60"
    with driven(this, tmp_path, script) as (scheduler, _):
        keeper = psutil.Process(int((this.folder / "heartbeat").read_text().split()[0]))
        keeper.suspend()
        scheduler.kill()
        scheduler.wait()

        sweep([this.run], tmp_path)

        left = survivors(this.run)
        for process in left:
            process.kill()
    assert not left
    assert json.loads((this.folder / "ended.json").read_text())["reason"] == "stopped"


@LINUX
@pytest.mark.parametrize("named", ["keeper", "keeper {run}", "keeper {run} {home}", "keeper x y"])
def test_a_process_that_calls_itself_a_keeper_is_ended_like_any_other(job, survivors, tmp_path, named):
    """A name keeps no process from being found, and none that is no keeper's command stops the search."""
    this = job()
    words = [word.format(run=this.run, home=tmp_path) for word in named.split()]
    marks = {**os.environ, "TEAM_RUN": this.run, "TEAM_HOME": str(tmp_path)}
    words = ["sh", "-c", "while :; do sleep 60; done", "x/keeping/start.py", *words]
    with subprocess.Popen(words, env=marks) as process:
        try:
            assert ask_to_end(this.run, tmp_path) == ("{home}" in named)
            sweep([this.run], tmp_path)
            assert process.wait(10) in {-signal.SIGKILL, -signal.SIGTERM}
        finally:
            process.kill()
    assert not survivors(this.run)
