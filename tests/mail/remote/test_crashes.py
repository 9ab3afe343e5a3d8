"""What survives of an append when the server dies, the reply is lost or the link is cut: everything acknowledged."""

from __future__ import annotations

import signal
import socket
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from team_mail.mail.errors import InDoubt, LogUnavailable
from team_mail.mail.log.event import Draft, derived_id

from ...postgres import QUICK, needs_postgres, remote_log, running
from ...samples import STORM

pytestmark = needs_postgres


def note(text: str, **fields) -> Draft:
    return Draft("mail.sent", "ada", ("bob",), text, **fields)


class Relay:
    """A link to a server that can swallow the reply to the next append, after the server has committed it."""

    def __init__(self, target: Path) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="tm-relay-")
        self.target, self.swallow, self.swallowed = str(target / ".s.PGSQL.5432"), False, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder.name}/.s.PGSQL.5432")
        self.listener.listen()
        self.ends = [self.listener]
        self.threads: list[threading.Thread] = []
        self.server = threading.Thread(target=self._serve)
        self.server.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            self.ends += [client, server]
            for source, sink, is_reply in ((client, server, False), (server, client, True)):
                self.threads.append(threading.Thread(target=self._carry, args=(source, sink, is_reply)))
                self.threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_reply and self.swallow:
                    self.swallow, self.swallowed = False, self.swallowed + 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in (self.server, *self.threads):
            thread.join()
        for end in self.ends:
            end.close()
        self.folder.cleanup()


def test_an_append_whose_reply_was_lost_is_one_event(request, postgres, tmp_path):
    """The server has committed it, the client was never told, and asks again with the same id."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.postgres import PostgresLog

    made, relay = remote_log(request, tmp_path / "mail"), Relay(postgres.sockets)
    address = made.server.address._replace(url=f"postgresql://team@/team?host={relay.folder.name}")
    server = Server(address)
    log = PostgresLog(tmp_path / "far" / "mail", server)
    try:
        log.append([note("first")])
        relay.swallow = True
        repeats = []
        (event,) = log.append([note("lost reply")], repeats)
        assert relay.swallowed == 1
        assert [event.subject for event in made.read()][1:] == ["first", "lost reply"]
        assert [*made.read()][-1] == event
    finally:
        server.close()
        relay.close()


def kill(server) -> None:
    """End every process of a server at once, as when its machine loses power but for what the disk's cache holds."""
    main = psutil.Process(server.pid)
    family = [main, *main.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=30)
    deadline = time.monotonic() + 60
    while True:  # old processes may linger for a moment, and hold the memory of the server
        try:
            return server.start()
        except LogUnavailable:
            assert time.monotonic() < deadline
            (server.data / "postmaster.pid").unlink(missing_ok=True)


def crash(tmp_path, settings: dict[str, str], kills: int, each: int, writers: int = 8) -> tuple[int, int]:
    """Kill a server under writers; return how many events were acknowledged, and how many of them it lacks."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.place import Address
    from team_mail.mail.remote.postgres import PostgresLog
    from team_mail.mail.remote.schema import upgrade

    with running(settings) as local:
        address = Address(local.url, "crashed")
        owner = Server(address)
        upgrade(owner)
        acked: dict[str, int] = {}
        grown, ends, wrong = threading.Condition(), threading.Event(), []

        def write(number: int) -> None:
            server, count = Server(address, patience=90), 0
            log = PostgresLog(tmp_path / str(number) / "mail", server)
            while not ends.is_set():
                own = derived_id(str(number), str(count))
                try:
                    (event,) = log.append([note(f"{number} {count}", id=own)])
                except InDoubt:
                    continue  # the same id again
                except BaseException as error:  # noqa: BLE001 - told by the test
                    wrong.append(error)
                    break
                with grown:
                    acked[own] = event.seq
                    grown.notify_all()
                count += 1
            server.close()

        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for number in range(kills + 1):
            with grown:
                goal = len(acked) + each
                assert grown.wait_for(lambda goal=goal: len(acked) >= goal or wrong, timeout=120)
            assert wrong == []
            if number < kills:
                kill(local)
        ends.set()
        for thread in threads:
            thread.join()
        log = PostgresLog(tmp_path / "reader" / "mail", owner)
        held = {event.id: event.seq for event in log.read()}
        inspection = log.verify()
        assert (wrong, inspection.damage, inspection.torn) == ([], [], 0)
        assert sorted(held.values()) == list(range(1, len(held) + 1))
        owner.close()
        return len(acked), sum(held.get(own) != seq for own, seq in acked.items())


def test_a_killed_server_loses_nothing_acknowledged(tmp_path):
    """Writers wait until it is back, and go on."""
    acknowledged, lost = crash(tmp_path, QUICK, kills=1, each=100, writers=4)
    assert (acknowledged >= 200, lost) == (True, 0)


@STORM
def test_a_server_that_is_killed_five_times_loses_nothing_acknowledged(tmp_path):
    """Eight writers, at least 5,000 acknowledged events."""
    acknowledged, lost = crash(tmp_path, {"shared_buffers": "32MB"}, kills=5, each=1000)
    print(f"{acknowledged} acknowledged over 5 kills of the server, {lost} lost")
    assert (acknowledged >= 5000, lost) == (True, 0)


def test_a_server_that_is_not_there_is_one_line_of_error(tmp_path):
    """It is not waited for as long as one that was there a moment ago, and nothing was written."""
    from team_mail.mail.remote import connection
    from team_mail.mail.remote.place import Address
    from team_mail.mail.remote.postgres import PostgresLog

    server = connection.Server(Address(f"postgresql://team:@/team?host={tmp_path}", "t"), patience=0, first=0)
    log = PostgresLog(tmp_path / "mail", server)
    with pytest.raises(LogUnavailable, match=r"cannot be reached.*nothing was written") as caught:
        log.append([note("x")])
    assert "\n" not in str(caught.value)


def test_a_follower_goes_on_after_a_restart(tmp_path):
    """It misses nothing that was appended meanwhile."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.place import Address
    from team_mail.mail.remote.postgres import PostgresLog
    from team_mail.mail.remote.schema import upgrade

    with running(QUICK) as local:
        server = Server(Address(local.url, "followed"))
        upgrade(server)
        log = PostgresLog(tmp_path / "mail", server)
        follower = log.follow(after=1)
        for text in ("one", "two"):
            log.append([note(text)])
            assert next(follower).subject == text
            if text == "one":
                local.stop("immediate")
                local.start()
        follower.close()
        server.close()


def test_whoever_holds_the_lock_is_named_after_a_deadline(request, tmp_path):
    """A client that was stopped after an append in a transaction of its own; then the next append works."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.postgres import PostgresLog

    made = remote_log(request, tmp_path / "mail")
    made.append([note("first")])
    server = Server(made.server.address, settings={"options": "-c lock_timeout=100ms"})
    log, holder = PostgresLog(tmp_path / "other", server), made.server.connect()
    with holder:
        holder.execute(f"BEGIN; LOCK TABLE {server.address.schema}.turn".encode())
        with pytest.raises(LogUnavailable, match=rf"held by process {holder.info.backend_pid} of team.*nothing was"):
            log.append([note("held up")])
        holder.execute(b"ROLLBACK")
        assert [event.subject for event in log.append([note("goes on")])] == ["goes on"]
    server.close()
    assert [event.subject for event in made.read()][1:] == ["first", "goes on"]
