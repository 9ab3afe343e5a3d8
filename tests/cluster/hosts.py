"""Hosts for tests: each a network namespace with a link of its own, and its own files, processes, name and boot id.

They are connected by a bridge in a namespace of its own, so that nothing of the machine's network is touched. On the
first one runs a PostgreSQL, set up as docs/cluster.md tells. Only root can make them. All processes of a host end with
the first one, which is ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import SIGCONT
from typing import Self

import psutil

DOC = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
NAME, PASSWORD = "db.example.org", "a pass:word"
NAMES = ("host-a", "host-b", "host-c")
QUIET = {
    name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "_TEAM", "PG", "GIT_", "COV"))
}
BOOT = "/proc/sys/kernel/random/boot_id"
BEGIN = """\
hostname "$1"
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$2"
echo "$3" > "$2/boot_id"
mount --bind "$2/boot_id" "$4"
printf '127.0.0.1 localhost %s\\n%s %s\\n' "$1" "$5" "$6" > "$2/hosts"
mount --bind "$2/hosts" /etc/hosts
ip link set lo up
echo ready
exec > /dev/null
while true; do sleep 3600 & wait; done # takes leave of the dead, as the first process of a host has to
"""
SERVER = """\
import sys; from pathlib import Path; from team_mail.mail.remote.local import LocalServer
server = LocalServer(Path(sys.argv[1]), {"listen_addresses": sys.argv[3] if len(sys.argv) > 3 else ""})
getattr(server, sys.argv[2])()
print(server.url)
"""


def missing() -> str:
    """Return why there can be no such hosts here; "" if there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    lacking = [name for name in ("ip", "unshare", "nsenter", "openssl") if not shutil.which(name)]
    return f"{lacking[0]} is not installed" if lacking else ""


def block(language: str, word: str) -> str:
    """Return the block of the document in a language that has a word in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", DOC, flags=re.DOTALL) if word in text]
    return found


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True)


class Host:
    """One host. `place` is where its own file system is, the same path on each."""

    def __init__(self, name: str, number: int, hub: str, place: Path) -> None:
        self.name, self.place, self.hub, self.address = name, place, hub, f"10.77.0.{number}"
        self.space, self.port = f"{hub}-{name[-1]}", f"{hub[-6:]}{name[-1]}"
        self.environ = QUIET | {"HOME": str(place), "XDG_STATE_HOME": str(place / "state"), "TMPDIR": str(place)}
        self._outer: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[bytes]] = []
        self.pid = 0

    def __enter__(self) -> Self:
        ip("netns", "add", self.space)
        ip("-n", self.hub, "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("-n", self.hub, "link", "set", self.port, "master", "bridge", "up")
        ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.space, "link", "set", "eth0", "up")
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        ip("netns", "del", self.space)

    def boot(self) -> None:
        """Start the host, with empty files."""
        words = [
            "ip",
            "netns",
            "exec",
            self.space,
            "unshare",
            "--uts",
            "--pid",
            "--mount",
            "--mount-proc",
            "--kill-child",
        ]
        begin = ["sh", "-ec", BEGIN, "-", self.name, str(self.place), str(uuid.uuid4()), BOOT, "10.77.0.1", NAME]
        self._outer = subprocess.Popen(
            [*words, "--fork", *begin], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._outer.stdout
        assert self._outer.stdout.readline() == "ready\n"
        (first,) = psutil.Process(self._outer.pid).children()
        self.pid = first.pid
        self.file(".pgpass", f"{NAME}:*:team:*:" + PASSWORD.replace(":", r"\:") + "\n")

    def end(self) -> None:
        """Take the power away: all its processes end at once, and its files are gone."""
        if self._outer is not None:
            with suppress(ProcessLookupError):
                self._outer.kill()  # and with it the first process of the namespace
            self._outer.wait()
            assert self._outer.stdout
            self._outer.stdout.close()
            self._outer = None

    def _within(self, words: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-n", "-p", f"--wd={self.place}", *words]

    def run(
        self, *words: str, check: bool = True, stdin: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, in its own folder."""
        ended = subprocess.run(
            self._within(words), env=self.environ | environ, input=stdin, capture_output=True, text=True, check=False
        )
        assert not check or ended.returncode == 0, (
            f"{self.name}: {words[:3]}: {ended.stdout[-500:]} {ended.stderr[-2000:]}"
        )
        return ended

    def start(self, *words: str, log: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command on the host; what it prints goes to a file there."""
        shell = ["sh", "-c", 'cd "$1"; shift; out=$1; shift; exec "$@" >> "$out" 2>&1', "-", str(self.place)]
        started = subprocess.Popen(
            self._within([*shell, str(self.place / log), *words]), env=self.environ | dict(environ or {}),
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._started.append(started)
        return started

    def file(self, name: str, text: str) -> None:
        """Write a file on the host, readable for its user alone."""
        self.run(
            "sh", "-c", 'umask 077; mkdir -p "$(dirname "$1")"; cat > "$1"', "-", str(self.place / name), stdin=text
        )

    def text(self, name: str) -> str:
        """Return what is in a file of the host; "" if there is none."""
        return self.run("cat", str(self.place / name), check=False).stdout

    def kill(self, pattern: str, signal: str = "KILL") -> bool:
        """Send a signal to the host's processes whose command line matches; return whether there were any."""
        found = self.run("pkill", f"-{signal}", "-f", pattern, check=False).returncode == 0
        for each in self._started if signal == "CONT" else ():
            if each.poll() is None:
                each.send_signal(SIGCONT)  # our nsenter stops itself with what it has started
        return found

    def cut(self) -> None:
        """Pull the cable."""
        ip("-n", self.hub, "link", "set", self.port, "down")

    def join(self) -> None:
        """Put the cable in again."""
        ip("-n", self.hub, "link", "set", self.port, "up")


class Hosts:
    """Three hosts, and a server on the first."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.hub = f"tm{os.getpid()}"
        self.place = Path("/var/tmp") / f"{self.hub}-place"
        self.url = f"postgresql://host_login@{NAME}/team?sslmode=verify-full&sslrootcert={self.place}/ca.crt"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.place, ignore_errors=True)
            self.place.mkdir()
            ip("netns", "add", self.hub)
            stack.callback(ip, "netns", "del", self.hub)
            ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
            ip("-n", self.hub, "link", "set", "bridge", "up")
            self.all = [
                stack.enter_context(Host(name, number, self.hub, self.place)) for number, name in enumerate(NAMES, 1)
            ]
            self._serve()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def server(self) -> str:
        return str(self.place / "db" / "s")

    def _serve(self) -> None:
        """Set the server up as the document tells."""
        first = self.all[0]
        first.run("sh", "-ec", "mkdir -m 755 db certificates")
        local = first.run(sys.executable, "-c", SERVER, self.server, "start").stdout.strip()
        first.run(str(Path(sys.executable).with_name("team")), "cluster", "init", "--url", local)
        first.run(sys.executable, "-c", SERVER, self.server, "stop")
        with tempfile.TemporaryDirectory() as made:
            subprocess.run(["sh", "-ec", block("sh", "openssl")], cwd=made, check=True, capture_output=True)
            for host in self.all:
                host.file("ca.crt", (Path(made) / "ca.crt").read_text())
            for name in ("server.crt", "server.key"):
                first.file(f"db/s/data/{name}", (Path(made) / name).read_text())
        first.file("db/s/data/pg_hba.conf", block("conf", "hostssl").replace("peer", "trust"))
        first.run("sh", "-ec", 'cat >> "$1/postgresql.conf"; chown --reference="$1" "$1"/*', "-", f"{self.server}/data",
                  stdin=block("ini", "ssl_cert_file"))  # fmt: skip
        self.start()
        logins = "".join(
            f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' IN ROLE team_mail_{role};"
            for login, role in (("host_login", "leader"), ("worker_login", "worker"))
        )
        first.run(sys.executable, "-c", "import sys, psycopg; c = psycopg.connect(sys.argv[1]); "
                  "c.execute(sys.argv[2]); c.commit()", local, logins)  # fmt: skip

    def start(self) -> None:
        """Start the server, as often as it takes: old processes may linger for a moment after a kill."""
        for _ in range(50):
            words = (sys.executable, "-c", SERVER, self.server, "start", "*")
            if self.all[0].run(*words, check=False).returncode == 0:
                return
            self.all[0].run("sh", "-c", f"rm -f {self.server}/data/postmaster.pid; sleep 0.2")
        raise AssertionError(self.all[0].text("db/s/log")[-2000:])

    def kill_server(self) -> None:
        """Kill every process of the server."""
        self.all[0].run("pkill", "-9", "-x", "postgres", check=False)
