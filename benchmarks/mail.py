"""The promises about speed, measured beside their contenders: `make bench`, or `make bench ARGS="--quick"`.

Everything is measured in one run on one machine, contenders in turn (A B A B), and compared as medians: ratios travel
from machine to machine, times do not. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import fcntl
import mailbox
import multiprocessing
import os
import platform
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from team_mail.mail.log.disk import Disk
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.mail_process import MailProcess

ROUNDS = 7
PERSONAS = tuple(f"persona-{number:02}" for number in range(21))
BODY = "Chapter three is woven in; please look at the second half before the next tick, above all the names. "
LETTER = Draft("mail.sent", PERSONAS[0], (PERSONAS[1],), "Chapter three", BODY)
BATCH = 2_000
RECENT = 20_000
FORK = multiprocessing.get_context("fork")
COMMAND = str(Path(sys.executable).with_name("team-mail"))
TRIVIAL = "import typer\n\n\ndef main(name: str) -> None:\n    typer.echo(name)\n\n\ntyper.run(main)\n"
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))"
)


class Row(NamedTuple):
    """One line of the table; `met` is None where a contender is shown without a target."""

    what: str
    ours: str
    contender: str
    ratio: str
    target: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "MISSED", None: ""}[self.met]


@dataclass
class Bench:
    """Where a run keeps its files, and how long it takes over a row."""

    folder: Path
    quick: bool
    log: Path = field(init=False)
    built: int = 0
    pending: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self.folder / "team" / "mail"
        self.dice = random.Random(21)

    @property
    def seconds(self) -> float:
        """How long writers write in each round."""
        return 0.25 if self.quick else 1.0

    @property
    def large(self) -> int:
        return 100_000 if self.quick else 1_000_000

    def grow(self, events: int) -> None:
        """Bring the log up to so many events: 60 % mail to one or two, 40 % marks by those who got it."""
        from team_mail.mail.query.query import write_parquet

        with ThreadPoolExecutor(1) as copies:
            log = EventLog(self.log, on_sealed=lambda segment: copies.submit(write_parquet, segment))
            while self.built < events:
                size = min(BATCH, max(100, events // 100), events - self.built)
                written = log.append([self.draft() for _ in range(size)])
                self.pending += [(e.id, who) for e in written if e.kind == "mail.sent" for who in e.recipients]
                del self.pending[:-RECENT]
                self.built += size

    def draft(self) -> Draft:
        if self.pending and self.dice.random() < 0.4:
            place = self.dice.randrange(len(self.pending))
            self.pending[place], self.pending[-1] = self.pending[-1], self.pending[place]
            ref, who = self.pending.pop()
            return Draft(self.dice.choice(("mail.read", "mail.read", "mail.read", "mail.acked")), who, ref=ref)
        sender, *to = self.dice.sample(PERSONAS, self.dice.choice((2, 3)))
        return Draft("mail.sent", sender, tuple(to), f"Chapter {self.built}", BODY)


# -- writers: each is opened by its own process, and returns what sends one message and makes it durable


def ours(folder: Path) -> Callable[[], object]:
    log = EventLog(folder, lock_timeout=60)
    return lambda: log.append([LETTER])


def bare(folder: Path) -> Callable[[], object]:
    """Do the least that a safe append needs: take a lock, write, flush."""
    folder.mkdir(exist_ok=True)
    descriptor, line = os.open(folder / "lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND), a_line()

    def send() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, line)
        os.fdatasync(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    return send


def sqlite(folder: Path) -> Callable[[], object]:
    folder.mkdir(exist_ok=True)
    connection = sqlite3.connect(folder / "log.db", isolation_level=None, timeout=60)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, line BLOB)")
    return lambda: connection.execute("INSERT INTO events (line) VALUES (?)", (a_line(),))


def maildir(folder: Path) -> Callable[[], object]:
    """The standard library flushes the file; the folder, which holds its name, is flushed here."""
    box = mailbox.Maildir(folder)
    new = os.open(folder / "new", os.O_RDONLY)

    def send() -> None:
        box.add(a_line())
        os.fsync(new)

    return send


def redis(folder: Path) -> Callable[[], object]:
    server = socket.socket(socket.AF_UNIX)
    server.connect(str(folder / "redis"))
    answers = server.makefile("rb")
    words = (b"XADD", b"mail", b"*", b"line", a_line())
    request = b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))

    def send() -> None:
        server.sendall(request)
        if not answers.readline().startswith(b"$") or not answers.readline():
            raise ConnectionError("redis did not take the line")

    return send


@contextmanager
def redis_server(folder: Path) -> Iterator[None]:
    """Run a server of our own, flushing each command, on a socket in the folder."""
    folder.mkdir()
    options = ["--port", "0", "--unixsocket", "redis", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    server = subprocess.Popen(["redis-server", *options], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "redis").exists():
            if server.poll() is not None:
                sys.exit("redis-server did not start")
            time.sleep(0.01)
        yield
    finally:
        server.terminate()
        server.wait()


@cache
def a_line() -> bytes:
    """Return the bytes that our log writes for the letter, for the contenders to write the same."""
    with tempfile.TemporaryDirectory() as folder:
        EventLog(Path(folder)).append([LETTER])
        return Path(folder, "events.jsonl").read_bytes().splitlines(keepends=True)[-1]


def acknowledged(writer: Callable[[Path], Callable[[], object]], folder: Path, writers: int, seconds: float) -> float:
    """Let so many processes send as fast as they can for so long; return acknowledged sends per second."""
    writer(folder)()  # what is made once, such as a table, is made before they race
    ready, results = FORK.Barrier(writers, timeout=60), FORK.SimpleQueue()

    def run() -> None:
        try:
            send = writer(folder)
            send()
            ready.wait()
            start, sends = time.monotonic(), 0
            while time.monotonic() < start + seconds:
                send()
                sends += 1
        except BaseException:
            results.put(None)
            raise
        results.put((start, time.monotonic(), sends))

    processes = [FORK.Process(target=run, daemon=True) for _ in range(writers)]
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join()
    if None in answers:
        sys.exit(f"a writer of {writer.__name__} failed")
    starts, ends, sends = zip(*answers, strict=True)
    return sum(sends) / (max(ends) - min(starts))


# -- measuring and comparing


def medians(*calls: Callable[[], float]) -> list[float]:
    """Call each in turn, once to warm up and then seven times."""
    for call in calls:
        call()
    rounds = [[call() for call in calls] for _ in range(ROUNDS)]
    return [median(column) for column in zip(*rounds, strict=True)]


def seconds_of(argv: Sequence[str], env: dict[str, str] | None = None) -> float:
    """Time a whole process, without a limit: with one, its end is only looked for every 50 ms."""
    start = time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ | (env or {}))
    return time.perf_counter() - start


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def faster(what: str, own: float, contender: str, theirs: float, target: float | None) -> Row:
    ratio = own / theirs
    wanted = "" if target is None else f"≥ {target:g} times"
    met = None if target is None else ratio >= target
    return Row(what, f"{own:,.0f}/s", f"{contender}: {theirs:,.0f}/s", f"{ratio:.2f}", wanted, met)


def cold(what: str, own: float, contender: str, theirs: float, target: float) -> Row:
    ratio = own / theirs
    return Row(
        what,
        f"{own * 1e3:.0f} ms",
        f"{contender}: {theirs * 1e3:.0f} ms",
        f"{ratio:.2f}",
        f"≤ {target:g} times",
        ratio <= target,
    )


# -- the rows


def append_alone(bench: Bench) -> list[Row]:
    contenders = {"flock + write + fdatasync": (bare, 0.8), "Redis Streams, appendfsync always": (redis, None)}
    return append(bench, 1, contenders)


def append_by_8(bench: Bench) -> list[Row]:
    return append(bench, 8, TOGETHER)


def append_by_32(bench: Bench) -> list[Row]:
    return append(bench, 32, TOGETHER)


TOGETHER = {
    "SQLite WAL, synchronous=FULL": (sqlite, 2.5),
    "Maildir, fsync": (maildir, 10),
    "Redis Streams, appendfsync always": (redis, None),
}


def append(bench: Bench, writers: int, contenders: dict[str, Any]) -> list[Row]:
    contenders = {
        name: contender
        for name, contender in contenders.items()
        if contender[0] is not redis or shutil.which("redis-server")
    }
    kinds = [ours, *(writer for writer, _ in contenders.values())]
    folders = {kind: bench.folder / f"{kind.__name__}-{writers}" for kind in kinds}
    with ExitStack() as stack:
        if redis in kinds:
            stack.enter_context(redis_server(folders[redis]))
        for folder in folders.values():
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        own, *others = medians(
            *(lambda kind=kind: acknowledged(kind, folders[kind], writers, bench.seconds) for kind in kinds)
        )
    what = f"acknowledged sends, {writers} writer{'s' * (writers > 1)}"
    named = zip(contenders.items(), others, strict=True)
    return [faster(what, own, name, theirs, target) for (name, (_, target)), theirs in named]


def batch(bench: Bench) -> list[Row]:
    log, drafts = EventLog(bench.folder / "batch"), [LETTER] * 10_000
    (taken,) = medians(lambda: seconds(lambda: log.append(drafts)))
    shutil.rmtree(bench.folder / "batch")
    rate = len(drafts) / taken
    return [Row("batch send of 10,000 messages", f"{rate:,.0f}/s", "", "", "≥ 40,000/s", rate >= 40_000)]


def send(bench: Bench) -> list[Row]:
    script, home = bench.folder / "trivial.py", bench.folder / "sends"
    script.write_text(TRIVIAL)
    home.mkdir()
    argv = [COMMAND, "send", "--from", PERSONAS[0], "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY]
    own, theirs = medians(
        lambda: seconds_of(argv, {"TEAM_HOME": str(home)}), lambda: seconds_of([sys.executable, str(script), "name"])
    )
    return [cold("`team-mail send`, cold", own, "a trivial Typer command", theirs, 1.5)]


def send_in_run(bench: Bench) -> list[Row]:
    """A send by the command of a run, which asks the run's mail process: while that is up, and when it must start."""
    workspace, home = bench.folder / "workspace", bench.folder / "run" / ".team"
    home.mkdir(parents=True)
    workspace.mkdir()
    folder = RunFolder(workspace)
    folder.make()
    argv = [str(folder.path / "team-mail"), "send", "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY]

    def first() -> float:
        with MailProcess(workspace, PERSONAS[0], "run-2", home):
            return seconds_of(argv)

    with MailProcess(workspace, PERSONAS[0], "run-1", home):
        warm, _ = medians(lambda: seconds_of(argv), lambda: seconds_of([sys.executable, "-c", "pass"]))
        words = [COMMAND, *argv[1:], "--from", PERSONAS[0]]
        within, outside = medians(lambda: seconds_of(argv), lambda: seconds_of(words, {"TEAM_HOME": str(home)}))
    fresh, python = medians(first, lambda: seconds_of([sys.executable, "-c", "pass"]))
    more = 1000 * (within - outside)
    return [
        Row("`team-mail send` in a run", f"{more:+.0f} ms", "a send outside", "", "≤ +60 ms", more <= 60),
        cold("`team-mail send` in a run", warm, "python -c pass", python, 3),
        cold("`team-mail send` in a run, the first", fresh, "python -c pass", python, 6),
    ]


def inbox_1k(bench: Bench) -> list[Row]:
    return inbox(bench, 1_000, 2)


def inbox_100k(bench: Bench) -> list[Row]:
    return inbox(bench, 100_000, 2)


def inbox_large(bench: Bench) -> list[Row]:
    return inbox(bench, bench.large, 3)


def inbox(bench: Bench, events: int, target: float) -> list[Row]:
    bench.grow(events)
    argv, env = inbox_command(bench)
    own, theirs = medians(
        lambda: seconds_of(argv, env), lambda: seconds_of([sys.executable, "-c", "import typer, duckdb"])
    )
    return [cold(f"`team-mail inbox`, cold, {events:,} events", own, "import typer, duckdb", theirs, target)]


def inbox_command(bench: Bench) -> tuple[list[str], dict[str, str]]:
    return [COMMAND, "inbox", "--persona", PERSONAS[7]], {"TEAM_HOME": str(bench.log.parent)}


def memory(bench: Bench) -> list[Row]:
    bench.grow(bench.large)
    argv, env = inbox_command(bench)
    measured = [sys.executable, "-c", PEAK, *argv]
    peak = int(subprocess.run(measured, check=True, capture_output=True, text=True, env=os.environ | env).stdout) / 1e6
    return [
        Row(f"memory of `team-mail inbox`, {bench.large:,} events", f"{peak:.0f} MB", "", "", "≤ 300 MB", peak <= 300)
    ]


def verify(bench: Bench) -> list[Row]:
    bench.grow(bench.large)
    (taken,) = medians(lambda: seconds(EventLog(bench.log).verify))
    rate = bench.large / taken
    return [Row(f"verify, {bench.large:,} events", f"{rate:,.0f}/s", "", "", "≥ 100,000/s", rate >= 100_000)]


def warm_large(bench: Bench) -> list[Row]:
    return warm(bench, bench.large, 0.04)


def warm_huge(bench: Bench) -> list[Row]:
    return warm(bench, 10_000_000, 0.4)


def warm(bench: Bench, events: int, target: float) -> list[Row]:
    """Ask in a process that goes on, with a new letter to find before every question."""
    from team_mail.mail.log.blobs import FileBlobs
    from team_mail.mail.mailbox import Mailbox
    from team_mail.mail.query.rows import FileProjections

    bench.grow(events)
    log = EventLog(bench.log)
    box = Mailbox(log, FileBlobs(bench.log / "blobs"), FileProjections(log))

    def question() -> float:
        (event,) = log.append([LETTER])
        taken = seconds(lambda: inbox_rows.extend(box.inbox(PERSONAS[1], unread=True, limit=50)))
        if len(inbox_rows) != 50 or inbox_rows[0].id != event.id:
            sys.exit(f"the inbox at {events:,} events does not begin with the newest letter")
        inbox_rows.clear()
        return taken

    inbox_rows: list[Any] = []
    (taken,) = medians(question)
    what = f"inbox in a process that goes on, {events:,} events"
    return [Row(what, f"{taken * 1e3:.1f} ms", "", "", f"≤ {target * 1e3:.0f} ms", taken <= target)]


ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "append-1": append_alone,
    "append-8": append_by_8,
    "append-32": append_by_32,
    "batch": batch,
    "send": send,
    "send-in-run": send_in_run,
    "inbox-1k": inbox_1k,
    "inbox-100k": inbox_100k,
    "inbox-1m": inbox_large,
    "memory": memory,
    "verify": verify,
    "warm-1m": warm_large,
    "warm-10m": warm_huge,
}


# -- the table


def facts(folder: Path) -> str:
    """Tell what it was measured with; no names of machines or folders."""
    disk = Disk().filesystem(folder) or "unknown file system"
    names = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "typer"))
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), load average {os.getloadavg()[0]:.1f} at the start, "
        f"{platform.system()}, {disk}; "
        f"Python {platform.python_version()}, {names}, SQLite {sqlite3.sqlite_version}{redis_version()}"
    )


def redis_version() -> str:
    if not shutil.which("redis-server"):
        return ", no Redis"
    version = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True).stdout
    return f", Redis {version.partition('v=')[2].split()[0]}"


def cells(row: Row) -> tuple[str, ...]:
    return (row.what, row.ours, row.contender, row.ratio, row.target, row.verdict)


HEADING = ("what", "ours", "contender", "ratio", "target", "verdict")


def markdown(rows: Sequence[Row], machine: str, *, quick: bool) -> str:
    command = f'make bench ARGS="{"--quick " * quick}--markdown docs/benchmarks.md"'
    table = [HEADING, ("---",) * len(HEADING), *map(cells, rows)]
    lines = "\n".join(f"| {' | '.join(line)} |" for line in table)
    return f"""# Benchmarks

Measured by `{command}`, all contenders in one run, in turn, as medians of {ROUNDS}.
Ratios carry over from machine to machine, times do not.

{machine}.

{lines}

- *Acknowledged* means that the send returned after its bytes were flushed to the disk.
  The log seals a segment every 16 MB within what is measured; the contenders write the same bytes.
- *Cold* is a whole process, from start to exit.
- The log of the inbox rows is mail between {len(PERSONAS)} personas: 60 % messages to one or two of them, \
40 % marks by those who got them.
- *In a process that goes on* there is a new message before every query, and the answer has to begin with it.
"""


def show(rows: Sequence[Row]) -> None:
    lines = [HEADING, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADING))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100,000 events stand for a million, and none for ten")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start from bytecode, as they do once installed
    names = [name for name in ROWS if name in (wanted.rows or ROWS) and not (wanted.quick and name == "warm-10m")]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
        bench, machine = Bench(Path(name), wanted.quick), facts(Path(name))
        for row in names:
            print(f"measuring {row} ...", file=sys.stderr)
            rows += ROWS[row](bench)
    show(rows)
    print(f"\n{machine}")
    if wanted.markdown:
        wanted.markdown.parent.mkdir(exist_ok=True)
        wanted.markdown.write_text(markdown(rows, machine, quick=wanted.quick))
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
