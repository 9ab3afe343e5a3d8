"""Hosts whose server, links and workers fail at random, for STORM_SECONDS: what was acknowledged is there, once."""

from __future__ import annotations

import json
import os
import random
import sys
import time
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
        self.count = {"server killed": 0, "link cut": 0} | dict.fromkeys(targets, 0)
        self._back: list[tuple[float, Host]] = []  # when which link is put in again

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
        elif not self.random.choice(self.hosts.all).kill(self.targets[what]):
            return
        self.count[what] += 1

    @property
    def away(self) -> list[Host]:
        """The hosts whose cable is out; never all of them."""
        return [host for _, host in self._back]

    def calm(self, *, now: bool = False) -> None:
        """Put in the cables whose time has come, or all."""
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
