"""Hosts whose server, links and workers fail at random, for STORM_SECONDS: what was acknowledged is there, once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..samples import STORM
from .hosts import Host, Hosts, missing

SECONDS = float(os.environ.get("STORM_SECONDS", "600"))
SEED = int(os.environ.get("STORM_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
pytestmark = [pytest.mark.cluster, STORM, pytest.mark.skipif(bool(missing()), reason=missing() or "as root")]
BIN = Path(sys.executable).parent
# Appends events with ids of its own, one after the other, and writes down those that were acknowledged, until END is
# there. An event whose fate is not known is sent again with the same id; so it goes on where a killed one ended.
WRITER = """\
import sys
from pathlib import Path
from team_mail.mail.errors import InDoubt, LogUnavailable
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.open import open_log
home, who, acknowledged, end = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
log = open_log(home)
count = len(acknowledged.read_text().splitlines()) if acknowledged.exists() else 0
with acknowledged.open("a", buffering=1) as told:
    while not end.exists():
        own = derived_id(who, str(count))
        try:
            (event,) = log.append([Draft("mail.sent", "you", ("you",), f"{who} {count}", id=own)])
        except (InDoubt, LogUnavailable):
            continue
        told.write(f"{own} {event.seq}\\n")
        count += 1
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts() as made:
        for host in made.all:
            host.environ |= {"TEAM_HOME": str(made.place / ".team"), "TEAM_LOG_URL": made.url}
        yield made


class Writers:
    """One writer on each host, which is started again whenever it is found dead."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts, self.end = hosts, hosts.place / "END"
        for host in hosts.all:
            host.file("writer.py", WRITER)
        self._running = {host.name: self._start(host) for host in hosts.all}

    def _start(self, host: Host):
        words = [sys.executable, "writer.py", str(host.place / ".team"), host.name, "acknowledged", str(self.end)]
        return host.start(*words, log="writer.log")

    def go_on(self) -> None:
        """Start those again that were killed."""
        for host in self.hosts.all:
            if self._running[host.name].poll() is not None:
                self._running[host.name] = self._start(host)

    def stop(self) -> dict[str, int]:
        """End them, and return the seq of each event that was acknowledged, by id."""
        acknowledged: dict[str, int] = {}
        self.go_on()
        for host in self.hosts.all:
            host.file("END", "")
        for host in self.hosts.all:
            self._running[host.name].wait(120)
            for line in host.text("acknowledged").splitlines():
                own, seq = line.split()
                acknowledged[own] = int(seq)
        return acknowledged


class Weather:
    """What happens to the hosts: at random, from a seed that is told."""

    def __init__(self, hosts: Hosts, targets: dict[str, str]) -> None:
        self.hosts, self.targets, self.random = hosts, targets, random.Random(SEED)
        self.count = {"server killed": 0, "link cut": 0, "suspended": 0} | dict.fromkeys(targets, 0)
        self._back: list[tuple[float, Host]] = []  # when which link is put in again
        self._asleep: list[tuple[float, Host, str]] = []  # when what goes on where

    def strike(self) -> None:
        """Let one thing happen."""
        what = self.random.choice([*self.count])
        if what == "server killed":
            self.hosts.kill_server()
            time.sleep(self.random.uniform(0, 2))  # how long it is away is a part of what is tried
            self.hosts.start()
        elif what == "link cut":
            host = self.random.choice([each for each in self.hosts.all if each not in self.away])
            host.cut()
            self._back.append((time.monotonic() + self.random.uniform(1, 12), host))
        elif what == "suspended":
            host, target = self.random.choice(self.hosts.all), self.random.choice([*self.targets.values()])
            if not host.kill(target, "STOP"):
                return
            self._asleep.append((time.monotonic() + self.random.uniform(1, 20), host, target))
        elif not self.random.choice(self.hosts.all).kill(self.targets[what]):
            return
        self.count[what] += 1

    @property
    def away(self) -> list[Host]:
        """The hosts whose cable is out; never all of them."""
        return [host for _, host in self._back]

    def calm(self, *, now: bool = False) -> None:
        """Put in the cables whose time has come, and let go on what was suspended; or all."""
        for waking in [*self._asleep]:
            until, host, target = waking
            if now or time.monotonic() >= until:
                host.kill(target, "CONT")
                self._asleep.remove(waking)
        for until, host in [*self._back]:
            if now or time.monotonic() >= until or len(self._back) == len(self.hosts.all):
                host.join()
                self._back.remove((until, host))


def verified(hosts: Hosts) -> dict[str, tuple[int, str]]:
    """Return seq and kind of all events by id, after all hosts have the same whole chain."""
    copies = []
    for host in hosts.all:
        host.run(str(BIN / "team-mail"), "verify")
        copies.append(host.run(str(BIN / "team-mail"), "log", "--json").stdout)
    assert copies[0] == copies[1] == copies[2]
    events = json.loads(copies[0])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    return {event["id"]: (event["seq"], event["kind"]) for event in events}


def test_nothing_acknowledged_is_lost_whatever_fails(hosts):
    """Mail from three hosts, while the server is killed, links are cut, and writers are killed."""
    print(f"seed {SEED} (STORM_SEED), {SECONDS:.0f} s")
    writers, weather = Writers(hosts), Weather(hosts, {"writer killed": "writer.py"})
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        time.sleep(weather.random.uniform(0.5, 4))  # the pauses are those of the weather
        weather.strike()
        weather.calm()
        writers.go_on()
    weather.calm(now=True)
    hosts.start()
    acknowledged = writers.stop()
    events = verified(hosts)
    lost = [own for own, seq in acknowledged.items() if events.get(own, (0, ""))[0] != seq]
    print(f"{len(acknowledged):,} acknowledged, {len(lost)} lost; {len(events):,} events; {weather.count}")
    assert lost == []
    assert len(acknowledged) >= SECONDS  # they did write
    assert not any(host.kill("writer.py") for host in hosts.all)


PERSONAS, TASKS, SLOTS = 8, int(os.environ.get("STORM_TASKS", "200")), 3
SETTINGS = """\
[team]
agent = "shell"
[agents.shell]
command = ["sh", "{place}/agent.sh"]
kill_after = "1s"
[sprint]
retry_backoff = "0s"
max_attempts = 20
[workers]
offer = true
patience = "5m"
"""
# Everybody changes the same line of a file, so all but one conflict, and settle it; a task writes a file of its own.
AGENT = """\
cat > /dev/null
sleep 0.3
if [ -e .team/run/conflict ]; then git checkout -q -- . 2> /dev/null; fi
case $TEAM_PERSONA in
p[0-9]*)
    sed -i "1s/.*/line of $TEAM_PERSONA/" list.txt
    echo "$TEAM_PERSONA was here" > "$TEAM_PERSONA.txt" ;;
*) echo "$TEAM_PERSONA" > "task-$TEAM_RUN.txt" ;;
esac
echo "$TEAM_RUN $TEAM_PERSONA" >> PLACE/runs.journal
"""
QUEUE = """\
import sys
from team_mail.mail.remote.beside import Beside
from team_mail.mail.remote.place import Address
from team_mail.scheduler.hosts.queue import install
install(Beside(Address(sys.argv[1], "team_mail")))
"""
COMMITTED = {
    "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip


class Work:
    """A team whose scheduler and dispatch are on the second host, and whose workers are on all; all are restarted."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts, self.lead = hosts, hosts.all[1]
        names = [f"p{number}" for number in range(PERSONAS)]
        for host in hosts.all:
            host.environ |= COMMITTED
            host.file("agent.sh", AGENT.replace("PLACE", str(host.place)))
            host.file("project/list.txt", "".join(f"line {number}\n" for number in range(20)))
            host.file("project/.gitignore", ".team/\n")
            words = "cd project; git init -q -b main; git add -A; git commit -q -m Begin; git rev-parse HEAD"
            host.base = host.run("sh", "-ec", words).stdout
            for name in names:
                host.file(f"project/.team/personas/{name}.md", f"---\nid: {name}\n---\nDo your part.\n")
            host.file("project/.team/team.toml", SETTINGS.format(place=host.place))
            host.environ |= {"TEAM_HOME": str(host.place / "project" / ".team")}
        tasks = [
            {"task_id": f"t{number}", "agent": "forge", "description": "Write.", "dependencies": []}
            for number in range(TASKS)
        ]
        self.lead.file("project/tasks.json", json.dumps({"tasks": tasks, "config": {"max_workers": 9}}))
        hosts.all[0].run(sys.executable, "-c", QUEUE, hosts.url)
        self.over: dict[str, int] = {}
        self._running: dict[str, object] = {}
        self.correlation = ""
        self.go_on()

    def go_on(self) -> None:
        """Start again what was killed."""
        for host in self.hosts.all:
            self._keep(f"worker {host.name}", host, "team", "worker", "--slots", str(SLOTS), "-q")
        self._keep("sprint", self.lead, "scheduler", "sprint", "--quiet")
        self._keep("dispatch", self.lead, "team", "dispatch", "tasks.json", "--agent", "shell", "-q")

    def _keep(self, name: str, host: Host, program: str, *words: str) -> None:
        process = self._running.get(name)
        if process is not None and (code := process.poll()) is not None and name in {"sprint", "dispatch"}:
            assert code != 2, self.said()  # what it was told is wrong
            if code in {0, 4}:
                self.over[name] = code
            elif name == "dispatch" and not self._find_dispatch():
                return  # else another one would be started
        if name in self.over or (process is not None and process.poll() is None):
            return
        if name == "dispatch" and self.correlation:
            words = (words[0], "--resume", self.correlation, *words[2:])
        shell = ["sh", "-c", 'cd project; exec "$@"', "-", str(BIN / program), *words]
        self._running[name] = host.start(*shell, log=f"{name}.log")

    def _find_dispatch(self) -> bool:
        """Find the dispatch that was cut off, to go on with it; tell whether the log could be asked."""
        found = self.lead.run(str(BIN / "team-mail"), "log", "--json", check=False)
        if found.returncode == 0:
            started = [event for event in json.loads(found.stdout) if event["kind"] == "dispatch.started"]
            self.correlation = started[-1]["data"]["dispatch"] if started else ""
        return found.returncode == 0

    def said(self) -> str:
        """Return the last words of all, for whoever asks why there is no end."""
        logs = [(host, f"{name}.log") for name in ("sprint", "dispatch") for host in [self.lead]]
        logs += [(host, f"worker {host.name}.log") for host in self.hosts.all]
        return "\n".join(f"{name}: {host.text(name)[-1500:]}" for host, name in logs)

    def stop(self) -> None:
        """End the workers in peace."""
        for host in self.hosts.all:
            host.run("pkill", "-TERM", "-f", "team worker|bin/team worker", check=False)
        for name, process in self._running.items():
            if name.startswith("worker"):
                try:
                    process.wait(120)
                except subprocess.TimeoutExpired:
                    raise AssertionError(f"{name} does not end: {self.said()}") from None


def test_every_run_of_a_sprint_and_a_dispatch_ends_once(hosts):
    """Leader, workers, agents, links and the server fail; nothing lands twice, and the branch is what the log says."""
    print(f"seed {SEED} (STORM_SEED), {SECONDS:.0f} s, {TASKS} tasks")
    work = Work(hosts)
    targets = {
        "worker killed": "bin/team worker", "sprint killed": "bin/scheduler sprint",
        "dispatch killed": "bin/team dispatch", "agent killed": "agent.sh",
    }  # fmt: skip
    weather, ends = Weather(hosts, targets), time.monotonic() + SECONDS
    while time.monotonic() < ends and len(work.over) < 2:
        time.sleep(weather.random.uniform(1, 6))
        weather.strike()
        weather.calm()
        work.go_on()
    weather.calm(now=True)
    hosts.start()
    while len(work.over) < 2:  # in calm weather all of it comes to its end
        assert time.monotonic() < ends + 600, work.said()
        time.sleep(1)
        work.go_on()
    work.stop()
    verified(hosts)
    events = json.loads(hosts.all[0].run(str(BIN / "team-mail"), "log", "--json").stdout)
    print(weather.count, work.over, Counter(event["kind"] for event in events))
    runs = {event["run"] for event in events if event["kind"] == "run.started"}
    ended = Counter(event["run"] for event in events if event["kind"] in {"run.finished", "run.lost"})
    assert {run: ended[run] for run in runs if ended[run] != 1} == {}
    landed = [event for event in events if event["kind"] == "patch.landed"]
    twice = Counter(event["ref"] for event in landed)
    assert [patch for patch, count in twice.items() if count > 1] == []
    tasks = {event["run"]: event["data"].get("task") for event in events if event["kind"] == "patch.captured"}
    of_tasks = Counter(tasks[event["ref"]] for event in landed if "dispatch" in event["data"])
    assert [task for task, count in of_tasks.items() if count > 1] == []
    assert len(of_tasks) == TASKS
    (over,) = [event for event in events if event["kind"] == "dispatch.finished"]
    assert over["data"]["successful"] == TASKS, over["data"]
    of_sprint = [event["data"] for event in landed if "dispatch" not in event["data"]]
    assert of_sprint, work.said()
    branch = work.lead.run("sh", "-c", "cd project && git rev-parse team/sprint-1").stdout.strip()
    assert branch == of_sprint[-1]["commit"]
    files = work.lead.run("sh", "-c", "cd project && git ls-tree --name-only team/sprint-1").stdout.split()
    assert {name for name in files if name[0] == "p"} == {f"{data['persona']}.txt" for data in of_sprint}
    for host in hosts.all:
        shown = host.run("ps", "axo", "args").stdout.splitlines()
        assert [line for line in shown if "agent.sh" in line or "bin/team" in line or "warden" in line] == []
