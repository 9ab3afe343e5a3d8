"""Two hosts of one team, each with a clone and a folder of its own, and the log on a server: who leads, and how long.

Both are on this machine, but nothing of one is looked at by the other: neither its folder nor its processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ..console import Piped
from ..postgres import needs_postgres
from ..waiting import until_there
from . import test_scheduler
from .test_scheduler import Project, project

__all__ = ["project"]
pytestmark = needs_postgres
# Works where the file `go` is, and does not come to an end where it is not.
WORKING = "cat > /dev/null; if [ -e {go} ]; then echo $TEAM_PERSONA >> here.txt; else echo $$ >> {pids}; sleep 300; fi"
LEASE = 2.0  # seconds


class Told:
    """A scheduler and what it has said so far."""

    def __init__(self, project: Project) -> None:
        self.process: Piped = project.start("scheduler", "run")
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read, args=[file]) for file in (self.process.stdout, self.process.stderr)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, file) -> None:
        for line in file:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def says(self, text: str, seconds: float = 30) -> float:
        """Wait for a line, and return when it came."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(text in line for line in self.lines), seconds), self.lines
        return time.monotonic()

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        self.process.wait(30)
        for thread in self._threads:
            thread.join()


class Cluster:
    """Two hosts and their server. `log` reads what was written, from a third place."""

    def __init__(self, one: Project, two: Project, log) -> None:
        self.one, self.two, self.log = one, two, log
        self.go, self.pids = one.folder.parent / "go", one.folder.parent / "pids"

    def until(self, *kinds: str, after: int = 0) -> int:
        """Wait for an event, and return its seq."""
        stop = threading.Event()
        patience = threading.Timer(40, stop.set)
        patience.start()
        try:
            return next(event.seq for event in self.log.follow(after, stop) if event.kind in kinds)
        finally:
            patience.cancel()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.log.read()]

    def agents(self) -> list[psutil.Process]:
        """Return the agents that began and do not come to an end by themselves."""
        pids = [int(pid) for pid in self.pids.read_text().split()] if self.pids.exists() else []
        return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


@pytest.fixture
def cluster(project: Project, schemas, monkeypatch, tmp_path: Path) -> Cluster:
    from team_mail.mail.remote.postgres import PostgresLog

    server = schemas()
    server.set_value("lease_seconds", str(LEASE))
    for environ in (test_scheduler.CLEAN, os.environ):
        monkeypatch.setitem(environ, "TEAM_LOG_URL", server.address.url)
        monkeypatch.setitem(environ, "TEAM_LOG_NAME", server.address.schema)
    two = Project(tmp_path / "two")
    made = Cluster(project, two, PostgresLog(tmp_path / "third" / "mail", server))
    project.agent(WORKING.format(go=made.go, pids=made.pids), '[sprint]\nevery = "1d"\n')
    (project.team / "personas" / "bob.md").unlink()
    (project.team / "personas" / "cyd.md").unlink()
    project.git("clone", "--quiet", str(project.folder), str(two.folder))
    shutil.copytree(project.team, two.team)
    return made


@contextmanager
def schedulers(cluster: Cluster) -> Iterator[tuple[Told, Told]]:
    """Let the first host lead and work, and the second stand by."""
    started: list[Told] = []
    try:
        started.append(Told(cluster.one))
        until_there(cluster.pids, lambda: started[0].process.poll() is None)
        started.append(Told(cluster.two))
        started[1].says(f"{cluster.one.team} leads this team; this one stands by")
        yield started[0], started[1]
    finally:
        for each in started:
            each.end()


def test_another_host_takes_over_when_the_leader_is_killed(cluster):
    """A run that works there is never lost; once its supervisor is gone it is begun anew, and the work lands."""
    with schedulers(cluster) as (one, _):
        silent = time.monotonic() + 1.5 * LEASE
        while time.monotonic() < silent:
            assert cluster.two.document("status")["runs"][0]["status"] == "open"
        assert "run.lost" not in cluster.kinds()
        cluster.go.touch()
        one.end(signal.SIGKILL)
        killed, seen = time.monotonic(), cluster.log.head().seq
        cluster.until("run.lost", after=seen)
        assert time.monotonic() - killed < 10
        cluster.until("sprint.finished")
        again = Told(cluster.one)
        try:
            again.says(f"{cluster.two.team} leads this team; this one stands by")
        finally:
            again.end()
    assert cluster.two.git("show", "team/sprint-1:here.txt") == "ann"
    kinds = [kind for kind in cluster.kinds() if kind.startswith(("run.", "patch.", "sprint."))]
    assert kinds == [
        "sprint.started", "run.started", "run.lost", "run.started", "patch.captured", "run.finished", "patch.landed",
        "sprint.finished",
    ]  # fmt: skip


def test_a_leader_that_ends_hands_over_at_once(cluster):
    """It does not let the others wait until its lease is over; what it left is ended where it comes back."""
    with schedulers(cluster) as (one, two):
        cluster.go.touch()
        one.end()
        ended = time.monotonic()
        assert two.says("leading") - ended < LEASE
        assert "ended; ann goes on" in "".join(one.lines)
        cluster.until("sprint.finished")
        (left,) = cluster.agents()
        again = Told(cluster.one)
        try:
            again.says(f"{cluster.two.team} leads this team; this one stands by")
            left.wait(20)
        finally:
            again.end()


def test_a_leader_that_was_cut_off_ends_its_runs_and_writes_nothing(cluster):
    """It does not know that time has passed, and another host has begun its work anew."""
    with schedulers(cluster) as (one, two):
        (agent,) = cluster.agents()
        one.process.send_signal(signal.SIGSTOP)
        cluster.go.touch()
        seen = cluster.until("sprint.finished")
        assert agent.is_running()
        one.process.send_signal(signal.SIGCONT)
        one.says("leads now: the runs here are ended, and nothing more is written")
        one.says(f"{cluster.two.team} leads this team; this one stands by")
        agent.wait(20)
        assert two.process.poll() is None
        assert "run.finished" not in [event.kind for event in cluster.log.read(seen)]
    assert cluster.kinds().count("run.lost") == cluster.kinds().count("run.finished") == 1
