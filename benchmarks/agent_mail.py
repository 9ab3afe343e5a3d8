"""Mail where agents are: `team mcp` from its start to a greeting, its tools on a long log, and the hook of an agent.

`make bench BENCH=agent_mail`. The start is measured beside a process that imports the SDK alone. Exits with 1 if a row
misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench import Bench
from mcp import Client, StdioServerParameters, stdio_client
from table import ROUNDS, Row, medians, show
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_mailbox
from writers import PERSONAS

EVENTS = 100_000
TEAM = str(Path(sys.executable).with_name("team"))
WHO = PERSONAS[1]
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
CALLS: dict[str, dict[str, Any]] = {
    "inbox": {}, "read": {"message": "the newest", "peek": True},
    "send": {"to": [PERSONAS[0]], "subject": "x"}, "search": {"words": "chapter"},
}  # fmt: skip


def greeting(folder: Path) -> float:
    """Time a start up to the answer to `initialize`."""
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}) + "\n"
    begun = time.perf_counter()
    with subprocess.Popen([TEAM, "mcp", "-p", WHO], cwd=folder, stdin=-1, stdout=-1, text=True) as server:
        server.stdin.write(line)
        server.stdin.flush()
        assert "serverInfo" in server.stdout.readline()
        taken = time.perf_counter() - begun
        server.stdin.close()
    return taken


def importing() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from mcp.server import MCPServer"], check=True)
    return time.perf_counter() - begun


def hook(folder: Path) -> float:
    begun = time.perf_counter()
    words = [TEAM, "hook", "show", "claude", "--persona", WHO, "prompt"]
    subprocess.run(words, cwd=folder, input=b"{}", check=True, capture_output=True)
    return time.perf_counter() - begun


def noticed(folder: Path) -> float:
    words = [str(Path(TEAM).with_name("team-mail")), "send", "--to", WHO, "--from", PERSONAS[0], "-s", "x"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return hook(folder)


async def calls(folder: Path) -> list[Row]:
    server = StdioServerParameters(command=TEAM, args=["mcp", "-p", WHO], cwd=folder)
    rows = []
    async with Client(stdio_client(server)) as client:
        listed = await client.call_tool("inbox", {"unread": False, "limit": 1})
        newest = listed.content[0].text.partition("] ")[2].partition(" ")[0]
        for name, given in CALLS.items():
            arguments = {key: newest if value == "the newest" else value for key, value in given.items()}
            times = []
            for _ in range(ROUNDS + 1):
                begun = time.perf_counter()
                assert not (await client.call_tool(name, arguments)).is_error
                times.append(time.perf_counter() - begun)
            taken = median(times[1:])
            rows.append(Row(f"`{name}`, {EVENTS:,} events", ms(taken), "", "", "≤ 30 ms", taken <= 0.03))
    return rows


def measured(folder: Path) -> Iterator[Row]:
    ours, sdk = medians(lambda: greeting(folder), importing)
    yield Row(
        "start to greeting", ms(ours), f"{ms(sdk)} importing the SDK", f"{ours / sdk:.2f}", "≤ 1.5", ours <= 1.5 * sdk
    )
    yield from asyncio.run(calls(folder))
    empty, full = medians(lambda: hook(folder), lambda: noticed(folder))
    yield Row("hook without mail", ms(empty), "", "", "≤ 200 ms", empty <= 0.2)
    yield Row("send, and hook with mail", ms(full), "", "", "≤ 200 ms", full <= 0.2)


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="as the other benchmarks have it; it changes nothing here")
    parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
        folder = Path(name)
        (folder / ".team").mkdir()
        (folder / "team").symlink_to(".team")
        bench = Bench(folder, quick=True)
        bench.grow(EVENTS)
        mailbox = open_mailbox(folder / ".team")
        unread = [message.id for message in mailbox.inbox(WHO, unread=True)]
        mailbox.log.append([Draft("mail.read", WHO, ref=each) for each in unread])
        rows = [*measured(folder)]
    show(rows)
    print(f"\n{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f} at the end")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
