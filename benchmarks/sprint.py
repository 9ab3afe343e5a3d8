"""The promises about a sprint's speed, measured beside doing the same by hand; `--quick` for fewer rounds.

Everything is measured in one run on one machine, contenders in turn (A B A B), and compared as medians: ratios travel
from machine to machine, times do not. Repositories are in memory, where making 2,000 files takes as long each time: on
ext4 it can take five times as long, for either contender, where many were deleted shortly before. The log, which is
flushed, is on the disk. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from table import Row, markdown, seconds, show
from team_mail.mail.kinds import MailKind
from team_mail.mail.log.disk import Disk
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.copies import write_parquet
from team_mail.personas.bundled import copy_into
from team_mail.scheduler.context import Context
from team_mail.scheduler.kinds import Kind, LaunchReason, Mode, RunStatus, SprintOutcome
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.run import Batch
from team_mail.team.open import open_team

PERSONAS = tuple(f"persona-{number:02}" for number in range(23))
FILES = 2_000
EVENTS = 100_000
BATCH = 2_000
SLEEP = 2.0
BODY = 6 * "Chapter three is woven in; please look at the second half before the next tick, above all the names. "
MEMORY = Path("/dev/shm")
SCHEDULER = str(Path(sys.executable).with_name("scheduler"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false")

# What agents do: a file of one's own, a line that three of them change at once until they get mail about it, a pause.
OWN = 'echo "attempt $2" > "notes/$1.md"'
CONTESTED = f'case "$1$2" in persona-0[123]1) echo "$1" > contested.md ;; *) {OWN} ;; esac'
CHANGE = "echo changed >> part-00/file-0007.txt"
CLONE = 'git clone --quiet --shared "$1" "$2" && cd "$2" && ' + CHANGE
BY_HAND = {
    "git clone --shared, the command, git add -A, git diff": CLONE + ' && git add -A && git diff --cached HEAD > "$3"',
    "git clone --shared, the command, git diff": CLONE + ' && git diff HEAD > "$3"',
}


@dataclass
class Bench:
    """Where a run keeps its repositories and its logs, and how long it takes over a row."""

    folder: Path
    disk: Path
    quick: bool
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 7

    def team(self, files: int, settings: str, personas: Sequence[str] = PERSONAS) -> Path:
        """Make a repository with so many files, and a team in it that everybody plays with a shell."""
        top = self.folder / f"project-{next(self.numbers)}"
        for number in range(files):
            path = top / f"part-{number // 50:02}" / f"file-{number:04}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"line {line} of file {number}\n" for line in range(40)))
        (top / "notes").mkdir(parents=True)
        for name, text in {"contested.md": "nobody\n", "notes/README.md": "One file each.\n"}.items():
            (top / name).write_text(text)
        for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=Begin"):
            subprocess.run(["git", *WHO, *words.split()], cwd=top, check=True)
        (top / ".team" / "personas").mkdir(parents=True)
        mail = self.disk / top.name
        mail.mkdir()
        (top / ".team" / "mail").symlink_to(mail)
        for name in personas:
            (top / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
        (top / ".team" / "team.toml").write_text(settings)
        return top


def settings(script: str, sprint: str) -> str:
    command = json.dumps(["sh", "-c", script, "sh", "{persona}", "{attempt}"])
    return f"[agents.shell]\ncommand = {command}\n\n[sprint]\n{sprint}\n"


# -- measuring


def medians(rounds: int, *calls: Callable[[], float]) -> list[list[float]]:
    """Call each in turn, once to warm up and then `rounds` times; return the times of each, sorted."""
    for call in calls:
        call()
    times = [[call() for call in calls] for _ in range(rounds)]
    return [sorted(column) for column in zip(*times, strict=True)]


def process(argv: Sequence[str], cwd: Path) -> str:
    """Run a whole process; return what it printed."""
    ended = subprocess.run(
        argv, cwd=cwd, check=False, timeout=120, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if ended.returncode:
        sys.exit(f"{' '.join(argv[:3])} ended with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout


def spread(times: Sequence[float]) -> str:
    """Format a median with the least and the greatest value."""
    return f"{median(times) * 1e3:.0f} ms ({times[0] * 1e3:.0f} to {times[-1] * 1e3:.0f})"


def beside(what: str, own: Sequence[float], contender: str, rival: Sequence[float], target: float | None) -> Row:
    ratio = median(own) / median(rival)
    wanted = "" if target is None else f"≤ {target:g} times"
    met = None if target is None else ratio <= target
    return Row(what, spread(own), f"{contender}: {spread(rival)}", f"{ratio:.2f}", wanted, met)


# -- the rows


def ticks_clean(bench: Bench) -> list[Row]:
    return ticks(bench, OWN, 0, 2, "no conflict")


def ticks_conflict(bench: Bench) -> list[Row]:
    return ticks(bench, CONTESTED, 2, 3, "one round of conflicts")


def ticks(bench: Bench, script: str, conflicts: int, target: int, case: str) -> list[Row]:
    """Run a sprint in each mode; the work of every persona must have landed in both."""
    counted: dict[str, int] = {}
    for mode in Mode:
        top = bench.team(20, settings(script, "max_parallel = 8"))
        summary = sprint(top, "--mode", mode)
        expected = conflicts if mode == Mode.PARALLEL else 0
        if not summary["converged"] or len(summary["landed"]) != len(PERSONAS) or summary["conflicts"] != expected:
            sys.exit(f"a sprint did not do what it should have: {summary}")
        counted[mode] = summary["ticks"]
    own, sequential = counted[Mode.PARALLEL], counted[Mode.SEQUENTIAL]
    what = f"ticks of a sprint of {len(PERSONAS)} personas, {case}"
    met = own == target and sequential >= len(PERSONAS)
    return [Row(what, str(own), f"one after the other: {sequential}", f"{own / sequential:.2f}", str(target), met)]


def sprint(top: Path, *words: str) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(process([SCHEDULER, "sprint", "--json", "--quiet", *words], top))
    shutil.rmtree(top)
    return summary


def sleepers(bench: Bench) -> list[Row]:
    """Time whole processes in a repository of 2,000 files: 23 agents sleep, then change a file; every change lands."""
    script = f"sleep {SLEEP:g} && {OWN}"
    walls: list[float] = []
    for _ in range(1 if bench.quick else 5):
        top = bench.team(FILES, settings(script, f"max_parallel = {len(PERSONAS)}"))
        summary: dict[str, Any] = {}
        walls.append(seconds(lambda top=top, summary=summary: summary.update(sprint(top))))
        if len(summary["landed"]) != len(PERSONAS) or summary["ticks"] != 2:
            sys.exit(f"the sleepers' sprint did not do what it should have: {summary}")
    wall = median(walls)
    what = f"a sprint of {len(PERSONAS)} personas that sleep {SLEEP:g} s, {FILES:,} files, all at once"
    ours = f"{wall:.1f} s ({min(walls):.1f} to {max(walls):.1f})"
    slept = f"sleep {SLEEP:g}: {SLEEP:.1f} s"
    return [Row(what, ours, slept, f"{wall / SLEEP:.2f}", f"≤ {SLEEP + 3:g} s", wall <= SLEEP + 3)]


def run_alone(bench: Bench) -> list[Row]:
    return runs(bench, 1, 4 if bench.quick else 8)


def run_by_8(bench: Bench) -> list[Row]:
    return runs(bench, 8, 16 if bench.quick else 23)


def runs(bench: Bench, width: int, many: int) -> list[Row]:
    """Compare the cost of a run: ours has its clone, its keeper, the patch, the events and blobs, and tidies up."""
    top = bench.team(FILES, settings(CHANGE, f"max_parallel = {width}"))
    context = open_team(top / ".team", {})
    calls = [lambda script=script: by_hand(bench, top, script, width, many) for script in BY_HAND.values()]
    own, *rivals = medians(bench.rounds, lambda: ours(bench, context, many), *calls)
    shutil.rmtree(top)
    what = "one run" if width == 1 else f"one run of {width} at once"
    named = zip(BY_HAND, rivals, (1.5, None), strict=True)
    return [beside(what, own, name, rival, target) for name, rival, target in named]


def ours(bench: Bench, context: Context, many: int) -> float:
    """Bring a batch to its end; return seconds per run. Each run must have captured its patch."""
    number = next(bench.numbers)
    launches = [Launch(name, "shell", 1, number, LaunchReason.BATCH, "") for name in PERSONAS[:many]]
    base = context.base()

    def batch() -> None:
        with BatchRunner(context).opened() as runs:
            runs.start(launches, Batch(number, 1, base, "team/sprint"))
            runs.finish()

    taken = seconds(batch)
    captured = [patch for patch in context.state().patches if patch.sprint == number]
    if len(captured) != many or any(patch.files != ("part-00/file-0007.txt",) for patch in captured):
        sys.exit(f"of {many} runs {len(captured)} left the patch that they should have")
    return taken / many


def by_hand(bench: Bench, top: Path, script: str, width: int, many: int) -> float:
    """Do the same with git and a shell, tidying up as well; return seconds per run."""

    def run(_: int) -> None:
        folder = bench.folder / f"by-hand-{next(bench.numbers)}"
        patch = folder.with_suffix(".patch")
        subprocess.run(["sh", "-c", script, "sh", top, folder, patch], check=True)
        if not patch.stat().st_size:
            sys.exit("git made no patch")
        subprocess.run(["rm", "-rf", folder, patch], check=True)

    with ThreadPoolExecutor(width) as threads:
        return seconds(lambda: list(threads.map(run, range(many)))) / many


def idle(bench: Bench) -> list[Row]:
    """Time an idle tick of a team that has worked for months."""
    top = bench.team(20, settings(CHANGE, 'every = "30d"'), personas=())
    copy_into(top / ".team" / "personas")
    log = grow(top / ".team")
    argv = [sys.executable, "-c", "import typer, duckdb"]
    head = log.head().seq
    tick, touched = [SCHEDULER, "tick"], top / ".team" / "team.toml"

    def looking() -> float:
        touched.touch()  # as if the settings had changed, so that the last tick's digest does not hold
        return seconds(lambda: process(tick, top))

    looked, own, rival = medians(
        2 * bench.rounds + 1, looking, lambda: seconds(lambda: process(tick, top)),
        lambda: seconds(lambda: process(argv, top)),
    )  # fmt: skip
    ticked = len(own) + len(looked) + 2
    new = [*log.read(head)]
    if any(event.kind != Kind.TICK_DONE or not event.data["idle"] for event in new):
        sys.exit(f"an idle tick was not idle: {new[0]}")
    each = len(new) / ticked
    shutil.rmtree(top)
    return [
        beside(f"idle tick, cold, {EVENTS:,} events, as the last one", own, "import typer, duckdb", rival, 3),
        beside("the same, that has to look for itself", looked, "import typer, duckdb", rival, 3),
        Row("events that an idle tick writes", f"{each:g}", "", "", "1", each == 1),
    ]


def grow(home: Path) -> EventLog:
    """Write the log of a team that has run sprints until now, everybody reading the mail that each gets."""
    log = EventLog(home / "mail", on_sealed=write_parquet)
    names = sorted(path.stem for path in (home / "personas").glob("*.md"))
    drafts = story(names)
    written = 0
    while written < EVENTS:
        written += len(log.append([next(drafts) for _ in range(min(BATCH, EVENTS - written))]))
    number = EVENTS
    data = {"sprint": number, "id": derived_id("sprint", str(number)), "base_branch": "main", "base": "0" * 40}
    data |= {"branch": "team/sprint", "mode": Mode.PARALLEL, "rule": "always", "reason": "by hand", "personas": names}
    log.append([
        Draft(Kind.SPRINT_STARTED, "scheduler", data=data),
        Draft(Kind.SPRINT_FINISHED, "scheduler", data={"sprint": number, "outcome": SprintOutcome.CONVERGED}),
    ])  # fmt: skip
    return log


def story(names: Sequence[str]) -> Iterator[Draft]:
    """Tell sprint after sprint what their logs hold: of each run its start, patch, mail sent and read, and end."""
    for number in count(1):
        own = derived_id("sprint", str(number))
        data = {"sprint": number, "id": own, "base_branch": "main", "base": "0" * 40, "branch": f"team/sprint-{number}"}
        data |= {"mode": Mode.PARALLEL, "rule": "always", "reason": "every 900 s", "personas": [*names]}
        yield Draft(Kind.SPRINT_STARTED, "scheduler", data=data)
        mails = [derived_id("mail", str(number), name) for name in names]
        for name, own in zip(names, mails, strict=True):
            to = names[(names.index(name) + number) % len(names)]
            yield Draft(MailKind.SENT, name, (to,), "Chapter three", BODY, id=own)
        for name in names:
            yield from a_run(number, name, mails[(names.index(name) - number) % len(names)])
        runs = [run_of(number, name) for name in names]
        for name, run in zip(names, runs, strict=True):
            landed = {"persona": name, "tick": 2, "commit": "1" * 40, "how": "apply", "files": ["a.txt"]}
            yield Draft(Kind.PATCH_LANDED, "weaver", ref=run, data=landed)
        woven = {"sprint": number, "tick": 2, "start": "0" * 40, "tip": "1" * 40, "order": runs, "conflicts": []}
        yield Draft(Kind.WEAVE_DONE, "weaver", data=woven)
        for tick in (1, 2):
            yield Draft(Kind.TICK_DONE, "scheduler", data={"sprint": number, "tick": tick, "mode": Mode.PARALLEL})
        yield Draft(Kind.SPRINT_FINISHED, "scheduler", data={"sprint": number, "outcome": SprintOutcome.CONVERGED})


def run_of(number: int, name: str) -> str:
    return derived_id("run", str(number), name, "1")


def a_run(number: int, name: str, mail: str) -> Iterator[Draft]:
    run = run_of(number, name)
    data: dict[str, Any] = {"sprint": number, "persona": name}
    supervisor = {"boot": "5c0f1f6e-6a6d-4c8e-9a57-0c2bb7a3b1de", "pid": 4242, "start": "123456"}
    launch = {"attempt": 1, "tick": 1, "base": "0" * 40, "agent": "shell", "reason": LaunchReason.BATCH, "mail": [mail]}
    yield Draft(Kind.RUN_STARTED, "scheduler", run=run, data={**data, **launch, "supervisor": supervisor})
    patch = {"patch": {"sha256": "2" * 64, "size": 512}, "files": ["a.txt"], "insertions": 3, "deletions": 1}
    yield Draft(Kind.PATCH_CAPTURED, "scheduler", run=run, data={**data, **patch})
    yield Draft(MailKind.READ, name, ref=mail, run=run)
    end = {"status": RunStatus.OK, "exit": 0, "seconds": 61.5, "detail": "exit 0", "cut": False}
    yield Draft(Kind.RUN_FINISHED, "scheduler", run=run, data={**data, **end})


ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "ticks": ticks_clean,
    "conflicts": ticks_conflict,
    "sleepers": sleepers,
    "run": run_alone,
    "run-8": run_by_8,
    "idle": idle,
}


# -- the table


def facts(bench: Bench) -> str:
    """Tell what it was measured with; no names of machines or folders."""
    places = ", ".join(
        f"{what} on {Disk().filesystem(folder) or 'an unknown file system'}"
        for what, folder in (("repositories", bench.folder), ("logs", bench.disk))
    )
    names = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "typer"))
    git = subprocess.run(["git", "--version"], check=True, capture_output=True, text=True).stdout.split()[2]
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), load average {os.getloadavg()[0]:.1f} at the start, "
        f"{platform.system()}, {places}; Python {platform.python_version()}, {names}, git {git}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under a minute")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start from bytecode, as they do once installed
    for name in [name for name in os.environ if name.startswith(("TEAM_", "GIT_"))]:
        del os.environ[name]
    rows: list[Row] = []
    memory, prefix = MEMORY if os.access(MEMORY, os.W_OK) else None, "team-mail-bench-"
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=memory) as name,
        tempfile.TemporaryDirectory(prefix=prefix) as disk,
    ):
        bench = Bench(Path(name), Path(disk), wanted.quick)
        machine = facts(bench)
        for row in wanted.rows or ROWS:
            print(f"measuring {row} ...", file=sys.stderr)
            rows += ROWS[row](bench)
    if wanted.markdown:
        print(markdown(rows))
    else:
        show(rows)
    print(f"\n{machine}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
