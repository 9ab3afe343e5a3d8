"""Claims: processes that race for the same tasks, what a try costs on a long log, and workers beside one.

`make bench BENCH=claims`. Each process opens the team and reads its claims before the race, so a try is a call of
`Claims.claim`: a look at the log, an append where the task looks free, and a look at what came of it. Exits with 1 if a
row misses its target.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import Bench
from table import Row, markdown, show
from team_mail.mail.log.event import Draft, derived_id, new_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.open import open_mailbox
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.scheduler.errors import ClaimError

SPAWN = multiprocessing.get_context("spawn")
MINUTES = 3
TEAM = str(Path(sys.executable).with_name("team"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
FINISHED = "task.finished"


def racer(home: Path, name: str, tasks: list[str], ready: Any, results: Any) -> None:
    """Try to claim each task in turn; report the owned ones, the tries, and when they began and ended."""
    claims, owned = Claims(open_mailbox(home)), {}
    claims.moment()
    ready.wait(MINUTES * 60)
    began = time.monotonic()
    for task in tasks:
        try:
            owned[task] = claims.claim(task, name, 600).token
        except ClaimError:
            continue
    results.put((owned, len(tasks), began, time.monotonic()))


def race(home: Path, processes: int, tasks: list[str]) -> tuple[float, bool]:
    """Let processes race for tasks; return tries per second, and whether each task has exactly one owner."""
    claims = Claims(open_mailbox(home))
    for task in tasks:
        claims.add(NewTask(task), "you")
    ready, results = SPAWN.Barrier(processes), SPAWN.Queue()
    racers = [SPAWN.Process(target=racer, args=(home, f"p{n}", tasks, ready, results)) for n in range(processes)]
    for process in racers:
        process.start()
    answers = [results.get(timeout=MINUTES * 60) for _ in racers]
    for process in racers:
        process.join()
    owned = [pair for answer in answers for pair in answer[0].items()]
    now = {task: held.token for task in tasks if (held := claims.moment().task(task).current)}
    once = sorted(task for task, _ in owned) == sorted(tasks) and dict(owned) == now
    return sum(answer[1] for answer in answers) / (max(a[3] for a in answers) - min(a[2] for a in answers)), once


def appender(folder: Path, tasks: list[str], ready: Any, results: Any) -> None:
    """Append an event with the same id as everybody for each task: the least that decides who was first."""
    log = EventLog(folder)
    drafts = [Draft("claim.taken", "ann", id=derived_id(task)) for task in tasks]
    log.append([Draft("claim.taken", "ann", id=new_id())])
    ready.wait(MINUTES * 60)
    began = time.monotonic()
    for draft in drafts:
        log.append([draft])
    results.put((len(tasks), began, time.monotonic()))


def bare(folder: Path, processes: int, tasks: list[str]) -> float:
    """Let processes race by bare appends; return these per second."""
    ready, results = SPAWN.Barrier(processes), SPAWN.Queue()
    racers = [SPAWN.Process(target=appender, args=(folder, tasks, ready, results)) for _ in range(processes)]
    for process in racers:
        process.start()
    answers = [results.get(timeout=MINUTES * 60) for _ in racers]
    for process in racers:
        process.join()
    return sum(answer[0] for answer in answers) / (max(a[2] for a in answers) - min(a[1] for a in answers))


def races(bench: Bench, rounds: int) -> list[Row]:
    """Race on a short log and on a long one."""
    home, rows = bench.log.parent, list[Row]()
    for events, target in ((1_000, 700), (100_000, 300)):
        bench.grow(events)
        raced, least = list[tuple[float, bool]](), list[float]()
        for n in range(rounds):
            raced.append(race(home, 16, [f"r{events}-{n}-{i}" for i in range(50)]))
            least.append(bare(bench.log, 16, [f"b{events}-{n}-{i}" for i in range(50)]))
        rate, theirs = median(rate for rate, _ in raced), median(least)
        what = f"16 processes, 50 tasks, {events:,} events: tries"
        contender, ratio = f"bare appends with such an id: {theirs:,.0f}/s", f"{rate / theirs:.2f}"
        rows.append(Row(what, f"{rate:,.0f}/s", contender, ratio, f"≥ {target}/s", rate >= target))
        raced += [race(home, 6, [f"s{events}-{n}-{i}" for i in range(120)]) for n in range(rounds)]
        what = f"the same, and 6 processes for 120 tasks: {len(raced)} races in which a task has not one owner"
        wrong = sum(not once for _, once in raced)
        rows.append(Row(what, str(wrong), "", "", "0", wrong == 0))
    return rows


def own_ids(bench: Bench, rounds: int) -> list[Row]:
    """Time the first append of a fresh program on the long log: without an id, with one, and with one and `since`."""
    head = EventLog(bench.log).head().seq

    def append(own: bool, since: int) -> float:
        log = EventLog(bench.log)
        draft = Draft("claim.taken", "ann", data={}, id=new_id() if own else None, since=since)
        began = time.perf_counter()
        log.append([draft])
        return time.perf_counter() - began

    kinds = {"without": (False, 0), "whole": (True, 0), "since": (True, head)}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds * 7):
        for name, how in kinds.items():
            times[name].append(append(*how))
    plain, whole, since = (median(times[name]) for name in kinds)
    what = "the first append with an id of its own and `since`, 100,000 events"
    return [
        Row(what, f"{since * 1e3:.2f} ms", f"without an id: {plain * 1e3:.2f} ms", f"{since / plain:.2f}",
            "≤ 2 times", since <= 2 * plain),
        Row("the same", f"{since * 1e3:.2f} ms", f"without `since`: {whole * 1e3:.2f} ms", f"{since / whole:.2f}",
            "", None),
    ]  # fmt: skip


def worked(home: Path, workers: int, tasks: int) -> float:
    """Let workers do so many tasks of 0.1 s; return the seconds from the first claim to the last end."""
    home.mkdir(parents=True)
    for words in ("init --quiet --initial-branch=main", "commit --quiet --allow-empty --message=Begin"):
        subprocess.run(["git", *WHO, *words.split()], cwd=home, check=True)
    (home / ".team" / "personas").mkdir(parents=True)
    (home / ".team" / "team.toml").write_text('[agents.shell]\ncommand = ["sleep", "0.1"]\n')
    (home / ".team" / "personas" / "ann.md").write_text("---\nid: ann\n---\nWait.\n")
    claims = Claims(open_mailbox(home / ".team"))
    for number in range(tasks):
        claims.add(NewTask(f"t{number}", to="ann"), "you")
    words = [TEAM, "worker", "--drain", "--quiet"]
    started = [subprocess.Popen(words, cwd=home, stdout=subprocess.DEVNULL) for _ in range(workers)]
    ends = [process.wait() for process in started]
    if any(ends):
        sys.exit("a worker failed")
    times = [datetime.fromisoformat(e.ts) for e in claims.mailbox.log.read() if e.kind in {"claim.taken", FINISHED}]
    ended = [task.end for task in claims.moment().fold.tasks.values()]
    assert all(ended), "every task is done"
    assert all(len(task.claims) == 1 for task in claims.moment().fold.tasks.values()), "by one worker"
    return (times[-1] - times[0]).total_seconds()


def workers(folder: Path, rounds: int, tasks: int) -> list[Row]:
    """Compare three workers with one, and with what the processors let three of them do."""
    times: dict[int, list[float]] = {1: [], 3: []}
    used: dict[int, list[float]] = {1: [], 3: []}
    for number in range(rounds):
        for count, taken in times.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(worked(folder / f"workers-{number}-{count}", count, tasks))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used[count].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    alone, three = (median(times[count]) for count in times)
    cores = os.cpu_count() or 1
    bound = median(used[3]) / cores
    best, ratio = min(3.0, alone / bound) if bound else 3.0, alone / three
    return [
        Row(
            f"{tasks} tasks of 0.1 s: three workers", f"{three:.1f} s", f"one worker: {alone:.1f} s", f"{ratio:.2f}",
            "≥ 2.7 times", ratio >= 2.7,
        ),
        Row(
            f"the same; they use {median(used[3]):.1f} s of processor", f"{three:.1f} s",
            f"{cores} processors at their most: {bound:.1f} s", f"{ratio:.2f}", f"at most {best:.2f} times", None,
        ),
    ]  # fmt: skip


def main() -> None:
    """Print the table; write it to a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    parser.add_argument("--markdown", type=Path, help="write the table to this page")
    given = parser.parse_args()
    load, rounds = os.getloadavg()[0], 1 if given.quick else 3
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
        bench = Bench(Path(name), given.quick)
        rows = [*races(bench, rounds), *own_ids(bench, rounds)]
        rows += workers(Path(name), 1, 30 if given.quick else 100)
    show(rows)
    if given.markdown:
        machine = f"{os.cpu_count()} CPUs ({platform.machine()}), load average {load:.1f} at the start"
        head = (
            "# Benchmarks of claims\n\n"
            'Measured by `make bench BENCH=claims ARGS="--markdown docs/benchmarks-claims.md"`, '
            f"as medians of {rounds}.\n\n"
            f"{machine}; Python {platform.python_version()}.\n\n"
        )
        given.markdown.write_text(head + markdown(rows) + "\n")
    sys.exit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
