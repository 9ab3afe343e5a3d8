"""The promises about speed, measured beside their contenders: `make bench`, or `make bench ARGS="--quick"`.

Everything is measured in one run on one machine, contenders in turn (A B A B), and compared as medians: ratios travel
from machine to machine, times do not. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from bench import Bench
from commands import (
    check_1k,
    check_100k,
    hcom,
    inbox_1k,
    inbox_100k,
    inbox_large,
    memory,
    send,
    send_in_run,
)  # fmt: skip
from table import ROUNDS, Row, faster, markdown, medians, seconds, show
from team_mail.mail.log.disk import Disk
from team_mail.mail.log.event import derived_id
from team_mail.mail.log.log import EventLog
from writers import (
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


ROWS: dict[str, Callable[[Bench], list[Row]]] = {  # those of small logs first, since the log only grows
    "append-1": append_alone,
    "append-8": append_by_8,
    "append-32": append_by_32,
    "batch": batch,
    "send": send,
    "send-in-run": send_in_run,
    "hcom": hcom,
    "check-1k": check_1k,
    "inbox-1k": inbox_1k,
    "check-100k": check_100k,
    "inbox-100k": inbox_100k,
    "own-id": own_id,
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


def document(rows: Sequence[Row], machine: str) -> str:
    command = f'make bench BENCH=mail ARGS="{shlex.join(sys.argv[1:])}"'
    return f"""# Benchmarks

Measured by `{command}`, all contenders in one run, in turn, as medians of {ROUNDS}.
Ratios carry over from machine to machine, times do not.

{machine}.

{markdown(rows)}

- *Acknowledged* means that the send returned after its bytes were flushed to the disk.
  The log seals a segment every 16 MB within what is measured; the contenders write the same bytes.
- *The same bare protocol* is what ours does for an append and nothing else: lock, write, unlock, flush.
- *Cold* is a whole process, from start to exit.
- Before each `check` twenty messages of others are sent, and one to the persona of the row with new mail.
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
        wanted.markdown.write_text(document(rows, machine))
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
