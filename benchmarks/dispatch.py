"""The promises about dispatching and planning, measured beside the least that could do it; `--quick` for fewer rounds.

Everything is measured in one run on one machine, contenders in turn (A B A B), and compared as medians: ratios travel
from machine to machine, times do not. The log and the traces are on the disk, and the log is flushed for each task's
start and end. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

from team_mail import CommandAgent, DispatchConfig, DispatchInput, FunctionAgent, ParallelDispatcher, Task
from team_mail.scheduler.planner.schedule import schedule, tails
from team_mail.scheduler.tasks.reader import read_input

TEAM = str(Path(sys.executable).with_name("team"))
PUBLISHED = {2: 1.67, 3: 2.0, 5: 2.5, 10: 3.33}  # what the format's authors estimated for their own dispatcher
WANTED = {2: 1.95, 3: 2.9, 5: 4.7, 10: 9.0}
MANY, EDGES = 1_000, 3_000
INSTANCES = 100
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false")
HEADING = ("what", "ours", "contender", "target", "verdict")


class Row(NamedTuple):
    """One line of the table; `met` is None where something is shown without a target."""

    what: str
    ours: str
    contender: str
    target: str
    met: bool | None

    @property
    def cells(self) -> tuple[str, ...]:
        return (*self[:4], {True: "met", False: "MISSED", None: ""}[self.met])


class Bench:
    """Where a run keeps its teams, and how long it takes over a row."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.rounds = 3 if quick else 7
        self._numbers = count(1)

    def place(self, *, repository: bool = False) -> Path:
        """Make a folder of its own, and a repository in it if wanted."""
        place = self.folder / f"place-{next(self._numbers)}"
        place.mkdir()
        if repository:
            (place / "README.md").write_text("Hello.\n")
            for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=Begin"):
                subprocess.run(["git", *WHO, *words.split()], cwd=place, check=True)
        return place

    def dispatch(self, tasks: Sequence[Task], workers: int, agent: object, place: Path | None = None) -> float:
        """Dispatch from a folder; return the seconds that took. Every task has to succeed."""
        place = place or self.place()
        os.chdir(place)
        config = DispatchConfig(max_workers=workers, trace_dir=str(place / "traces"))
        began = time.perf_counter()
        done = ParallelDispatcher(config, agent=agent, home=place / ".team").dispatch(tasks)
        took = time.perf_counter() - began
        assert done.status == "success", done
        return took


def tasks_of(number: int) -> list[Task]:
    return [Task(task_id=f"t{n}", agent="forge", description="Do it.") for n in range(number)]


def tangle(number: int, edges: int) -> list[dict]:
    """So many tasks, each behind some of those before it."""
    chance, left = random.Random(4), edges
    tasks = []
    for at in range(number):
        most = min(at, 6, left, round(2 * edges / number))
        behind = chance.sample(range(at), chance.randint(min(most, 2), most) if at else 0)
        left -= len(behind)
        tasks.append({"task_id": f"t{at}", "agent": "forge", "dependencies": [f"t{n}" for n in behind]})
    free = [(late, early) for late in range(number) for early in range(max(0, late - 40), late)]
    for late, early in chance.sample(free, len(free)):
        if not left:
            break
        if f"t{early}" not in tasks[late]["dependencies"]:
            tasks[late]["dependencies"].append(f"t{early}")
            left -= 1
    assert sum(len(task["dependencies"]) for task in tasks) == edges
    return tasks


def medians(rounds: int, *calls: Callable[[], float]) -> list[list[float]]:
    """Call each in turn, once to warm up and then so many times; return the times of each, sorted."""
    for call in calls:
        call()
    samples = [[call() for call in calls] for _ in range(rounds)]
    return [sorted(column) for column in zip(*samples, strict=True)]


def spread(times: Sequence[float]) -> str:
    return f"{1000 * median(times):,.1f} ms ({1000 * times[0]:,.1f} to {1000 * times[-1]:,.1f})"


# -- rows


def speed_up(bench: Bench) -> Iterator[Row]:
    """Tasks of a second: functions in this process, and a command in a clone of its own with its patch captured."""
    sleep = FunctionAgent(lambda _: time.sleep(1))
    command = CommandAgent("sleep", ("sh", "-c", "cat > /dev/null; sleep 1"))
    for number, wanted in WANTED.items():
        alone = bench.dispatch(tasks_of(number), 1, sleep)
        times = sorted(bench.dispatch(tasks_of(number), number, sleep) for _ in range(3))
        ratio = alone / median(times)
        yield Row(
            f"{number} independent tasks of 1 s, {number} workers, in process", f"{ratio:.2f} times as fast as one",
            f"published (an estimate): {PUBLISHED[number]:.2f} times", f"≥ {wanted} times", ratio >= wanted,
        )  # fmt: skip
    for number, wanted in WANTED.items():
        place = bench.place(repository=True)
        alone = bench.dispatch(tasks_of(number), 1, command, place)
        times = sorted(bench.dispatch(tasks_of(number), number, command, place) for _ in range(3))
        ratio = alone / median(times)
        yield Row(
            "the same, a command each, in a clone of its own", f"{number}: {ratio:.2f} times",
            f"published: {PUBLISHED[number]:.2f} times", f"≥ {wanted} times", ratio >= wanted,
        )  # fmt: skip


def overhead(bench: Bench) -> Iterator[Row]:
    """Tasks that do nothing, traces included; the contender hands the same functions to bare threads."""
    nothing = FunctionAgent(lambda _: None)

    def bare(number: int) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(nothing.function, tasks_of(number)))
        return time.perf_counter() - began

    single, few, threads = medians(
        bench.rounds,
        lambda: bench.dispatch(tasks_of(1), 4, nothing),
        lambda: bench.dispatch(tasks_of(201), 4, nothing),
        lambda: bare(201),
    )
    each = (median(few) - median(single)) / 200
    contender = f"bare threads: {1000 * median(threads) / 201:.2f} ms; published: 30 to 70 ms with its trace"
    yield Row("a dispatch of one task", spread(single), "published: 100 to 200 ms", "≤ 20 ms", median(single) <= 0.020)
    yield Row("each task more", f"{1000 * each:.2f} ms", contender, "≤ 2 ms", each <= 0.002)


def many(bench: Bench) -> Iterator[Row]:
    """A thousand tasks with three thousand edges."""
    nothing = FunctionAgent(lambda _: None)
    given = tangle(MANY, EDGES)
    text = json.dumps({"tasks": given}).encode()
    tasks = DispatchInput.model_validate({"tasks": given}).tasks

    def validated() -> float:
        began = time.perf_counter()
        read_input(text, ["forge"])
        return time.perf_counter() - began

    whole, checked = medians(3, lambda: bench.dispatch(tasks, 8, nothing), validated)
    yield Row(f"{MANY:,} tasks, {EDGES:,} edges, in process", f"{median(whole):.2f} s", "", "≤ 5 s", median(whole) <= 5)
    yield Row("reading and checking them", spread(checked), "", "≤ 200 ms", median(checked) <= 0.2)
    small, large = (measured_memory(bench, number) for number in (10, 10 + MANY))
    each = (large - small) / MANY
    yield Row("memory for each of them", f"{each / 1000:.1f} kB", "", "≤ 20 kB", each <= 20_000)


def measured_memory(bench: Bench, number: int) -> int:
    """Return the most bytes that a process of its own held while it dispatched so many tasks."""
    words = [sys.executable, __file__, "--memory", str(number), "--folder", str(bench.place())]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def dispatch_for_memory(number: int, folder: Path) -> None:
    given = tangle(number, 3 * number - 12) if number > 10 else tangle(number, 9)
    tasks = DispatchInput.model_validate({"tasks": given}).tasks
    Bench(folder, quick=True).dispatch(tasks, 8, FunctionAgent(lambda _: None))
    print(most_memory())


def most_memory() -> int:
    """Return the most bytes that this process ever held; on Linux without what its parent held at the fork."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024


def diamond(bench: Bench) -> Iterator[Row]:
    """A branch of a tenth of a second beside one of a second: when does what is behind the fast one begin?"""
    began: dict[str, float] = {}

    def play(job: object) -> None:
        name = job.assignment.task
        began[name] = time.perf_counter()
        time.sleep(1.0 if name == "slow" else 0.1)

    edges = {"top": (), "fast": ("top",), "slow": ("top",), "behind-fast": ("fast",), "end": ("behind-fast", "slow")}
    tasks = [Task(task_id=name, agent="forge", dependencies=after) for name, after in edges.items()]
    bench.dispatch(tasks, 4, FunctionAgent(play))
    waited = began["behind-fast"] - began["fast"] - 0.1
    yield Row("a diamond, one branch ten times as slow: what is behind the fast one waits", f"{1000 * waited:.0f} ms",
              "in waves: 900 ms", "≤ 50 ms", waited <= 0.05)  # fmt: skip


def planning(bench: Bench) -> Iterator[Row]:
    """The command, from a cold start, on a roadmap of 500 tasks with five globs each."""
    chance = random.Random(5)
    place = bench.place()
    tasks = [
        {
            "id": f"t{number}",
            "estimate": chance.choice([1, 2, 3, 5, 8]),
            "files": [f"src/part-{chance.randrange(60):02}/{a_glob(chance)}" for _ in range(5)],
            "dependencies": [f"t{n}" for n in sorted(chance.sample(range(number), min(number, chance.randrange(3))))],
        }
        for number in range(500)
    ]
    (place / "roadmap.json").write_text(json.dumps({"title": "Many", "workers": 8, "tasks": tasks}))

    def planned() -> float:
        began = time.perf_counter()
        subprocess.run([TEAM, "plan", "roadmap.json", "--json"], cwd=place, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    (times,) = medians(bench.rounds, planned)
    took = median(times)
    yield Row("team plan of 500 tasks with 5 globs each, cold", f"{took:.2f} s", "", "≤ 2 s", took <= 2)


def a_glob(chance: random.Random) -> str:
    return chance.choice(["*.py", "**", "a?.py", f"file-{chance.randrange(90)}.py"])


def lower_bound(durations: dict[str, float], after: dict[str, list[str]], workers: int) -> float:
    """The least possible makespan: the longest chain of tasks, or the work divided by the workers."""
    return max(max(tails(durations, after).values(), default=0.0), sum(durations.values()) / workers)


def makespans(_: Bench) -> Iterator[Row]:
    """Random tasks whose lower bound can be reached, for they are a full timetable cut up."""
    chance = random.Random(6)
    ratios, lists = [], []
    for _number in range(INSTANCES):
        workers = chance.randint(2, 8)
        durations, after = cut_up(chance, workers, chance.randint(10, 120))
        bound = lower_bound(durations, after, workers)
        ratios.append(schedule(durations, after, workers).makespan / bound)
        lists.append(first_come(durations, after, workers) / bound)
    within = sum(ratio <= 1.1 + 1e-9 for ratio in ratios)
    yield Row(
        f"makespan over the lower bound, {INSTANCES} plans that could reach it",
        f"{median(ratios):.3f}, at most {max(ratios):.3f}", f"as given: {median(lists):.3f}, at most {max(lists):.3f}",
        "all within 1.10", within == INSTANCES,
    )  # fmt: skip


def cut_up(chance: random.Random, workers: int, number: int) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Cut a full timetable of so many workers into tasks, with edges that it keeps; their order tells nothing."""
    length = 1_000.0
    slots: list[tuple[float, float]] = []
    for worker in range(workers):
        cuts = sorted(chance.uniform(0, length) for _ in range(max(0, number // workers - 1 + worker % 2)))
        slots += [*zip([0.0, *cuts], [*cuts, length], strict=True)]
    chance.shuffle(slots)
    names = {at: f"t{at}" for at in range(len(slots))}
    durations = {names[at]: end - start for at, (start, end) in enumerate(slots)}
    after: dict[str, list[str]] = {name: [] for name in durations}
    for at, (start, _end) in enumerate(slots):
        before = [place for place, (_start, end) in enumerate(slots) if end <= start]
        after[names[at]] = [names[place] for place in chance.sample(before, min(len(before), chance.randrange(4)))]
    return durations, after


def first_come(durations: dict[str, float], after: dict[str, list[str]], workers: int) -> float:
    """Schedule what can start in the order given: the contender."""
    ends: dict[str, float] = {}
    free = [0.0] * workers
    left = list(durations)
    while left:
        ready = [name for name in left if all(above in ends for above in after[name])]
        starts = {name: max([min(free), *(ends[above] for above in after[name])]) for name in ready}
        name = min(ready, key=lambda name: starts[name])
        free[free.index(min(free))] = ends[name] = starts[name] + durations[name]
        left.remove(name)
    return max(ends.values())


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "speed-up": speed_up,
    "overhead": overhead,
    "many": many,
    "diamond": diamond,
    "plan": planning,
    "makespan": makespans,
}


def facts() -> str:
    names = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "pydantic"))
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), load average {os.getloadavg()[0]:.1f} at the start, "
        f"{platform.system()}; Python {platform.python_version()}, {names}"
    )


def show(rows: Sequence[Row]) -> None:
    lines = [HEADING, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADING))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def markdown(rows: Sequence[Row]) -> str:
    table = [HEADING, ("---",) * len(HEADING), *(row.cells for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start from bytecode, as they do once installed
    for name in [name for name in os.environ if name.startswith(("TEAM_", "GIT_"))]:
        del os.environ[name]
    if wanted.memory:
        dispatch_for_memory(wanted.memory, wanted.folder)
        return 0
    rows: list[Row] = []
    machine = facts()
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
        bench = Bench(Path(name), quick=wanted.quick)
        for row in wanted.rows or ROWS:
            print(f"measuring {row} ...", file=sys.stderr)
            rows += ROWS[row](bench)
        os.chdir("/")
    if wanted.markdown:
        print(markdown(rows), end="")
    else:
        show(rows)
    print(f"\n{machine}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
