"""Waking: how soon mail launches its recipient, and how soon it is in the inbox of one that runs.

The team is led by `scheduler run` in a process of its own, and each message is sent by `team-mail send` in another one.
What is told is the time from the event of the mail to that of the run, or to the file.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import quantiles

from table import Row, markdown, show
from team_mail.mail.log.event import Event
from team_mail.mail.log.log import EventLog

BIN = Path(sys.executable).parent
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
# ann runs until she is told to end, so that a sprint stays open; bob has nothing to do.
AGENT = "cat > /dev/null; if [ $TEAM_PERSONA = ann ]; then while [ ! -e {over} ]; do sleep 0.1; done; fi"
SETTINGS = """\
[team]
agent = "shell"
[agents.shell]
command = ["sh", "-c", "{agent}"]
[sprint]
every = "1d"
deliver = "running"
max_attempts = 1000
max_wakes = 1000
"""
PATIENCE = 60.0


@contextmanager
def led(folder: Path) -> Iterator[EventLog]:
    """Lead a team of ann and bob."""
    personas = folder / ".team" / "personas"
    personas.mkdir(parents=True)
    for name in ("ann", "bob"):
        (personas / f"{name}.md").write_text("Do your part.\n")
    agent = AGENT.format(over=folder / "over")
    (folder / ".team" / "team.toml").write_text(SETTINGS.format(agent=agent))
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "Begin")):
        subprocess.run(["git", *WHO, *words], cwd=folder, check=True)
    (folder / ".team" / "mail").mkdir()
    log = EventLog(folder / ".team" / "mail")
    scheduler = subprocess.Popen([BIN / "scheduler", "run"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        yield log
    finally:
        (folder / "over").touch()
        scheduler.send_signal(signal.SIGTERM)
        scheduler.wait(PATIENCE)


def until(log: EventLog, fits: Callable[[Event], bool], since: int) -> Event:
    """Wait for an event."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := next((event for event in log.read(since) if fits(event)), None):
            return found
        time.sleep(0.005)
    sys.exit("it never came")


def sent(folder: Path, log: EventLog, to: str) -> Event:
    """Send a message in another process; return its event."""
    before = log.head().seq
    words = [BIN / "team-mail", "send", "--from", "you", "--to", to, "-s", "Look", "-b", "Please."]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return until(log, lambda event: event.kind == "mail.sent" and event.recipients == (to,), before)


def at(event: Event) -> float:
    return datetime.fromisoformat(event.ts).timestamp()


def woken(folder: Path, log: EventLog, *, is_open: bool) -> float:
    """Return the seconds from a message to bob to his run, once that has ended."""
    mail = sent(folder, log, "bob")
    run = until(log, lambda event: event.kind == "run.started" and event.data["persona"] == "bob", mail.seq)
    end = "run.finished" if is_open else "sprint.finished"
    until(log, lambda event: event.kind == end, run.seq)
    return at(run) - at(mail)


def delivered(folder: Path, log: EventLog, workspace: Path) -> float:
    """Return the seconds from a message to ann, who runs, to its file."""
    mail = sent(folder, log, "ann")
    file = workspace / ".team" / "run" / "inbox" / f"{mail.seq}.md"
    end = time.monotonic() + PATIENCE
    while not file.exists():
        if time.monotonic() > end:
            sys.exit("the file never came")
        time.sleep(0.005)
    return file.stat().st_mtime - at(mail)


def row(what: str, took: list[float]) -> Row:
    cuts = quantiles(took, n=20)
    text = f"{1000 * cuts[9]:.0f} ms; the slowest twentieth {1000 * cuts[18]:.0f} ms"
    return Row(f"{what}, the median of {len(took)}", text, "", "", "≤ 1 s", cuts[18] <= 1)


def rows(count: int) -> list[Row]:
    table: list[Row] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name, led(Path(name)) as log:
        folder = Path(name)
        ann = until(log, lambda event: event.kind == "run.started" and event.data["persona"] == "ann", 0)
        until(log, lambda event: event.kind == "run.finished" and event.data["persona"] == "bob", 0)
        took = [woken(folder, log, is_open=True) for _ in range(count)]
        table.append(row("from mail to the run of its recipient, while others run", took))
        state = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "team-mail"
        (workspace,) = state.glob(f"*/{ann.run}")
        took = [delivered(folder, log, workspace) for _ in range(count)]
        table.append(row("from mail to a file in the inbox of its recipient, who runs", took))
        (folder / "over").touch()
        until(log, lambda event: event.kind == "sprint.finished", 0)
        took = [woken(folder, log, is_open=False) for _ in range(count)]
        table.insert(0, row("from mail to the run of its recipient, while nobody runs", took))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    table = rows(given.count)
    show(table)
    if given.markdown:
        given.markdown.write_text(markdown(table))


if __name__ == "__main__":
    main()
