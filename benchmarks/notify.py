"""Notices: how soon an event is a request, and what an endpoint that never answers costs the others.

The team is led by `scheduler run` in a process of its own, and the endpoints are servers on loopback in this one.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import quantiles

from table import Row, show
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

SCHEDULER = str(Path(sys.executable).with_name("scheduler"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
SETTINGS = """\
[agents.shell]
command = ["true"]
[sprint]
every = "1d"
"""
ENDPOINT = """\
[notify.{name}]
kind = "webhook"
url = "http://localhost:{port}/"
secret_file = "secret"
on = ["patch.held"]
"""


class Receiver(ThreadingHTTPServer):
    """Notes when each event came; one that is dead takes requests, and never answers."""

    def __init__(self, *, dead: bool = False) -> None:
        self.came: dict[str, float] = {}
        self.news = threading.Condition()
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with receiver.news:
                    receiver.came.setdefault(body["id"], time.perf_counter())
                    receiver.news.notify_all()
                if dead:
                    receiver.over.wait()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def until(self, count: int) -> None:
        with self.news:
            if not self.news.wait_for(lambda: len(self.came) >= count, 600):
                sys.exit(f"{len(self.came)} of {count} notices came")


@contextmanager
def led(folder: Path, **receivers: Receiver) -> Iterator[EventLog]:
    """Lead a team with these endpoints that has nothing to do."""
    personas = folder / ".team" / "personas"
    personas.mkdir(parents=True)
    (folder / "secret").write_text(base64.b64encode(os.urandom(32)).decode())
    tables = "".join(ENDPOINT.format(name=name, port=each.server_port) for name, each in receivers.items())
    (folder / ".team" / "team.toml").write_text(SETTINGS + tables)
    (personas / "nova.md").write_text("---\nid: nova\n---\nWrite.\n")
    for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=Begin"):
        subprocess.run(["git", *WHO, *words.split()], cwd=folder, check=True)
    process = subprocess.Popen(
        [SCHEDULER, "run"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    log = EventLog(folder / ".team" / "mail")
    try:
        while "waiting for mail" not in (line := process.stderr.readline()):
            if not line:
                sys.exit("the team did not come to rest")
        while sum(event.kind == "notice.opened" for event in log.read()) < len(receivers):
            time.sleep(0.05)
        yield log
    finally:
        for receiver in receivers.values():
            receiver.over.set()
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def held() -> Draft:
    return Draft(
        "patch.held", "weaver", ref="run", data={"persona": "nova", "files": [], "why": "a benchmark", "tick": 1}
    )


def latency(folder: Path, count: int) -> Row:
    """Append events one at a time, a quarter of a second apart; return how late the slowest twentieth was."""
    receiver = Receiver()
    with led(folder, ci=receiver) as log:
        began: dict[str, float] = {}
        for number in range(count):
            at = time.perf_counter()
            (event,) = log.append([held()])
            began[event.id] = at
            receiver.until(number + 1)
            time.sleep(0.25)
    late = [receiver.came[event] - at for event, at in began.items()]
    slowest = quantiles(late, n=20)[-1]
    what = f"from an event to its request, the slowest twentieth of {count}"
    return Row(what, f"{slowest * 1e3:.0f} ms", "", "", "≤ 1 s", slowest <= 1)


def many(folder: Path, count: int, **others: Receiver) -> float:
    """Append events at once; return the seconds until all came to an endpoint that answers, beside some others."""
    receiver = Receiver()
    with led(folder, ci=receiver, **others) as log:
        began = time.perf_counter()
        log.append([held() for _ in range(count)])
        receiver.until(count)
    return max(receiver.came.values()) - began


def undelayed(folder: Path, count: int) -> Row:
    """Compare with a second endpoint that never answers, and without it, in turn."""
    alone, beside = list[float](), list[float]()
    for number in range(3):
        alone.append(many(folder / f"alone-{number}", count))
        beside.append(many(folder / f"beside-{number}", count, dead=Receiver(dead=True)))
    own, theirs = sorted(beside)[1], sorted(alone)[1]
    ratio = own / theirs
    what = f"{count:,} events to an endpoint, beside one that never answers"
    return Row(what, f"{own:.2f} s", f"without that one: {theirs:.2f} s", f"{ratio:.2f}", "≤ 1.1 times", ratio <= 1.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as scratch:
        folder = Path(scratch)
        rows = [latency(folder / "latency", 40 if given.quick else 200)]
        rows.append(undelayed(folder, 100 if given.quick else 1_000))
    if given.json:
        json.dump([row._asdict() for row in rows], sys.stdout)
    else:
        show(rows)
    print(f"load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if not all(row.met in {True, None} for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
