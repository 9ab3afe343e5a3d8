"""Runs on other hosts, with real processes: a leader, workers with homes of their own, and the log on PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from team_mail.mail.log.event import Event
from team_mail.team.api.dispatches import read_config
from team_mail.team.api.sprints import run_sprint
from team_mail.team.dispatcher import ParallelDispatcher

from ...conftest import git
from ...hosts import Hosts, hosts_of
from ...postgres import needs_postgres

pytestmark = needs_postgres

WRITE = """\
me=$TEAM_PERSONA
echo "$me works in $PWD"
if [ -e .team/run/conflict ]; then
    printf 'settled by %s\\n' "$me" > poem.txt
else
    printf 'as %s says\\n' "$me" > poem.txt
    [ "$me" = ann ] && team-mail send --to bob --type note -s "From ann" -b "Hello, bob."
fi
exit 0
"""


@pytest.fixture
def hosts(tmp_path: Path, schemas) -> Iterator[Hosts]:
    with hosts_of(tmp_path, schemas(), script=WRITE) as made:
        yield made


def test_a_sprint_whose_runs_were_on_two_hosts(hosts):
    """Two personas conflict and write to each other; neither notices that they work on different hosts."""
    hosts.worker("b", "--slots", "1")
    hosts.worker("c", "--slots", "1")
    result = run_sprint(hosts.context("a"))
    assert result.converged, hosts.said("b") + hosts.said("c")
    taken = hosts.events("run.taken")
    pids = {event.data["worker"]["pid"] for event in taken}
    assert len(taken) >= 3, "the one in conflict ran again"
    assert pids == {worker.pid for worker in hosts.workers}
    (letter,) = [e for e in hosts.events("mail.sent") if e.sender == "ann"]
    assert (letter.recipients, letter.run) == (("bob",), next(e.run for e in taken if e.run == letter.run))
    finished = {event.run: event.data["status"] for event in hosts.events("run.finished")}
    assert finished == {event.run: "ok" for event in taken}
    assert git(hosts.host("a").parent, "show", "team/sprint-1:poem.txt").startswith("settled by")
    for name in ("b", "c"):
        assert not [*(hosts.host(name).parent).glob("poem.txt.*")]
        assert git(hosts.host(name).parent, "branch", "--list", "team/*") == "", "only the leader writes refs"


def test_a_worker_is_killed_in_the_middle_of_a_dispatch(tmp_path, schemas):
    """Its runs are offered again once it is known to be gone: none is lost, and none lands twice."""
    with hosts_of(tmp_path, schemas(), script="sleep 0.3\ndate +%N > file-$TEAM_RUN.txt\n", personas=("ann",)) as hosts:
        hosts.host("a")
        hosts.server.set_value("lease_seconds", "1")
        first, _ = hosts.worker("b", "--slots", "4"), hosts.worker("c", "--slots", "4")
        dispatcher = ParallelDispatcher(
            read_config({"max_workers": 8, "trace_dir": str(tmp_path)}), home=hosts.host("a")
        )
        with ThreadPoolExecutor(1) as threads:
            tasks = [{"task_id": f"t{number}", "agent": "ann", "description": "Write."} for number in range(20)]
            dispatch = threads.submit(dispatcher.dispatch, tasks)
            hosts.until(lambda events: sum(holds(e, first) for e in events) >= 2 and events[-1].kind == "run.returned")
            first.send_signal(signal.SIGKILL)
            killed = time.time()
            done = dispatch.result(120)
        assert {result.status for result in done.results} == {"success"}
        taken = {(e.run, e.data["epoch"]): e.data["worker"]["pid"] for e in hosts.events("run.taken")}
        returned = {(e.run, e.data["epoch"]) for e in hosts.events("run.returned")}
        lost = {each for each, pid in taken.items() if pid == first.pid} - returned
        assert lost, "it had runs when it was killed"
        again = [e for e in hosts.events("run.offered") if e.data["epoch"] == 2]
        assert {e.run for e in again} == {run for run, _ in lost}
        landed = [e.ref for e in hosts.events("patch.landed")]
        assert len(landed) == len({*landed}) == 20
        finished = [e.run for e in hosts.events("run.finished")]
        assert len(finished) == len({*finished}) == 20
        late = max(datetime.fromisoformat(e.ts).timestamp() for e in again) - killed
        print(f"offered again {late:.2f} s after the kill")
        assert late < 1 + 3, "a second until it counts as gone, and three from then on"
        assert not left_of(hosts.host("b"))


def holds(event: Event, worker: subprocess.Popen[str]) -> bool:
    return event.kind == "run.taken" and event.data["worker"]["pid"] == worker.pid


def left_of(home: Path) -> list[list[str]]:
    """Return the commands of the processes that a home's runs have."""
    commands = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    return [words for words in commands if "keeper" in words and str(home) in words]
