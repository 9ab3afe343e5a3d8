"""A team on several hosts: each a home of its own with a clone of the repository, and one log on a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from team_mail.mail.log.event import Event
from team_mail.mail.open import open_log
from team_mail.mail.remote.connection import Server
from team_mail.scheduler.context import Context
from team_mail.scheduler.hosts.queue import install
from team_mail.team.open import open_team

from .conftest import WHO, git

TEAM = Path(sys.executable).with_name("team")
_TABLES = """\
[log]
url = "{url}"
name = "{name}"
[team]
agent = "shell"
[agents.shell]
command = ["sh", "{script}"]
kill_after = "1s"
[sprint]
retry_backoff = "0s"
{more}
[workers]
offer = true
"""


@dataclass
class Hosts:
    """The hosts of one team. `script` is what its agent does, with TEAM_PERSONA in its environment."""

    folder: Path
    server: Server
    script: str = "true\n"
    settings: str = ""
    personas: tuple[str, ...] = ("ann", "bob")
    bare: tuple[str, ...] = ()  # hosts without a clone
    login: Callable[[str], Server] | None = None  # the login of a host, by its role
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def host(self, name: str) -> Path:
        """Return the home of a host, made when it is first asked for; the first host has the repository."""
        top, first = self.folder / name, self.folder / "repository"
        if not first.exists():
            self._make(first)
        if not top.exists():
            if name not in self.bare:
                git(self.folder, "clone", "--quiet", str(first), str(top))
            (top / ".team").mkdir(parents=True, exist_ok=True)
            script = self.folder / "agent.sh"
            script.write_text(self.script)
            role = "leader" if name == "a" else "worker"
            url, schema = (self.login(role) if self.login else self.server).address
            text = _TABLES.format(url=url, name=schema, script=script, more=self.settings)
            (top / ".team" / "team.toml").write_text(text)
        return top / ".team"

    def _make(self, top: Path) -> None:
        (top / ".team" / "personas").mkdir(parents=True)
        for name in self.personas:
            (top / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
        (top / "poem.txt").write_text("".join(f"line {number}\n" for number in range(30)))
        git(top, "init", "--quiet", "-b", "main")
        git(top, "add", "-A")
        git(top, "commit", "--quiet", "-m", "Begin")

    def context(self, name: str) -> Context:
        return open_team(self.host(name), {})

    def start(self, name: str, *words: str, program: str = "team") -> subprocess.Popen[str]:
        """Start a command on a host; its output comes to `NAME.out`."""
        home = self.host(name)
        with (self.folder / f"{name}.out").open("a") as out:
            process = subprocess.Popen(
                [TEAM.with_name(program), *words], cwd=home.parent, stdout=out, stderr=out, text=True,
                env=os.environ | WHO | {"TEAM_HOME": str(home)},
            )  # fmt: skip
        self.workers.append(process)
        return process

    def worker(self, name: str, *options: str) -> subprocess.Popen[str]:
        return self.start(name, "worker", *options)

    def until_there(self) -> None:
        """Wait until all workers have told that they are there."""
        log, pids, due = open_log(self.host("a")), {each.pid for each in self.workers}, time.monotonic() + 120
        while not pids <= {each.process["pid"] for each in log.presences()}:
            assert time.monotonic() < due, [self.said(each.stem) for each in self.folder.glob("*.out")]
            time.sleep(0.02)

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def events(self, *kinds: str) -> list[Event]:
        log = open_log(self.host("a"))
        return [event for event in log.read() if event.kind in kinds or not kinds]

    def until(self, is_so: Callable[[list[Event]], object], seconds: float = 120.0) -> list[Event]:
        """Wait for the log to become so, by following it; return its events."""
        import threading

        log, stop, events = open_log(self.host("a")), threading.Event(), []
        timer = threading.Timer(seconds, stop.set)
        timer.start()
        try:
            for event in log.follow(0, stop):
                events.append(event)
                if is_so(events):
                    return events
        finally:
            timer.cancel()
            stop.set()
        raise AssertionError(f"it never was so: {[event.kind for event in events][-20:]}")


@contextmanager
def hosts_of(folder: Path, server: Server, **fields: object) -> Iterator[Hosts]:
    """Make the hosts of a team, and end what was started there."""
    from team_mail.mail.remote.beside import Beside

    beside = Beside(server.address)
    install(beside)
    hosts = Hosts(folder, server, **fields)  # type: ignore[arg-type]
    try:
        yield hosts
    finally:
        for process in hosts.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        beside.rows(f"DROP SCHEMA {beside.schema} CASCADE", {})
        beside.close()
