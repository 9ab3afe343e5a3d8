"""The promises about speed, measured beside their contenders: `make bench`, or `make bench ARGS="--quick"`.

Everything is measured in one run on one machine, contenders in turn (A B A B), and compared as medians: ratios travel
from machine to machine, times do not. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from table import ROUNDS, Row, cold, faster, markdown, medians, seconds, seconds_of, show
from team_mail.mail.log.disk import Disk
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.log.log import EventLog
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.mail_process import MailProcess
from writers import (
    BODY,
    LETTER,
    PERSONAS,
    acknowledged,
    bare,
    maildir,
    ours,
    redis,
    redis_server,
    redis_version,
    same,
    sqlite,
)  # fmt: skip

BATCH = 2_000
RECENT = 20_000
COMMAND = str(Path(sys.executable).with_name("team-mail"))
TRIVIAL = "import typer\n\n\ndef main(name: str) -> None:\n    typer.echo(name)\n\n\ntyper.run(main)\n"
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))"
)


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


# -- the rows


def append_alone(bench: Bench) -> list[Row]:
    contenders = {"flock + write + fdatasync": (bare, 0.85), "Redis Streams, appendfsync always": (redis, None)}
    return append(bench, 1, contenders)


def append_by_8(bench: Bench) -> list[Row]:
    return append(bench, 8, TOGETHER)


def append_by_32(bench: Bench) -> list[Row]:
    return append(bench, 32, TOGETHER)


TOGETHER = {
    "the same bare protocol": (same, 0.7),
    "SQLite WAL, synchronous=FULL": (sqlite, 2),
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


def own_id(bench: Bench) -> list[Row]:
    """Append with an id of the caller's in a process that goes on, beside appends without one to the same log."""
    bench.grow(100_000)
    log, numbers = EventLog(bench.log), count()
    many = 200

    def with_id() -> float:
        drafts = [LETTER._replace(id=derived_id("benchmark", str(next(numbers)))) for _ in range(many)]
        return seconds(lambda: [log.append([draft]) for draft in drafts]) / many

    own, without = medians(with_id, lambda: seconds(lambda: [log.append([LETTER]) for _ in range(many)]) / many)
    what = "append with an id of its own, 100,000 events"
    return [faster(what, 1 / own, "without one", 1 / without, 0.5)]


def send(bench: Bench) -> list[Row]:
    script, home = bench.folder / "trivial.py", bench.folder / "sends"
    script.write_text(TRIVIAL)
    home.mkdir()
    argv = [COMMAND, "send", "--from", PERSONAS[0], "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY]
    own, theirs = medians(
        lambda: seconds_of(argv, {"TEAM_HOME": str(home)}), lambda: seconds_of([sys.executable, str(script), "name"])
    )
    return [cold("`team-mail send`, cold", own, "a trivial Typer command", theirs, 1.1)]


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


def hcom(bench: Bench) -> list[Row]:
    """Send to nobody in particular, and list: in an environment of its own, installed from the package index."""
    place, home = bench.folder / "hcom", bench.folder / "hcom-mail"
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin" / "pip", "install", "--quiet", "hcom"], check=True, stdout=subprocess.DEVNULL)
    home.mkdir()
    theirs, env = str(place / "bin" / "hcom"), {"TEAM_HOME": str(home), "HCOM_DIR": str(bench.folder / "hcom-home")}
    subprocess.run([theirs, "list"], check=False, stdout=subprocess.DEVNULL, env=os.environ | env)
    pairs = {
        "send": (
            [COMMAND, "send", "--from", PERSONAS[0], "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY],
            [theirs, "send", "--from", PERSONAS[0], "--", BODY],
        ),
        "list": ([COMMAND, "inbox", "--persona", PERSONAS[1]], [theirs, "list"]),
    }
    rows: list[Row] = []
    for what, words in pairs.items():
        own, rival = medians(*(lambda argv=argv: seconds_of(argv, env) for argv in words))
        rows.append(cold(f"{what}, cold", own, f"hcom {what}", rival, None))
    return rows


def inbox_1k(bench: Bench) -> list[Row]:
    return inbox(bench, 1_000, 1.7)


def inbox_100k(bench: Bench) -> list[Row]:
    return inbox(bench, 100_000, 1.7)


def inbox_large(bench: Bench) -> list[Row]:
    return inbox(bench, bench.large, 3)


def inbox(bench: Bench, events: int, target: float) -> list[Row]:
    bench.grow(events)
    argv, env = inbox_command(bench)
    own, theirs = medians(lambda: seconds_of(argv, env), lambda: seconds_of([sys.executable, "-c", "import duckdb"]))
    return [cold(f"`team-mail inbox`, cold, {events:,} events", own, "import duckdb", theirs, target)]


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
    "own-id": own_id,
    "batch": batch,
    "send": send,
    "send-in-run": send_in_run,
    "hcom": hcom,
    "inbox-1k": inbox_1k,
    "inbox-100k": inbox_100k,
    "inbox-1m": inbox_large,
    "memory": memory,
    "verify": verify,
    "warm-1m": warm_large,
    "warm-10m": warm_huge,
}


def facts(folder: Path) -> str:
    """Tell what it was measured with; no names of machines or folders."""
    disk = Disk().filesystem(folder) or "unknown file system"
    names = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "typer"))
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), load average {os.getloadavg()[0]:.1f} at the start, "
        f"{platform.system()}, {disk}; "
        f"Python {platform.python_version()}, {names}, SQLite {sqlite3.sqlite_version}{redis_version()}"
    )


def document(rows: Sequence[Row], machine: str, *, quick: bool) -> str:
    command = f'make bench ARGS="{"--quick " * quick}--markdown docs/benchmarks.md"'
    return f"""# Benchmarks

Measured by `{command}`, all contenders in one run, in turn, as medians of {ROUNDS}.
Ratios carry over from machine to machine, times do not.

{machine}.

{markdown(rows)}

- *Acknowledged* means that the send returned after its bytes were flushed to the disk.
  The log seals a segment every 16 MB within what is measured; the contenders write the same bytes.
- *The same bare protocol* is what ours does for an append and nothing else: lock, write, unlock, flush.
- *Cold* is a whole process, from start to exit.
- The log of the inbox rows is mail between {len(PERSONAS)} personas: 60 % messages to one or two of them, \
40 % marks by those who got them.
- *In a process that goes on* there is a new message before every query, and the answer has to begin with it.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100,000 events stand for a million, and none for ten")
    parser.add_argument("--hcom", action="store_true", help="install hcom beside, and measure it, too")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start from bytecode, as they do once installed
    left_out = {name for name, out in (("warm-10m", wanted.quick), ("hcom", not wanted.hcom)) if out}
    names = [name for name in ROWS if name in (wanted.rows or ROWS) and name not in left_out]
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
        wanted.markdown.write_text(document(rows, machine, quick=wanted.quick))
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
