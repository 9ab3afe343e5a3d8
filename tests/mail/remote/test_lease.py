"""The lead of a team on a server: one folder has it, for a time by the server's clock; others see who is there."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from team_mail.mail.errors import LedElsewhere, LogUnavailable
from team_mail.mail.log.event import Draft
from team_mail.mail.process import myself

from ...postgres import QUICK, is_installed, logins, needs_postgres, remote_log, running

if is_installed():
    from team_mail.mail.remote import beats
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.postgres import PostgresLog

pytestmark = needs_postgres
STARTED, LOST = Draft("run.started", "scheduler"), Draft("run.lost", "scheduler")


@pytest.fixture
def hosts(request, tmp_path):
    """Two hosts of a team, as far as the server can tell: each has a folder and connections of its own.

    A lease lasts a second.
    """
    one = remote_log(request, tmp_path / "a" / "mail")
    one.server.set_value("lease_seconds", "1")
    server = Server(one.server.address)
    yield one, PostgresLog(tmp_path / "b" / "mail", server)
    server.close()


@pytest.fixture
def login(hosts, postgres):
    """Return servers that are logged in with one of the roles of the team."""
    with logins(postgres, hosts[0].server) as make:
        yield make


def until(holds, seconds=20.0):
    """Wait until something holds."""
    import time

    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def leads(log) -> bool:
    try:
        log.lead()
    except LedElsewhere:
        return False
    return True


def test_the_lead_is_kept_while_it_is_renewed_and_given_back_at_once(hosts):
    """A beat keeps it longer than a lease lasts, also while nothing is appended."""
    one, two = hosts
    with one.beat(myself(), {"is": "scheduler"}, leads=True) as beat:
        with pytest.raises(LedElsewhere, match=r"led from .*/a"):
            two.lead()
        (seen,) = two.presences()
        until(lambda: two.presences()[0].age > 2.5)
        assert not leads(two)
        assert not beat.lost.is_set()
        assert (seen.process, seen.what, seen.epoch) == (myself(), {"is": "scheduler"}, 1)
    assert two.presences() == []
    two.lead()
    assert (two.server.lease().epoch, two.server.lease().place) == (2, two.place)


def test_a_process_that_leads_no_more_is_still_there(hosts):
    """A worker that has carried out a dispatch gives the lead back, and is at no moment gone."""
    one, two = hosts
    with one.beat(myself(), {"is": "worker"}):
        with one.beat(myself(), {"is": "dispatch", "dispatch": "d"}, leads=True):
            assert not leads(two)
            assert two.presences()[0].what == {"is": "worker", "dispatch": "d"}
        (seen,) = two.presences()
        assert (seen.what, seen.epoch, seen.age > 0) == ({"is": "worker"}, 0, True)
        assert leads(two)
    assert two.presences() == []


def test_a_lead_that_is_not_renewed_can_be_taken_and_the_former_one_writes_nothing_more(hosts):
    """What it appends beside mail is refused, and it hears of it, though it may not have tried."""
    one, two = hosts
    one.lead()
    one.append([STARTED])
    until(lambda: leads(two))
    for refused in (lambda: one.append([STARTED]), one.lead):
        with pytest.raises(LedElsewhere):
            refused()
    two.append([LOST])
    one.append([Draft("mail.sent", "ada", ("bob",))])
    assert [event.kind for event in two.read()] == ["log.opened", "run.started", "run.lost", "mail.sent"]


def test_who_loses_the_lead_hears_of_it(hosts):
    """A person may take it by force; the former leader does not even have it if it comes back."""
    one, two = hosts
    with one.beat(myself(), {}, leads=True) as beat:
        two.take_lead()
        assert beat.lost.wait(20)
        assert beat.why.endswith("leads now")
        with pytest.raises(LedElsewhere):
            one.append([STARTED])
        until(lambda: one.server.lead(one.place, "one").place == one.place)
        with pytest.raises(LedElsewhere):
            one.append([STARTED])  # it is the same host again, in a later epoch
        with pytest.raises(LedElsewhere):
            one.lead()


def test_two_take_a_free_lead_at_once_and_one_has_it(hosts):
    """Whoever is told that it leads is the one that the server knows."""
    one, two = hosts
    for _ in range(20):
        one.server.run(
            lambda c: c.execute(f"UPDATE {one.server.address.schema}.lease SET expires = to_timestamp(0)".encode())
        )
        got, start = [], threading.Barrier(2)

        def take(log, got=got, start=start):
            start.wait()
            if leads(log):
                got.append(log.place)

        threads = [threading.Thread(target=take, args=[log]) for log in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [two.server.lease().place]


OTHER = """
import sys
from pathlib import Path
from team_mail.mail.process import myself
from team_mail.mail.remote.connection import Server
from team_mail.mail.remote.place import Address
from team_mail.mail.remote.postgres import PostgresLog
log = PostgresLog(Path(sys.argv[3]), Server(Address(sys.argv[1], sys.argv[2])))
with log.beat(myself(), {"is": "worker", "slots": 4}):
    print("there", flush=True)
    sys.stdin.read()
"""


def test_a_process_of_another_host_is_there_until_it_is_silent_for_a_lease(hosts):
    """Its pid says nothing: it is of another folder, and may be of another machine."""
    one, two = hosts
    argv = [sys.executable, "-c", OTHER, *one.server.address, str(two.folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        (seen,) = one.presences()
        assert seen.what == {"is": "worker", "slots": 4}
        elsewhere = {**seen.process, "boot": "another", "pid": 1}
        assert one.present(seen.process)
        assert not one.present(elsewhere)
        other.kill()
        other.wait()
        assert one.present(seen.process)  # this host cannot know
        assert not two.present(seen.process)  # its own host can
        until(lambda: not one.present(seen.process))
        assert one.presences()[0].gone


def test_a_process_is_there_from_its_first_beat_on(hosts):
    """Its run is on record right after that, and nobody may take it for lost."""
    one, two = hosts
    new = {**myself(), "boot": "another"}
    assert not two.present(new)
    with one.beat(new, {}):
        assert two.present(new)
    until(lambda: not two.present(new))


def test_a_login_tells_of_no_process_of_another_login(hosts, login):
    """Nor may one that is no leader's keep the lead alive, or give it back."""
    one, _ = hosts
    worker, text = login("worker"), json.dumps(myself())
    with one.beat(myself(), {}, leads=True):
        with pytest.raises(LogUnavailable, match="another login tells of that process"):
            worker.beat(text, one.place, "x", "{}", 1)
        worker.leave(text, one.place, 1)
        assert one.presences()[0].process == myself()
        worker.beat(json.dumps({**myself(), "pid": 1}), one.place, "x", "{}", 1)
        worker.leave(json.dumps({**myself(), "pid": 1}), one.place, 1)
        assert one.server.lease().rest > 0
        with pytest.raises(LogUnavailable, match="does not let this login"):
            worker.lead("x", "x", force=True)


def test_nobody_is_lost_while_the_server_has_just_come_back(hosts):
    """Nobody could tell of itself meanwhile: for two leases all count as there, and the lead is nobody else's."""
    one, two = hosts
    gone = {**myself(), "boot": "another"}
    one.lead()
    one.server.beat(json.dumps(gone), "elsewhere", "elsewhere", "{}", 0)
    until(lambda: not two.present(gone))
    one.server.run(
        lambda c: c.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    )
    until(lambda: two.present(gone))
    assert not leads(two)
    until(lambda: not two.present(gone))
    assert leads(two)


@pytest.fixture
def own_server():
    """A server that a test may stop, with two hosts of a team."""
    from team_mail.mail.remote.place import Address
    from team_mail.mail.remote.schema import upgrade

    with running(QUICK) as local:
        address = Address(local.url, "stopped")
        owner = Server(address)
        upgrade(owner)
        owner.set_value("lease_seconds", "1")
        owner.close()
        yield local, address


def test_a_leader_goes_on_when_its_server_was_restarted(own_server, tmp_path):
    """Its lease was over meanwhile, and nobody has it: it renews it as soon as it can."""
    local, address = own_server
    one, two = (PostgresLog(tmp_path / name / "mail", Server(address)) for name in "ab")
    with one.beat(myself(), {}, leads=True) as beat:
        local.stop("immediate")
        local.start()
        until(lambda: not two.presences()[0].gone and two.server.lease().rest > 0)
        assert not leads(two)
        one.append([STARTED])
        assert not beat.lost.is_set()
    assert leads(two)
    for log in (one, two):
        log.server.close()


def test_a_leader_that_hears_nothing_for_long_takes_its_lead_for_lost(own_server, tmp_path, monkeypatch):
    """Another host may have it, and begin the work anew."""
    local, address = own_server
    monkeypatch.setattr(beats, "FENCE", 1.0)
    log, heard = PostgresLog(tmp_path / "mail", Server(address)), []
    with log.beat(myself(), {}, leads=True, on_lost=heard.append) as beat:
        local.stop("immediate")
        assert beat.lost.wait(20)
    assert heard == ["the server has not answered for 1 s, so another host may lead by now"]
    log.server.close()
