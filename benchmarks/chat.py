"""Chat runs at once: what each takes of memory, and what its keeper adds, while all of them hold their last answer.

`make bench BENCH=chat`. Every run is that of a real sprint, against the fake server of the tests, in this process: it
lists and reads files, writes one of 96 kB, runs a command, and gets an answer of 100 kB in pieces. Exits with 1 if a
row misses its target.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil
from table import Row, markdown, show

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
fake: Any = import_module("chat_model")  # the fake server of the tests
SCHEDULER = str(Path(sys.executable).with_name("scheduler"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
PLAY, KEEPER = "team_mail.personas.chat.play", "keeper"
TARGET = 60.0  # MB of a run
PATIENCE = 240.0  # seconds until all hold
TEAM = """\
[team]
agent = "local"
[agents.local]
kind = "chat"
base_url = "{url}"
model = "qwen3"
max_parallel = {runs}
commands = ["git status*"]
[sprint]
max_parallel = {runs}
parallel = "always"
"""


class Size(NamedTuple):
    """The memory of a process in MB: what it has now, its part of what is shared, and the most that it ever had."""

    rss: float
    pss: float
    peak: float


class Server:
    """Plays all runs with one script, whose last answer waits until everybody is there."""

    def __init__(self, runs: int) -> None:
        self.all_here, self.go = threading.Barrier(runs + 1), threading.Event()

    def answer(self, body: dict[str, Any]) -> Any:
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        name = body["messages"][1]["content"].partition("You are `")[2].partition("`")[0]
        if turn == 0:
            return fake.calls(
                fake.call("list_files"),
                fake.call("read_file", 1, path="big.txt"),
                fake.call("search", 2, pattern="line 7"),
            )
        if turn == 1:
            return fake.calls(fake.call("write_file", path=f"docs/{name}.md", content="a line of words\n" * 6_000))
        if turn == 2:
            return fake.calls(fake.call("run", command="git status --short"))
        return fake.Reply(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        for number in range(2_000):
            yield fake.sse(fake.delta(content=f"Piece {number} of a long last answer, which comes. "), done=False)
        self.all_here.wait(PATIENCE)
        self.go.wait(PATIENCE)
        yield fake.sse(fake.delta("stop"), fake.usage(20_000, 25_000))


def made(folder: Path, url: str, runs: int) -> None:
    """Make a repository of 300 files with a team of so many personas."""
    (folder / ".team" / "personas").mkdir(parents=True)
    (folder / "src").mkdir()
    for number in range(300):
        (folder / "src" / f"module{number}.py").write_text(f"def f{number}():\n    return {number}\n" * 20)
    (folder / "big.txt").write_text("".join(f"line {number} of a file that is read\n" for number in range(1_500)))
    (folder / ".team" / "team.toml").write_text(TEAM.format(url=url, runs=runs))
    for number in range(runs):
        text = f"---\nid: p{number}\npaths: ['docs/**']\n---\nYou are `p{number}`. Do your part.\n"
        (folder / ".team" / "personas" / f"p{number}.md").write_text(text)
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*WHO, "commit", "-q", "-m", "Begin")):
        subprocess.run(["git", *words], cwd=folder, check=True)


def size_of(pid: int) -> Size:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    rollup = {row.split(":")[0]: int(row.split()[1]) for row in rows}
    return Size(rollup["Rss"] / 1024, rollup["Pss"] / 1024, int(lines["VmHWM"].split()[0]) / 1024)


def measured(scheduler: subprocess.Popen[bytes]) -> tuple[list[Size], list[Size], Size]:
    """Return the sizes of all chat runs, of their keepers, and that of the scheduler."""
    play, keepers = list[Size](), list[Size]()
    for process in psutil.Process(scheduler.pid).children(recursive=True):
        line = " ".join(process.cmdline())
        if PLAY in line and "python" in line.split()[0]:
            play.append(size_of(process.pid))
        elif KEEPER in line:
            keepers.append(size_of(process.pid))
    return play, keepers, size_of(scheduler.pid)


def main() -> None:
    """Print the table; write it to a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="ten runs")
    parser.add_argument("--markdown", type=Path, help="write the table to this page")
    given = parser.parse_args()
    load, runs = os.getloadavg()[0], 10 if given.quick else given.runs
    server = Server(runs)
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name, fake.ChatModel(answer=server.answer) as model:
        folder, began = Path(name) / "project", time.monotonic()
        made(folder, model.url, runs)
        env = os.environ | {"XDG_STATE_HOME": f"{name}/state"}
        words = [SCHEDULER, "sprint"]
        with subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as scheduler:  # fmt: skip
            try:
                server.all_here.wait(PATIENCE)
            except threading.BrokenBarrierError:
                scheduler.terminate()
                sys.exit(f"not all runs came to their last answer\n{scheduler.communicate()[0].decode()[-3000:]}")
            together = time.monotonic() - began
            play, keepers, leader = measured(scheduler)
            server.go.set()
            out, _ = scheduler.communicate(timeout=PATIENCE)
        if scheduler.returncode or len(play) != runs:
            sys.exit(f"{len(play)} of {runs} runs were seen, exit {scheduler.returncode}\n{out.decode()[-3000:]}")
    rows = table(runs, play, keepers, leader)
    rows.append(Row("from the start until all of them hold", f"{together:.0f} s", "", "", "", None))
    show(rows)
    if given.markdown:
        head = (
            "# Benchmarks of chat runs\n\n"
            'Measured by `make bench BENCH=chat ARGS="--markdown docs/benchmarks-chat.md"`.\n\n'
            f"{os.cpu_count()} CPUs ({platform.machine()}), load average {load:.1f} at the start; "
            f"Python {platform.python_version()}.\n\n"
        )
        given.markdown.write_text(head + markdown(rows) + "\n")
    sys.exit(any(row.met is False for row in rows))


def table(runs: int, play: list[Size], keepers: list[Size], leader: Size) -> list[Row]:
    most, half = max(each.peak for each in play), median(each.peak for each in play)
    pss = median(each.pss for each in play)
    what = f"{runs} chat runs at once: the most that one ever had (VmHWM)"
    kept = f"{median(each.rss for each in keepers):.1f} MB" if keepers else "none was seen"
    per = sum(each.pss for each in keepers) / max(1, len(play))
    return [
        Row(what, f"{most:.1f} MB", "", "", f"≤ {TARGET:g} MB", most <= TARGET),
        Row("the same, in the median", f"{half:.1f} MB", "", "", "", None),
        Row("its part of what is shared (PSS), in the median", f"{pss:.1f} MB", "", "", "", None),
        Row(f"a keeper of them ({len(keepers)}; RSS, median), and what keepers add to a run (PSS)",
            f"{kept}, {per:.1f} MB", "", "", "", None),
        Row("the scheduler (RSS)", f"{leader.rss:.0f} MB", "", "", "", None),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
