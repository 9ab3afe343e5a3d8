"""Two versions of team-mail side by side: `make compare BEFORE=/path/to/another/checkout/.venv`.

Every figure is taken from both versions in turn (A B A B), each on data of its own, and compared as medians: ratios
travel from machine to machine, times do not. A figure is the time of a whole process, or what the process itself
prints as seconds where its start is not what is measured. Exits with 1 if a figure is worse than 1.10 times.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LIMIT = 1.10
ROUNDS = 7
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false")
FILL = """
import sys
from pathlib import Path
from team_mail import Draft, EventLog
log = EventLog(Path(sys.argv[1]))
names = [f"persona-{n:02}" for n in range(21)]
for start in range(0, int(sys.argv[2]), 5000):
    log.append([Draft("mail.sent", names[n % 21], (names[n * 7 % 21],), f"Subject {n}", "Please look at it. " * 12,
                      data={"type": "note"}) for n in range(start, start + 5000)])
"""
TIMED = """
import sys, time
from pathlib import Path
{imports}
began = time.perf_counter()
{work}
print(time.perf_counter() - began)
"""
APPEND = TIMED.format(
    imports="from team_mail import Draft, EventLog\nlog = EventLog(Path(sys.argv[1]))",
    work="for n in range(1500):\n"
    "    log.append([Draft('mail.sent', 'ann', ('ben',), 's', 'b' * 300, data={'type': 'note'})])",
)
BATCH = TIMED.format(
    imports="from team_mail import Draft, EventLog\nlog = EventLog(Path(sys.argv[1]))",
    work="for k in range(4):\n"
    "    log.append([Draft('mail.sent', 'ann', ('ben',), 's', 300 * 'b', data={'type': 'n'}) for n in range(10000)])",
)
DISPATCH = TIMED.format(
    imports="from team_mail import DispatchConfig, FunctionAgent, ParallelDispatcher, Task\n"
    "home = Path(sys.argv[1]) / '.team'\nhome.mkdir(parents=True, exist_ok=True)\n"
    "tasks = [Task(task_id=f't{n}', agent='forge', dependencies=tuple(f't{m}' for m in range(max(0, n - 3), n)))"
    " for n in range(400)]\n"
    "agent = FunctionAgent(lambda job: {'n': 1})",
    work="ended = ParallelDispatcher(DispatchConfig(max_workers=4, trace_dir=sys.argv[1] + '/traces'), agent=agent,"
    " home=home).dispatch(tasks)\nassert ended.status == 'success', ended",
)
PLAN = "title: Many\nphases:\n  - title: One\n    tasks:\n" + "".join(
    f'      - {{id: t{n}, title: Task {n}, estimate: 1h, files: ["src/p{n}/a.py", "src/p{n}/*.md", "docs/{n}.md"]}}\n'
    for n in range(300)
)


@dataclass(frozen=True)
class Figure:
    """One thing to measure: what has to be there first, and the command. Both get the bin folder and a place."""

    name: str
    prepare: Callable[[Path, Path], object]
    command: Callable[[Path, Path], list[str]]
    printed: bool = False  # the process prints its own seconds
    again: bool = True  # what was prepared serves every round


def filled(number: int) -> Callable[[Path, Path], object]:
    """Make a team with so many messages."""

    def prepare(bins: Path, place: Path) -> None:
        (place / ".team").mkdir(parents=True)
        subprocess.run([bins / "python", "-c", FILL, place / ".team" / "mail", str(number)], check=True)

    return prepare


def empty(_: Path, place: Path) -> None:
    """Make an empty folder."""
    place.mkdir(parents=True, exist_ok=True)


def repository(place: Path, files: int = 200) -> None:
    """Make a repository of small files."""
    for number in range(files):
        path = place / f"part-{number % 10}" / f"file-{number:04}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {line} of {number}\n" for line in range(40)))
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "Begin")


def git(place: Path, *words: str) -> None:
    """Run git."""
    subprocess.run(["git", *WHO, *words], cwd=place, check=True, capture_output=True)


def team(bins: Path, place: Path) -> None:
    """Make a repository with eight personas, of whom two want the same line."""
    repository(place)
    (place / ".team" / "personas").mkdir(parents=True)
    for number in range(8):
        (place / ".team" / "personas" / f"p{number}.md").write_text(f"---\nid: p{number}\n---\nWork.\n")
    work = 'case "$1$2" in p[01]1) sed -i "3s/.*/$1/" part-0/file-0000.txt ;; *) echo "$1" > "$1.md" ;; esac'
    (place / ".team" / "team.toml").write_text(
        "[team]\nagent = 'shell'\n[agents.shell]\n"
        f"command = ['sh', '-c', '''{work}''', 'sh', '{{persona}}', '{{attempt}}']\n"
        "[sprint]\nevery = '365d'\n"
    )
    del bins


def sprinted(bins: Path, place: Path) -> None:
    """Make that team, let it run one sprint, and add mail among its history."""
    team(bins, place)
    subprocess.run([bins / "scheduler", "sprint", "--quiet"], cwd=place, check=True, capture_output=True)
    subprocess.run([bins / "python", "-c", FILL, place / ".team" / "mail", "10000"], check=True)
    subprocess.run([bins / "scheduler", "tick", "--quiet"], cwd=place, check=True, capture_output=True)


def patches(_: Path, place: Path) -> None:
    """Make forty patches against one repository, some in each other's way."""
    repository(place)
    for number in range(40):
        path = place / f"part-{number % 10}" / f"file-{number % 25:04}.txt"
        if not path.exists():
            path = place / "part-0" / "file-0000.txt"
        lines = path.read_text().splitlines()
        lines[number % 30] = f"patch {number}"
        path.write_text("\n".join(lines) + "\n")
        diff = subprocess.run(["git", "diff", "--binary", "--full-index"], cwd=place, check=True, capture_output=True)
        (place.parent / f"{place.name}-{number:02}.patch").write_bytes(diff.stdout)
        git(place, "checkout", "-q", ".")


def roadmap(_: Path, place: Path) -> None:
    """Write a roadmap of three hundred tasks."""
    place.mkdir(parents=True)
    (place / "plan.yaml").write_text(PLAN)


def run(name: str, *words: str) -> Callable[[Path, Path], list[str]]:
    """Run one of the commands."""
    return lambda bins, _: [str(bins / name), *words]


def code(text: str, where: str = ".team/mail") -> Callable[[Path, Path], list[str]]:
    """Run a program on a folder."""
    return lambda bins, place: [str(bins / "python"), "-c", text, str(place / where)]


FIGURES = (
    Figure(
        "team-mail send, cold",
        filled(5_000),
        run("team-mail", "send", "--to", "ben", "--from", "ann", "-s", "x", "-b", "y"),
    ),
    Figure("team-mail inbox, cold, 5,000 events", filled(5_000), run("team-mail", "inbox", "--persona", "persona-01")),
    Figure(
        "team-mail inbox, cold, 100,000 events", filled(100_000), run("team-mail", "inbox", "--persona", "persona-01")
    ),
    Figure("team-mail verify, 100,000 events", filled(100_000), run("team-mail", "verify")),
    Figure("1,500 appends, one by one", empty, code(APPEND), printed=True),
    Figure("40,000 appends, in four batches", empty, code(BATCH), printed=True),
    Figure("scheduler tick, idle, nothing new", sprinted, run("scheduler", "tick", "--quiet")),
    Figure("scheduler status, 10,000 events", sprinted, run("scheduler", "status")),
    Figure("scheduler history, 10,000 events", sprinted, run("scheduler", "history")),
    Figure("scheduler --dry-run, 10,000 events", sprinted, run("scheduler", "--dry-run")),
    Figure("scheduler report, 10,000 events", sprinted, run("scheduler", "report")),
    Figure("scheduler sprint, eight personas", team, run("scheduler", "sprint", "--quiet"), again=False),
    Figure(
        "scheduler weave --dry-run, forty patches",
        patches,
        lambda bins, place: [
            *map(str, (bins / "scheduler", "weave", "--dry-run")),
            *(str(path) for path in sorted(place.parent.glob(f"{place.name}-*.patch"))),
        ],
    ),
    Figure("team plan, three hundred tasks", roadmap, run("team", "plan", "plan.yaml")),
    Figure("a dispatch of 400 tasks in process", empty, code(DISPATCH, "."), printed=True, again=False),
)


def seconds(figure: Figure, bins: Path, place: Path) -> float:
    """Time one round."""
    if not figure.again:
        place = place.with_name(f"{place.name}-{time.monotonic_ns()}")
        figure.prepare(bins, place)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "PYTHON"))}
    began = time.perf_counter()
    ended = subprocess.run(
        figure.command(bins, place), cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if ended.returncode not in {0, 4}:
        raise SystemExit(f"{figure.name}: exit {ended.returncode}: {ended.stderr[-500:]}")
    if not figure.again:
        shutil.rmtree(place, ignore_errors=True)
    return float(ended.stdout.split()[-1]) if figure.printed else took


def compare(figure: Figure, before: Path, after: Path, folder: Path, rounds: int) -> float:
    """Measure a figure in both versions, in turn; print its row; return how many times slower it has become."""
    places = {bins: folder / name for bins, name in ((before, "before"), (after, "after"))}
    times: dict[Path, list[float]] = {before: [], after: []}
    for bins, place in places.items():
        if figure.again:
            figure.prepare(bins, place)
        seconds(figure, bins, place)  # whatever is made once, a cache or a compiled module, is made now
    for number in range(rounds):
        for bins in (before, after) if number % 2 else (after, before):
            times[bins].append(seconds(figure, bins, places[bins]))
    old, new = median(times[before]), median(times[after])
    verdict = "" if new <= LIMIT * old else "  WORSE"
    print(f"| {figure.name} | {1000 * old:.0f} ms | {1000 * new:.0f} ms | {new / old:.2f} |{verdict}", flush=True)
    return new / old


def main() -> int:
    """Compare all figures, or those whose names hold a word."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="the virtual environment of the version to compare with")
    parser.add_argument("--only", default="", help="figures whose name contains this")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    before, after = (options.before / "bin").absolute(), Path(sys.executable).parent.absolute()
    print("| what | before | after | ratio |\n| --- | --- | --- | --- |")
    ratios: list[float] = []
    for figure in FIGURES:
        if options.only in figure.name:
            with tempfile.TemporaryDirectory(prefix="team-mail-compare-") as folder:
                ratios.append(compare(figure, before, after, Path(folder), options.rounds))
    return int(any(ratio > LIMIT for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
