"""The log on PostgreSQL beside the log in files, in one run on one disk: appends, inboxes, commands, followers, teams.

`make bench BENCH=cluster`; `ARGS="--rows kills teams"` measures some rows alone. The server is an installed PostgreSQL
with its defaults, reached over loopback with TLS, and the client verifies its certificate. Exits with 1 if a row misses
its target.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

import psutil
from bench import Bench
from table import Row, cold, markdown, medians, seconds, seconds_of, show
from team_mail.mail.errors import InDoubt, LogUnavailable
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import derived_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.rows import FileProjections
from team_mail.mail.remote.beside import Beside
from team_mail.mail.remote.connection import Server
from team_mail.mail.remote.local import LocalServer
from team_mail.mail.remote.migrate import to_server
from team_mail.mail.remote.place import Address
from team_mail.mail.remote.postgres import PostgresLog
from team_mail.mail.remote.schema import upgrade
from team_mail.scheduler.hosts.queue import install
from writers import FORK, LETTER, acknowledged, ours

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

COMMAND = str(Path(sys.executable).with_name("team-mail"))
TARGETS = {1: 0.28, 8: 0.10, 32: 0.11}
BATCH, BATCH_TARGET = 1_000, 0.09
SENDS = 200
KILLS, EACH, HANDS = 5, 1_000, 8  # kills of the server, acknowledged events before each, writers
TEAMS, CLIENTS, RATE = 10, 2, 50  # teams, clients of each, and sends of each client in a second


class Setting(NamedTuple):
    """What the rows are measured with; `schema` makes a new one at each call."""

    folder: Path
    bench: Bench
    schema: Callable[[], Server]
    server: LocalServer
    seconds: float
    work: float


@contextmanager
def running(folder: Path) -> Iterator[tuple[LocalServer, str]]:
    """Run a server with TLS on loopback; yield it, and its url."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = folder.parent / f"tm-bench-{os.getpid()}"  # where the server's user can come to it
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), "max_connections": "200"}
    server = LocalServer(place, settings)
    server.start()
    server.stop()
    certify(server.data, folder)
    server.settings = settings | {"ssl": "on"}
    server.start()
    try:
        verified = f"sslmode=verify-full&sslrootcert={folder / 'ca.crt'}"
        yield server, f"postgresql://team@localhost:{port}/team?{verified}"
    finally:
        server.stop("immediate")
        shutil.rmtree(place)


def certify(data: Path, folder: Path) -> None:
    """Make a certificate for the server, signed by itself, and let it be reached over TLS alone."""
    words = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout {data}/server.key -out {data}/server.crt"
    )
    subprocess.run(words.split(), check=True, capture_output=True)
    owner = data.stat()
    for name in ("server.key", "server.crt"):
        os.chown(data / name, owner.st_uid, owner.st_gid)
        (data / name).chmod(0o600)
    (folder / "ca.crt").write_bytes((data / "server.crt").read_bytes())
    (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")


def flush(given: Setting) -> Iterator[Row]:
    """What a flush of this disk takes: the server makes one for each append, and the log in files one for many."""
    with (given.folder / "flushed").open("ab", buffering=0) as file:

        def once() -> float:
            file.write(b"x" * 400)
            return seconds(lambda: os.fdatasync(file.fileno()))

        taken = median(once() for _ in range(200))
    yield Row("a flush of this disk", f"{taken * 1e3:.2f} ms", "", "", "", None)


def share(what: str, own: float, theirs: float, target: float) -> Row:
    ratio = own / theirs
    return Row(
        what, f"{own:,.0f}/s", f"log in files: {theirs:,.0f}/s", f"{ratio:.2f}", f"≥ {target:g}", ratio >= target
    )


def appends(given: Setting, rounds: int = 3) -> Iterator[Row]:
    """Acknowledged appends of one, eight and 32 processes, and of batches."""
    address, folder = given.schema().address, given.folder

    def remote(place: Path) -> Callable[[], object]:
        log = PostgresLog(place / str(os.getpid()) / "mail", Server(address))
        for _ in range(30):  # a writer at work: the server has made its plans; the first call is in the commands below
            log.append([LETTER])
        return lambda: log.append([LETTER])

    for writers, target in TARGETS.items():
        theirs, own = [], []
        for number in range(rounds):
            theirs.append(acknowledged(ours, folder / f"files-{writers}-{number}", writers, given.bench.seconds))
            own.append(acknowledged(remote, folder / f"remote-{writers}-{number}", writers, given.bench.seconds))
        yield share(f"appends, {writers} writer{'s' * (writers > 1)}", median(own), median(theirs), target)
    logs = EventLog(folder / "batches"), PostgresLog(folder / "remote-batches", Server(address))
    taken = medians(*(lambda log=log: seconds(lambda: log.append([LETTER] * BATCH)) for log in logs))
    yield share(f"appends in batches of {BATCH:,}", BATCH / taken[1], BATCH / taken[0], BATCH_TARGET)


def inboxes(given: Setting) -> Iterator[Row]:
    """Warm inboxes in a log of some size."""
    yield from inbox(given, 20_000 if given.bench.quick else 100_000)


def large_inboxes(given: Setting) -> Iterator[Row]:
    """The same in a large log."""
    yield from inbox(given, given.bench.large)


def inbox(given: Setting, events: int) -> Iterator[Row]:
    """A warm inbox: another one has sent a mail, and the page of 50 newest is asked for again."""
    bench, server = given.bench, given.schema()
    bench.grow(events)
    files = EventLog(bench.log)
    copied = bench.folder / f"copied-{events}" / "mail"
    shutil.copytree(bench.log, copied)
    to_server(copied, server)
    sender, reader = PostgresLog(bench.folder / f"sender-{events}", server), PostgresLog(copied, Server(server.address))

    def asked(writer: EventLog, log: EventLog) -> Callable[[], float]:
        box = Mailbox(log, MemoryBlobs(), FileProjections(log))

        def ask() -> float:
            (event,) = writer.append([LETTER])
            start = time.perf_counter()
            listed = box.inbox(LETTER.recipients[0], limit=50)
            taken = time.perf_counter() - start
            if listed[0].id != event.id:
                sys.exit("an inbox lacks the newest mail")
            return taken

        return ask

    theirs, own = medians(asked(EventLog(bench.log), files), asked(sender, reader))
    row = cold(f"warm inbox with catch-up, {events:,} events", own, "log in files", theirs, 2)
    yield row._replace(ours=f"{own * 1e3:.1f} ms", contender=f"log in files: {theirs * 1e3:.1f} ms")


def commands(given: Setting) -> Iterator[Row]:
    """Whole processes of `team-mail`."""
    files, remote = ({"TEAM_HOME": str(given.folder / name / ".team")} for name in ("cold", "cold-remote"))
    address = given.schema().address
    remote |= {"TEAM_LOG_URL": address.url, "TEAM_LOG_NAME": address.schema}
    send = [COMMAND, "send", "--to", "you", "-s", "Cold", "-b", "A body.", "-f", "you"]
    for words, target in ((send, 3), ([COMMAND, "inbox", "-p", "you"], 2)):
        theirs, own = medians(*(lambda env=env, words=words: seconds_of(words, env) for env in (files, remote)))
        yield cold(f"`team-mail {words[1]}`, a whole process", own, "log in files", theirs, target)


def followed(writer: EventLog, log: EventLog) -> list[float]:
    """Return how long each of some sends took to come to a follower, in seconds."""
    sent: dict[str, float] = {}
    taken: list[float] = []
    arrived, stop = threading.Semaphore(0), threading.Event()
    follower = log.follow(stop=stop)

    def follow() -> None:
        for event in follower:
            now = time.perf_counter()
            taken.append(now - sent.get(event.subject, now))
            arrived.release()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for number in range(-5, SENDS):
        subject = str(number)
        sent[subject] = time.perf_counter()
        writer.append([LETTER._replace(subject=subject)])
        arrived.acquire(timeout=30)
        if number < 0:
            taken.clear()
    stop.set()
    thread.join()
    return taken


def followers(given: Setting) -> Iterator[Row]:
    """From before the send to the event in the hand of a follower with a copy of its own."""
    server, folder = given.schema(), given.folder
    near, far = EventLog(folder / "followed"), PostgresLog(folder / "far", Server(server.address))
    near.append([LETTER])
    theirs = followed(EventLog(folder / "followed"), near)
    own = followed(PostgresLog(folder / "near", server), far)
    yield cold("send → follower, median", median(own), "log in files", median(theirs), 0.3)
    late = quantiles(own, n=100)[-1]
    yield Row("send → follower, 99th percentile", f"{late * 1e3:.1f} ms", "", "", "≤ 20 ms", late <= 0.02)


def kill(server: LocalServer) -> None:
    """End every process of a server at once, and start it again."""
    main = psutil.Process(server.pid)
    family = [main, *main.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)
    for _ in range(100):
        try:
            return server.start()
        except LogUnavailable:  # old processes may linger for a moment, and hold the memory of the server
            (server.data / "postmaster.pid").unlink(missing_ok=True)
            time.sleep(0.1)
    sys.exit("the server did not start again")


def kills(given: Setting) -> Iterator[Row]:
    """Threads append while the server is killed; all that was acknowledged is there, and the chain is whole."""
    address, acked, ends, grown = given.schema().address, dict[str, int](), threading.Event(), threading.Condition()

    def write(number: int) -> None:
        log, sent = PostgresLog(given.folder / "killed" / str(number), Server(address, patience=90)), 0
        while not ends.is_set():
            own = derived_id(str(number), str(sent))
            try:
                (event,) = log.append([LETTER._replace(id=own)])
            except InDoubt:
                continue  # the same id again
            with grown:
                acked[own], sent = event.seq, sent + 1
                grown.notify_all()

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(HANDS)]
    for thread in threads:
        thread.start()
    for number in range(KILLS + 1):
        with grown:
            goal = len(acked) + EACH
            if not grown.wait_for(lambda goal=goal: len(acked) >= goal, timeout=600):
                sys.exit("writers stand still")
        if number < KILLS:
            kill(given.server)
    ends.set()
    for thread in threads:
        thread.join()
    log = PostgresLog(given.folder / "after-kills", Server(address))
    held = {event.id: event.seq for event in log.read()}
    lost = sum(held.get(own) != seq for own, seq in acked.items())
    whole = not log.verify().damage and sorted(held.values()) == [*range(1, len(held) + 1)]
    outcome = f"{len(acked):,} acknowledged, {lost} lost, the chain {'whole' if whole else 'BROKEN'}"
    is_met = len(acked) >= 5_000 and whole and not lost
    yield Row(f"{KILLS} kills of the server", outcome, "", "", "≥ 5,000, 0 lost, whole", is_met)


def client(place: Path, address: Address, seconds: float, ready: Barrier, results: SimpleQueue[list[float]]) -> None:
    """Send in a steady rhythm; tell how long each took from the moment at which it was due to its acknowledgement."""
    log, taken = PostgresLog(place, Server(address)), list[float]()
    log.append([LETTER])
    ready.wait()
    start = time.monotonic()
    for number in range(int(seconds * RATE)):
        due = start + number / RATE
        time.sleep(max(0.0, due - time.monotonic()))
        log.append([LETTER])
        taken.append(time.monotonic() - due)
    results.put(taken)


def teams(given: Setting) -> Iterator[Row]:
    """Ten teams on one server, each with two clients in processes of their own, at 1,000 sends a second altogether."""
    servers = [given.schema() for _ in range(TEAMS)]
    ready, results = FORK.Barrier(TEAMS * CLIENTS, timeout=120), FORK.SimpleQueue()
    processes = [
        FORK.Process(
            target=client, daemon=True,
            args=(given.folder / f"team-{team}-{number}", server.address, given.seconds, ready, results),
        )
        for team, server in enumerate(servers) for number in range(CLIENTS)
    ]  # fmt: skip
    for server in servers:
        server.close()  # no connection is shared with a fork
    for process in processes:
        process.start()
    taken = [each for _ in processes for each in results.get()]
    for process in processes:
        process.join()
    stored = sum(server.head().seq - 1 - CLIENTS for server in servers)  # but for log.opened, and the first of each
    late, lost = quantiles(taken, n=100)[-1], len(taken) - stored
    what = f"{TEAMS} teams, {TEAMS * CLIENTS * RATE:,} sends/s for {given.seconds:.0f} s: due → acknowledged"
    yield Row(f"{what}, median", f"{median(taken) * 1e3:.1f} ms", "", "", "", None)
    outcome = f"{late * 1e3:.1f} ms, {lost} lost of {len(taken):,}"
    yield Row(f"{what}, 99th percentile", outcome, "", "", "≤ 100 ms, 0 lost", late <= 0.1 and not lost)


def workers(given: Setting) -> Iterator[Row]:
    """Runs on three hosts beside the ideal; and a worker that is killed."""
    from hosts import handed_out, killed

    yield from handed_out(given.folder, given.schema)
    yield from killed(given.folder, given.schema)


def hosts(given: Setting) -> Iterator[Row]:
    """A sprint on three hosts beside one."""
    from hosts import more_hosts

    yield from more_hosts(given.folder, given.schema, given.work)


ROWS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "flush": flush, "appends": appends, "inbox": inboxes, "large": large_inboxes, "commands": commands,
    "followers": followers, "kills": kills, "teams": teams, "workers": workers, "hosts": hosts,
}  # fmt: skip


def main() -> None:
    """Print the table; write it to a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds, logs of 20,000 and 100,000 events")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[*ROWS], help="which to measure")
    parser.add_argument("--seconds", type=float, default=60, help="how long the ten teams send")
    parser.add_argument("--work", type=float, default=60, help="how long each persona works, in seconds")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on the disk to measure")
    parser.add_argument("--markdown", type=Path, help="write the table to this page")
    given = parser.parse_args()
    load, numbers = os.getloadavg()[0], count(1)
    with (
        tempfile.TemporaryDirectory(prefix="team-mail-bench-", dir=given.folder) as name,
        running(Path(name)) as (local, url),
    ):
        folder = Path(name)
        folder.chmod(0o755)

        def schema() -> Server:
            server = Server(Address(url, f"bench{next(numbers)}"))
            upgrade(server)
            beside = Beside(server.address)
            install(beside)
            beside.close()
            return server

        setting = Setting(folder, Bench(folder, given.quick), schema, local, given.seconds, given.work)
        rows = [row for name in given.rows for row in ROWS[name](setting)]
    show(rows)
    if given.markdown:
        machine = f"{os.cpu_count()} CPUs ({platform.machine()}), load average {load:.1f} at the start"
        head = (
            "# Benchmarks of a cluster\n\n"
            'Measured by `make bench BENCH=cluster ARGS="--markdown docs/benchmarks-cluster.md"`: '
            "PostgreSQL over loopback with TLS, beside the log in files in the same run.\n\n"
            f"{machine}; Python {platform.python_version()}.\n\n"
        )
        given.markdown.write_text(head + markdown(rows) + "\n")
    sys.exit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
