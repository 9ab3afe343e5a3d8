"""Runs on other hosts, with real processes: a leader, workers with homes of their own, and the log on PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from team_mail.mail.errors import LedElsewhere
from team_mail.mail.log.event import Event
from team_mail.scheduler.context import Context
from team_mail.scheduler.sprint.control import stop_run
from team_mail.scheduler.state.projections import HANDED
from team_mail.team.api.dispatches import read_config
from team_mail.team.api.sprints import run_sprint
from team_mail.team.api.traces import output_of
from team_mail.team.dispatcher import ParallelDispatcher

from ...conftest import git
from ...hosts import Hosts, hosts_of
from ...postgres import logins, needs_postgres
from ...waiting import until_there

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
def hosts(tmp_path: Path, schemas, postgres) -> Iterator[Hosts]:
    """Hosts with a login each, as the guide says: one that may lead, and others that write for the runs they hold."""
    server = schemas()
    with logins(postgres, server) as login, hosts_of(tmp_path, server, script=WRITE, login=login) as made:
        yield made


def test_a_sprint_whose_runs_were_on_two_hosts(hosts):
    """Two personas conflict and write to each other; neither notices that they work on different hosts."""
    hosts.worker("b", "--slots", "1")
    hosts.worker("c", "--slots", "1")
    hosts.until_there()
    result = run_sprint(hosts.context("a"))
    assert result.converged, hosts.said("b") + hosts.said("c")
    fields = {event.kind: {*event.data} for event in hosts.events(*HANDED)}
    assert fields == {
        "run.offered": {"persona", "epoch", "agent", "labels", "priority", "timeout", "base", "job", "bundle"},
        "run.taken": {"epoch", "worker"},
        "run.returned": {"epoch", "worker", "result", "why"},
    }, "as docs/sprint.md has them"
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
    with hosts_of(tmp_path, schemas(), script="sleep 1\ndate +%N > file-$TEAM_RUN.txt\n", personas=("ann",)) as hosts:
        hosts.host("a")
        hosts.server.set_value("lease_seconds", "1")
        first, _ = hosts.worker("b", "--slots", "4"), hosts.worker("c", "--slots", "4")
        dispatcher = ParallelDispatcher(
            read_config({"max_workers": 8, "trace_dir": str(tmp_path)}), home=hosts.host("a")
        )
        with ThreadPoolExecutor(1) as threads:
            tasks = [{"task_id": f"t{number}", "agent": "ann", "description": "Write."} for number in range(20)]
            dispatch = threads.submit(dispatcher.dispatch, tasks)
            hosts.until(lambda events: holds(events[-1], first) and any(e.kind == "run.returned" for e in events))
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


def test_a_run_is_seen_and_ended_where_it_is(tmp_path, schemas):
    """What it prints shows while it goes on; a person's stop, and the end of its scheduler, end it within a second."""
    script = f'echo "$TEAM_PERSONA has begun"\necho $$ > {tmp_path}/$TEAM_PERSONA.pid\nexec sleep 100\n'
    with hosts_of(tmp_path, schemas(), script=script) as hosts, ThreadPoolExecutor(1) as threads:
        context, ends = hosts.context("a"), []

        @contextmanager
        def interrupts(end):
            ends.append(end)
            yield [signal.SIGTERM]

        hosts.worker("b", "--slots", "2")
        sprint = threads.submit(run_sprint, context, interrupts=interrupts)
        for name in ("ann", "bob"):
            until_there(tmp_path / f"{name}.pid", lambda: not sprint.done())
        started = {event.data["persona"]: event.run for event in hosts.events("run.started")}
        output = context.home / "runs" / started["ann"] / "output.log"
        until(lambda: output.exists() and output.read_text() == "ann has begun\n")
        assert output_of(context, started["ann"]) == b"ann has begun\n"
        assert seconds_until_gone(tmp_path / "ann.pid", lambda: stop_run(context, "ann", "you")) < 1
        hosts.until(lambda events: (events[-1].kind, events[-1].run) == ("run.finished", started["ann"]))
        assert seconds_until_gone(tmp_path / "bob.pid", ends[0]) < 1
        assert sprint.result(120).interrupted
        (finished,) = (event.data["status"] for event in hosts.events("run.finished"))
        assert finished == "stopped"
        assert {event.run: event.data["orderly"] for event in hosts.events("run.lost")} == {started["bob"]: True}


def test_another_host_goes_on_with_what_a_killed_leader_had_offered(tmp_path, schemas):
    """Its runs went on meanwhile: nobody begins them anew, and what they changed lands once."""
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done\necho $TEAM_PERSONA > $TEAM_PERSONA.txt\n"
    with hosts_of(tmp_path, schemas(), script=script) as hosts:
        hosts.host("a")
        hosts.server.set_value("lease_seconds", "1")
        hosts.worker("b", "--slots", "2")
        leader = hosts.start("a", "sprint", program="scheduler")
        hosts.until(lambda events: [event.kind for event in events].count("run.taken") == 2)
        leader.kill()
        killed, context = time.monotonic(), hosts.context("c")
        until(lambda: leads(context))
        took = time.monotonic() - killed
        print(f"another host leads {took:.2f} s after the kill")
        (tmp_path / "go").touch()
        assert run_sprint(context).converged
        assert [event.data["epoch"] for event in hosts.events("run.offered")] == [1, 1]
        assert len(hosts.events("run.taken")) == len(hosts.events("run.finished")) == 2
        assert not hosts.events("run.lost")
        landed = [event.ref for event in hosts.events("patch.landed")]
        assert sorted(landed) == sorted(event.run for event in hosts.events("run.finished"))


def leads(context: Context) -> bool:
    with suppress(LedElsewhere):
        context.mailbox.log.lead()
        return True
    return False


def test_a_worker_is_drained_and_one_that_was_killed_gives_back_what_it_had(tmp_path, schemas):
    """The first SIGTERM lets a run come to its end; after SIGKILL nothing is left, and the next one says so at once."""
    script = (
        f"echo $$ > {tmp_path}/$TEAM_PERSONA.pid\nuntil [ -e {tmp_path}/go ]; do sleep 0.05; done\necho 1 > 1.txt\n"
    )
    with hosts_of(tmp_path, schemas(), script=script, personas=("ann",)) as hosts, ThreadPoolExecutor(1) as threads:
        sprint = threads.submit(run_sprint, hosts.context("a"))
        killed = hosts.worker("b")
        until_there(tmp_path / "ann.pid", lambda: not sprint.done())
        assert seconds_until_gone(tmp_path / "ann.pid", killed.kill) < 1
        drained = hosts.worker("b")
        events = hosts.until(lambda events: [event.kind for event in events].count("run.taken") == 2)
        (back,) = (event.data for event in events if event.kind == "run.returned")
        assert (back["why"], back["result"], back["worker"]["pid"]) == ("its worker was killed", "", killed.pid)
        drained.send_signal(signal.SIGTERM)
        until(lambda: "no more runs are taken; waiting for 1" in hosts.said("b"))
        (tmp_path / "go").touch()
        assert sprint.result(120).converged
        assert drained.wait(60) == 130
        assert "1 returned" in hosts.said("b")
        assert not hosts.context("b").mirror.clones


def test_a_job_that_is_lost_doubled_or_late_does_no_harm(tmp_path, schemas):
    """The log decides which run is taken, and by whom; the queue only says where to look."""
    with hosts_of(tmp_path, schemas(), script="date +%N > $TEAM_PERSONA.txt\n", personas=("ann", "bob")) as hosts:
        context = hosts.context("a")
        beside = context.mailbox.log.beside()
        with ThreadPoolExecutor(1) as threads:
            sprint = threads.submit(run_sprint, context)
            hosts.until(lambda events: [event.kind for event in events].count("run.offered") == 2)
            jobs = beside.rows("SELECT id, queue_name, args FROM procrastinate_jobs ORDER BY id", {})
            assert [job["queue_name"] for job in jobs] == ["shell", "shell"]
            beside.rows("DELETE FROM procrastinate_jobs WHERE id = %(id)s", {"id": jobs[0]["id"]})
            put = "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES ('shell', 'run', %(args)s)"
            for args in (jobs[1]["args"], jobs[1]["args"], {"run": "d" * 36, "epoch": 1}, {"run": "", "epoch": 7}):
                beside.rows(put, {"args": args})
            hosts.worker("b", "--slots", "2")
            hosts.worker("c", "--slots", "2")
            assert sprint.result(120).converged
        assert len(hosts.events("run.taken")) == len(hosts.events("run.finished")) == 2
        assert [event.data["epoch"] for event in hosts.events("run.offered")] == [1, 1]
        run = jobs[0]["args"]["run"]
        beside.rows(put, {"args": {"run": run, "epoch": 1}})
        until(lambda: not beside.rows("SELECT id FROM procrastinate_jobs", {}))
        assert len(hosts.events("run.taken")) == 2, "a run that is over is not run again"
        beside.close()


def seconds_until_gone(file: Path, act: Callable[[], object]) -> float:
    """Return how long the process whose number is in a file lives on once something was done; the file is removed."""
    pid = int(file.read_text())
    file.unlink()
    began = time.monotonic()
    act()
    until(lambda: not psutil.pid_exists(pid))
    return time.monotonic() - began


def until(is_so: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for what nothing tells of: files and processes of other hosts, and leases."""
    due = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < due, "it never was so"
        time.sleep(0.02)
