"""The promises about agents' streams: 100 MB read in 3 seconds, in memory that does not grow with the stream.

`make bench BENCH=stream`. The stream is like Claude Code's: answers with their tokens, tool calls, and results of tools
that are larger, here made up with fixed seeds. It is read as a keeper reads it, in pieces of 64 KiB, and by a real
keeper behind a real process. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.streams.stream import read_stream

MEGABYTE = 1_000_000
PIECE = 1 << 16
WORDS = ("a", "patch", "lands", "when", "its", "tests", "pass", "and", "nobody", "has", "changed", "these", "lines")
# Reads a stream in a process of its own; prints the seconds, the tokens, and the KiB that memory rose to: above its
# start, and in all.
READ = r"""
import re, sys, time
from team_mail.personas.keeping.events import Events
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
events = Events()
events.feed(b'{"type":"result","is_error":false}\n')  # loads json
with open(sys.argv[1], "rb") as file:
    before, began = peak(), time.perf_counter()
    while data := file.read(1 << 16):
        events.feed(data)
    events.finish()
print(time.perf_counter() - began, events.meter.figures()["input"], peak() - before, peak())
"""
LOADS = """
import json, sys, time
began = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    for line in file:
        json.loads(line)
print(time.perf_counter() - began)
"""


class Row(NamedTuple):
    """One line of the table."""

    what: str
    measured: str
    target: str
    met: bool | None


def stream(size: int) -> Iterator[bytes]:
    """Make the lines of a stream of about `size` bytes, the final event last."""
    chance, made, number = random.Random(1), 0, 0
    yield encoded({"type": "system", "subtype": "init", "session_id": "s", "model": "m"})
    while made < size:
        number += 1
        usage = {"input_tokens": 10, "cache_read_input_tokens": 990, "output_tokens": 50}
        text = " ".join(chance.choices(WORDS, k=chance.randint(20, 400)))
        message: dict[str, Any] = {"id": f"m{number}", "model": "m", "usage": usage}
        call = {"type": "tool_use", "id": f"t{number}", "name": "Read", "input": {"file_path": "/x"}}
        message["content"] = [{"type": "text", "text": text}, call]
        output = "\\n".join(" ".join(chance.choices(WORDS, k=12)) for _ in range(chance.randint(5, 300)))
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": output}
        for event in (
            {"type": "assistant", "message": message, "session_id": "s"},
            {"type": "user", "message": {"content": [result]}, "session_id": "s"},
        ):
            line = encoded(event)
            made += len(line)
            yield line
    total = {"inputTokens": 10 * number, "cacheReadInputTokens": 990 * number, "outputTokens": 50 * number}
    end = {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "session_id": "s"}
    yield encoded(end | {"total_cost_usd": 1.5, "modelUsage": {"m": total}})


def encoded(event: dict[str, Any]) -> bytes:
    """Return the line of an event."""
    return json.dumps(event).encode() + b"\n"


def written(folder: Path, megabytes: int) -> Path:
    """Write a stream to a file."""
    path = folder / f"stream-{megabytes}.jsonl"
    with path.open("wb") as file:
        file.writelines(stream(megabytes * MEGABYTE))
    return path


def run(code: str, path: Path) -> list[str]:
    """Run code in a process of its own; return the words that it prints."""
    words = [sys.executable, "-c", code, str(path)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def kept(folder: Path, path: Path) -> tuple[float, Any]:
    """Let a real agent print the stream to a real keeper; return the seconds and the outcome."""
    place = Path(tempfile.mkdtemp(dir=folder))
    job = Job("r", "ann", 1, 1, "do it", place, place / "run", place, 600.0)
    began = time.perf_counter()
    outcome = CommandAgent("cat", ("cat", str(path))).play(job)
    return time.perf_counter() - began, outcome


def rows(rounds: int) -> Iterator[Row]:
    """Measure everything, in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = written(folder, 10), written(folder, 100)
        reads, loads, keepers, memory, whole = [], [], [], {small: 0.0, large: 0.0}, 0.0
        for _ in range(rounds):
            seconds, tokens, _, highest = run(READ, large)
            whole = max(whole, float(highest) / 1024)
            reads.append(float(seconds))
            loads.append(float(run(LOADS, large)[0]))
            took, outcome = kept(folder, large)
            keepers.append(took)
            assert outcome.usage.input == int(tokens), "all of it was counted"
            assert (outcome.usage.usd, outcome.usage.partial) == (1.5, False)
        for path in memory:
            memory[path] = max(float(run(READ, path)[2]) for _ in range(rounds)) / 1024
        log = large.read_bytes()[-10 * MEGABYTE :]
        began = time.perf_counter()
        assert read_stream(log).text == "Done."
        ended = time.perf_counter() - began
        yield Row("100 MB stream, read as by a keeper", f"{median(reads):.2f} s", "≤ 3 s", median(reads) <= 3)
        yield Row("the same, every line by `json.loads`", f"{median(loads):.2f} s", "", None)
        yield Row(
            "a run that prints it, from start to outcome", f"{median(keepers):.2f} s", "≤ 3 s", median(keepers) <= 3
        )
        grown = memory[large] - memory[small]
        yield Row("memory above that at the start, 10 MB stream", f"{memory[small]:.2f} MiB", "", None)
        yield Row(
            f"the same, 100 MB stream, in a process of {whole:.0f} MiB",
            f"{memory[large]:.2f} MiB",
            "≤ 1 MiB more",
            grown <= 1,
        )
        yield Row("the last 10 MB, as a trace reads them", f"{ended:.2f} s", "≤ 3 s", ended <= 3)


def main() -> None:
    """Print the table; write it to a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once each")
    parser.add_argument("--markdown", type=Path, help="write the table to this page")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    table = [*rows(1 if given.quick else 5)]
    verdicts = {True: "met", False: "MISSED", None: ""}
    lines = ["| what | measured | target | verdict |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.measured} | {row.target} | {verdicts[row.met]} |" for row in table]
    print("\n".join(lines))
    if given.markdown:
        machine = f"{os.cpu_count()} CPUs ({platform.machine()}), load average {load:.1f} at the start"
        head = (
            "# Benchmarks of agents' streams\n\n"
            'Measured by `make bench BENCH=stream ARGS="--markdown docs/benchmarks-stream.md"`, as medians of 5.\n\n'
            f"{machine}; Python {platform.python_version()}.\n\n"
        )
        given.markdown.write_text(head + "\n".join(lines) + "\n")
    sys.exit(any(row.met is False for row in table))


if __name__ == "__main__":
    main()
