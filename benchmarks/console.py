"""The console: how soon what an agent writes is with who watches, and what many watchers cost.

The console is `team console` in a process of its own, its agents are commands, and who watches is in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from table import Row, show

TEAM = str(Path(sys.executable).with_name("team"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
AGENT = """\
import os, sys, time
count, rate = {count}, {rate}
begin = time.time()
for number in range(count):
    time.sleep(max(0.0, begin + number / rate - time.time()))
    os.write(1, b"%d %.6f\\n" % (number, time.time()))
"""
_CLOSE = 10  # viewers that read each line


class Console:
    """A console of a team with many personas, and a client that has logged in."""

    def __init__(self, folder: Path, agent: str, personas: int) -> None:
        self.folder = folder
        (folder / ".team" / "personas").mkdir(parents=True)
        for number in range(personas):
            (folder / ".team" / "personas" / f"p{number}.md").write_text(f"---\nid: p{number}\n---\nSay it.\n")
        (folder / "agent.py").write_text(agent)
        command = json.dumps([sys.executable, "-S", "-E", str(folder / "agent.py")])
        settings = (
            f'[team]\nagent = "it"\n[agents.it]\ncommand = {command}\nprompt = "file"\n[console]\nmax_runs = 64\n'
        )
        (folder / ".team" / "team.toml").write_text(settings.replace('agent.py"]', 'agent.py", "{prompt_file}"]'))
        git = ("git", *WHO)
        for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "Begin")):
            subprocess.run([*git, *words], cwd=folder, check=True)
        self.process = subprocess.Popen([TEAM, "console", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        address = re.search(r"http://127.0.0.1:(\d+)(/login\S+)", self.process.stdout.readline())
        assert address
        self.port = int(address[1])
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", address[2])
            self.cookie = str(connection.getresponse().getheader("set-cookie")).partition(";")[0]

    def ask(self, personas: int, path: str = "/api/asks") -> tuple[http.client.HTTPConnection, Any]:
        """Ask the first personas; return the connection and the answer."""
        tasks = [{"persona": f"p{number}", "prompt": "Say it."} for number in range(personas)]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", path, json.dumps({"tasks": tasks}), {"cookie": self.cookie})
        return connection, connection.getresponse()

    def detached(self, personas: int) -> str:
        connection, answer = self.ask(personas)
        with closing(connection):
            return str(json.loads(answer.read())["id"])

    async def open(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for a stream, and read its headers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncookie: {self.cookie}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    def memory(self, *, peak: bool = False) -> float:
        """Return the resident memory of the server, in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", text)
        return int(found[1]) / 1024 if found else 0.0

    def cpu(self) -> float:
        """Return the seconds of CPU that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        """End the server; return how long that took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.perf_counter() - began


@contextmanager
def console(agent: str, personas: int) -> Iterator[Console]:
    """Serve a console, for a while."""
    with tempfile.TemporaryDirectory(prefix="team-bench-") as folder:
        served = Console(Path(folder), agent, personas)
        try:
            yield served
        finally:
            if served.process.poll() is None:
                served.stop()
            assert served.process.stdout
            served.process.stdout.close()


async def heard(served: Console, path: str) -> tuple[dict[str, list[int]], list[float]]:
    """Watch a stream to its end; return the numbers that each persona said, in order, and how late each line was.

    A line is complete for the reader when the next one begins, but its time stands in it from its first byte on.
    """
    reader, writer = await served.open(path)
    lines: dict[str, list[int]] = {}
    late: list[float] = []
    event = ""
    while row := await reader.readline():
        if row.startswith(b"event: "):
            event = row[7:-1].decode()
            if event == "complete":
                break
        elif row.startswith(b"data: ") and event[:1] == "p" and b" " in (data := row[6:-1]):
            number, _, written = data.partition(b" ")
            lines.setdefault(event, []).append(int(number))
            late.append(time.time() - float(written))
    writer.close()
    return lines, late


async def counted(served: Console, path: str) -> int:
    """Watch a stream to its end, and only count its events: two hundred who read each line would take all the time."""
    reader, writer = await served.open(path)
    count, rest = 0, b""
    while data := await reader.read(1 << 18):
        data = rest + data
        count += data.count(b"\nevent: ")
        rest = data[-8:] if not data.endswith(b"\nevent: ") else b""
        if b"event: complete" in data:
            break
    writer.close()
    return count


def late_of(late: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 95th percentile and the most, in milliseconds."""
    cuts = quantiles(late, n=20)
    return 1000 * cuts[9], 1000 * cuts[18], 1000 * max(late)


def row(what: str, got: str, target: str, met: bool) -> Row:
    return Row(what, got, "", "", target, met)


def latency() -> list[Row]:
    """One agent that says a line each 20 ms."""
    with console(AGENT.format(count=200, rate=50), 1) as served:
        _, late = asyncio.run(heard(served, f"/api/asks/{served.detached(1)}/stream"))
    middle, most, worst = late_of(late[10:])
    return [
        row(
            "an agent's write → client",
            f"p50 {middle:.0f}, p95 {most:.0f}, max {worst:.0f} ms",
            "p95 ≤ 50 ms",
            most <= 50,
        )
    ]


def three() -> list[Row]:
    """Three agents of two seconds."""
    with console("import time; time.sleep(2); print('done')", 3) as served:
        took: list[float] = []
        for _ in range(3):
            began = time.perf_counter()
            connection, answer = served.ask(3, "/api/chat/multi")
            with closing(connection):
                answer.read()
            took.append(time.perf_counter() - began)
    shown = ", ".join(f"{each:.2f}" for each in took)
    return [row("3 personas of 2 s, asked at once", f"{shown} s", "≤ 2.4 s", sorted(took)[1] <= 2.4)]


def fifty(count: int) -> list[Row]:
    """Fifty agents of a hundred lines a second each."""
    with console(AGENT.format(count=count, rate=100), 50) as served:
        before = served.cpu()
        lines, late = asyncio.run(heard(served, f"/api/asks/{served.detached(50)}/stream"))
        peak, used = served.memory(peak=True), served.cpu() - before
    middle, most, worst = late_of(late)
    whole = len(lines) == 50 and all(numbers == [*range(count)] for numbers in lines.values())
    got = f"{sum(map(len, lines.values())):,} of {50 * count:,}, {'in order' if whole else 'NOT in order'}"
    return [
        row("50 personas × 100 lines/s", got, "all, in order", whole),  # noqa: RUF001
        row("… how late", f"p50 {middle:.0f}, p95 {most:.0f}, max {worst:.0f} ms", "p95 ≤ 50 ms", most <= 50),
        row("… server", f"{peak:.0f} MB, {used:.1f} s of CPU", "≤ 150 MB", peak <= 150),
    ]


def viewers(number: int, count: int) -> list[Row]:
    """Eight agents of a hundred lines a second each, and many who watch all of them; ten of these read each line."""

    async def everybody(path: str) -> tuple[list[Any], list[int]]:
        reading = asyncio.gather(*(heard(served, path) for _ in range(_CLOSE)))
        counting = asyncio.gather(*(counted(served, path) for _ in range(number - _CLOSE)))
        return await reading, await counting

    with console(AGENT.format(count=count, rate=100), 8) as served:
        ask, began, before = served.detached(8), time.perf_counter(), served.cpu()
        got, frames = asyncio.run(everybody(f"/api/asks/{ask}/stream"))
        took, used, peak = time.perf_counter() - began, served.cpu() - before, served.memory(peak=True)
        most_frames = asyncio.run(counted(served, f"/api/asks/{ask}/stream"))
    whole = sum(all(lines.get(f"p{each}") == [*range(count)] for each in range(8)) for lines, _ in got)
    whole += frames.count(most_frames)
    _, most, _ = late_of([each for _, late in got for each in late])
    share = used / took
    what = f"{number} viewers of 8 × 100 lines/s"  # noqa: RUF001
    return [
        row(what, f"{whole} got all of {8 * count:,}; p95 {most:.0f} ms", "all", whole == number),
        row(
            "… server",
            f"{peak:.0f} MB, {share:.2f} of a core, {used:.1f} s",
            "≤ 150 MB, ≤ 0.5",
            peak <= 150 and share <= 0.5,
        ),
    ]


def stalled(number: int) -> list[Row]:
    """Many who never read a stream of 9 MB, and one who comes late."""

    async def hold(path: str) -> tuple[float, float]:
        before = served.memory()
        held = [await served.open(path) for _ in range(number)]
        for _, writer in held:
            writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.sleep(1.0)
        after = served.memory()
        began = time.perf_counter()
        reader, writer = await served.open(path)
        while b"event: complete" not in await reader.readline():
            pass
        took = time.perf_counter() - began
        for _, each in [*held, (reader, writer)]:
            each.close()
        return after - before, took

    with console("import os\nfor _ in range(90): os.write(1, (b'x' * 99 + b'\\n') * 1000)", 1) as served:
        ask = served.detached(1)
        asyncio.run(heard(served, f"/api/asks/{ask}/stream"))
        more, took = asyncio.run(hold(f"/api/asks/{ask}/stream"))
    return [
        row(f"{number} viewers that never read 9 MB", f"{more:+.1f} MB", "+ 0 MB (≤ 0.2 each)", more <= 0.2 * number),
        row("a late viewer of 9 MB", f"{took:.2f} s", "", True),
    ]


def stopping() -> list[Row]:
    """The end of the console with streams open, and agents that end when they are asked to, or do not."""
    rows: list[Row] = []
    for name, deaf, most in (
        ("", "", 1.0),
        (" (deaf agents, 5 s of grace)", "signal.signal(15, lambda *_: None)", 6.0),
    ):
        agent = f"import signal, time\n{deaf}\nprint('begun', flush=True)\nend = time.time() + 60\n"
        with console(agent + "while time.time() < end: time.sleep(0.1)\n", 2) as served:
            connection, answer = served.ask(2, "/api/chat/multi")
            with closing(connection):
                answer.readline()
                took = served.stop()
            log = (served.folder / ".team" / "mail" / "events.jsonl").read_text()
            ends = log.count('"kind":"run.started"'), log.count('"kind":"run.lost"')
        got = f"{took:.2f} s, {ends[1]} of {ends[0]} runs on record"
        rows.append(row(f"stop with open streams{name}", got, f"≤ {most:g} s", took <= most and ends[0] == ends[1]))
    return rows


def main() -> None:
    """Measure it all, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer lines and viewers")
    parser.add_argument("--only", default="", help="latency, three, fifty, viewers, stalled or stopping")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    count = 100 if given.quick else 500
    parts = {
        "latency": latency, "three": three, "fifty": lambda: fifty(count),
        "viewers": lambda: viewers(50 if given.quick else 200, count), "stalled": lambda: stalled(20),
        "stopping": stopping,
    }  # fmt: skip
    rows = [each for name, part in parts.items() if given.only in {"", name} for each in part()]
    show(rows)
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    sys.exit(any(each.met is False for each in rows))


if __name__ == "__main__":
    main()
