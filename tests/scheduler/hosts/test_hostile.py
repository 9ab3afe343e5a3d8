"""What a host with the login of a worker puts where leader and workers look: nobody is stopped or held up by it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.remote import beats
from team_mail.mail.remote.beside import Beside
from team_mail.scheduler.hosts.hints import Hints
from team_mail.scheduler.hosts.live import Heard
from team_mail.scheduler.hosts.offers import offer_of
from team_mail.scheduler.hosts.queue import install
from team_mail.team.api.sprints import run_sprint

from ...postgres import logins, needs_postgres, remote_log

OFFERED = {
    "persona": "ada", "epoch": 1, "base": "", "agent": "shell", "labels": [], "priority": "normal", "timeout": 60.0,
    "job": "", "bundle": "",
}  # fmt: skip
OFFER = offer_of("run-1", OFFERED)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def log(request, tmp_path):
    log = remote_log(request, tmp_path / "mail")
    beside = log.beside()
    install(beside)
    yield log
    beside.rows(f"DROP SCHEMA {beside.schema} CASCADE", {})
    beside.close()


@pytest.fixture
def worker(log, postgres) -> Iterator[Beside]:
    """The tables of the queue, as somebody with the login of a worker has them."""
    with logins(postgres, log.server) as login:
        beside = Beside(login("worker").address)
        yield beside
        beside.close()


@needs_postgres
@pytest.mark.parametrize(
    "args", [{"run": "run-1"}, {"run": "run-1", "epoch": "x"}, {"run": [], "epoch": {}}, {"epoch": 10**30}, {}]
)
def test_a_row_of_no_form_leads_to_nothing(log, worker, clock, args):
    """It is taken away by whoever meets it, and what is right is found."""
    told = []
    leader, other = (Hints(log, clock, told.append) for _ in range(2))
    insert = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args) VALUES ('shell', 'run', 99, %(args)s)"
    )
    for document in (args, args, args):
        worker.rows(insert, {"args": document})
    leader.give(OFFER)
    for _ in range(4):
        hint = other.next(["shell"], [])
        assert hint
        if hint[:2] == ("run-1", 1):
            break
    else:
        raise AssertionError(told)
    worker.rows(insert, {"args": args})
    clock.sleep(5)
    leader.tend(lambda: [OFFER])
    assert told == []
    (left,) = worker.rows("SELECT count(*) AS left FROM procrastinate_jobs", {})
    assert left["left"] == 1
    for each in (leader, other):
        each.leave()


@needs_postgres
def test_whoever_locks_the_queue_holds_up_nobody(log, worker, clock):
    """Leader and workers do without it after a moment, and look in the log."""
    told, locked, free = [], threading.Event(), threading.Event()
    hints = Hints(log, clock, told.append)

    def lock() -> None:
        def hold(connection) -> None:
            with connection.transaction():
                connection.execute("LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE")
                locked.set()
                free.wait(60)

        worker._server.run(hold)

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(20)
    try:
        began = time.monotonic()
        hints.give(OFFER)
        hints.next(["shell"], [])
        clock.sleep(5)
        hints.tend(lambda: [OFFER])
        assert time.monotonic() - began < 8
        assert len(told) == 1
        assert not hints.are_given
    finally:
        free.set()
        thread.join()
    clock.sleep(60)
    hints.give(OFFER)
    assert hints.are_given
    hints.leave()


@pytest.mark.parametrize(
    "said",
    [
        "[" * 7000, '{"run":"r","epoch":' + "[" * 7000, '{"run":"r","epoch":1e999}', '{"run":"r","epoch":NaN}',
        '{"run":"r","epoch":1,"at":1e999}', '{"run":"r","epoch":1,"output":7}',
        '{"run":"r","epoch":1,"output":"\\u00e9"}', '{"run":"r","epoch":1,"usage":{"input":1e999,"usd":NaN}}',
        '{"run":"../r","epoch":1,"output":"eA=="}',
        '{"run":"r","epoch":' + "9" * 5000 + "}", '{"run":"\\u0000","epoch":1}', '{"run":"\\ud800","epoch":1}',
    ],
)  # fmt: skip
def test_whatever_is_said_the_next_word_is_heard(tmp_path, said):
    """Every login of the database can notify."""
    used = []
    heard = Heard(tmp_path, "here", lambda run: 1 if run == "r" else None, lambda run, usage: used.append(usage.input))

    class Words:
        def hear(self, stop):
            yield said
            yield json.dumps({"run": "r", "epoch": 1, "usage": {"input": 5}})
            stop.wait(20)

    end = heard.listen(Words())
    until = time.monotonic() + 20
    while used != [5] and time.monotonic() < until:
        time.sleep(0.01)
    end()
    assert used == [5]
    assert [each.name for each in tmp_path.rglob("*") if each.is_dir()] == ["runs", "r"]


@needs_postgres
def test_a_sprint_that_loses_the_lead_says_so(team, schemas, monkeypatch):
    """It has not ended, whatever its runs came to; who started it learns what to do."""
    url, schema = (server := schemas()).address
    monkeypatch.setattr(beats, "FENCE", 0.1)  # of each two beats the later one is too late
    scripts = {"ann": lambda job: job.stop.wait(20)}
    context = team.context(scripts, f'[log]\nurl = "{url}"\nname = "{schema}"\n')
    with pytest.raises(LogUnavailable, match="the runs here were ended, and the next scheduler that leads goes on"):
        run_sprint(context)
    monkeypatch.undo()
    assert server.lease().rest < 0
    assert [run for run in context.state().runs if run.status == "open"] == []
