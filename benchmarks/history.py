"""The promise that cost does not grow with history: each command on logs of 10,000, 100,000 and 1,000,000 events.

Each figure is a whole process, cold, measured on all logs in turn (A B C A B C) and compared as medians: ratios travel
from machine to machine, times do not. `--quick` leaves out the million. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from past import write_past
from table import Row, markdown, medians, seconds, show
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.disk import Disk

PERSONAS = tuple(f"persona-{number:02}" for number in range(21))
SIZES = (10_000, 100_000, 1_000_000)
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false")
BINS = Path(sys.executable).parent
MOST_MEMORY = 200  # MB
SETTINGS = """\
[team]
agent = "shell"
[agents.shell]
command = ["true"]
[sprint]
every = "365d"
"""
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))"
)


@dataclass
class Team:
    """A team with a past of so many events. `run` and `sprint` are of the middle of it."""

    top: Path
    events: int
    run: str = ""
    sprint: int = 0

    def touch(self) -> None:
        """Let the next tick look for itself, as if the settings had changed."""
        (self.top / ".team" / "team.toml").touch()


def make(top: Path, events: int) -> Team:
    """Make a repository and a team in it that has worked for so many events."""
    (top / "notes").mkdir(parents=True)
    (top / "notes" / "README.md").write_text("One file each.\n")
    for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=Begin"):
        subprocess.run(["git", *WHO, *words.split()], cwd=top, check=True)
    home = top / ".team"
    (home / "personas").mkdir(parents=True)
    for name in PERSONAS:
        (home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
    (home / "team.toml").write_text(SETTINGS)
    head = ["git", "rev-parse", "HEAD"]
    base = subprocess.run(head, cwd=top, check=True, capture_output=True, text=True).stdout.strip()
    blob = FileBlobs(home / "mail" / "blobs").put(b"a patch\n")
    past = write_past(home, PERSONAS, events, base, blob._asdict())
    sprint = past.sprints // 2
    (home / "middle").write_text(f"{sprint} {past.given[sprint]}")
    return found(top, events)


def found(top: Path, events: int) -> Team:
    """Return a team that was made before."""
    sprint, run = (top / ".team" / "middle").read_text().split()
    return Team(top, events, run, int(sprint))


class Question(NamedTuple):
    """A command, and how many times as long it may take on the largest log as on the smallest."""

    name: str
    command: Callable[[Team], Sequence[str]]
    most: float = 1.5
    looks: bool = False  # a tick that could answer from the last line of the log otherwise


QUESTIONS = (
    Question("scheduler --dry-run", lambda _: ("scheduler", "--dry-run")),
    Question("scheduler sprint --dry-run", lambda _: ("scheduler", "sprint", "--dry-run")),
    Question("scheduler status", lambda _: ("scheduler", "status")),
    Question("scheduler tick", lambda _: ("scheduler", "tick", "--quiet"), looks=True),
    Question("scheduler history", lambda _: ("scheduler", "history")),
    Question("scheduler rounds", lambda _: ("scheduler", "rounds")),
    Question("scheduler report", lambda team: ("scheduler", "report", str(team.sprint))),
    Question("team trace RUN", lambda team: ("team", "trace", team.run)),
    Question("team plan --from-sprint", lambda _: ("team", "plan", "--from-sprint"), 3),
)


def time_of(question: Question, team: Team) -> float:
    if question.looks:
        team.touch()
    argv = arguments_of(question, team)
    return seconds(lambda: process(argv, team.top))


def arguments_of(question: Question, team: Team) -> list[str]:
    program, *words = question.command(team)
    return [str(BINS / program), *words]


def process(argv: Sequence[str], cwd: Path) -> str:
    ended = subprocess.run(argv, cwd=cwd, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(argv[:3])} ended with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout


def peak_of(question: Question, team: Team) -> float:
    """Return the most memory that a command takes, in MB."""
    if question.looks:
        team.touch()
    return int(process([sys.executable, "-c", PEAK, *arguments_of(question, team)], team.top)) / 1e6


def rows_of(question: Question, teams: Sequence[Team]) -> list[Row]:
    """Measure a command on all logs; each larger one is held against the smallest, and the largest has a target."""
    least, *larger = medians(*(lambda team=team: time_of(question, team) for team in teams))
    contender = f"{teams[0].events:,} events: {least:.2f} s"
    rows: list[Row] = []
    for team, taken in zip(teams[1:], larger, strict=True):
        ratio, what = taken / least, f"`{question.name}`, {team.events:,} events"
        last = team is teams[-1]
        rows.append(
            Row(
                what, f"{taken:.2f} s", contender, f"{ratio:.2f}", f"≤ {question.most:g} times" if last else "",
                ratio <= question.most if last else None,
            )
        )  # fmt: skip
    peak, small = peak_of(question, teams[-1]), peak_of(question, teams[0])
    what = f"memory of `{question.name}`, {teams[-1].events:,} events"
    before = f"{teams[0].events:,} events: {small:.0f} MB"
    most = f"≤ {MOST_MEMORY} MB"
    return [*rows, Row(what, f"{peak:.0f} MB", before, f"{peak / small:.2f}", most, peak <= MOST_MEMORY)]


def facts(folder: Path) -> str:
    """Tell what it was measured with; no names of machines or folders."""
    disk = Disk().filesystem(folder) or "unknown file system"
    names = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "typer"))
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), load average {os.getloadavg()[0]:.1f} at the start, "
        f"{platform.system()}, {disk}; Python {platform.python_version()}, {names}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [question.name for question in QUESTIONS]
    parser.add_argument("--quick", action="store_true", help="without the log of a million events")
    parser.add_argument("--rows", nargs="+", choices=names, metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the teams there, and use them again")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start from bytecode, as they do once installed
    for name in [name for name in os.environ if name.startswith(("TEAM_", "GIT_"))]:
        del os.environ[name]
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = wanted.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="team-mail-bench-")))
        teams: list[Team] = []
        for events in SIZES[:2] if wanted.quick else SIZES:
            top = folder / f"team-{events}"
            if not (top / ".team" / "middle").exists():
                print(f"making a log of {events:,} events ...", file=sys.stderr)
                shutil.rmtree(top, ignore_errors=True)
                make(top, events)
            teams.append(found(top, events))
        machine = facts(folder)
        for question in QUESTIONS:
            if question.name in (wanted.rows or [question.name]):
                print(f"measuring {question.name} ...", file=sys.stderr)
                rows += rows_of(question, teams)
    if wanted.markdown:
        print(markdown(rows))
    else:
        show(rows)
    print(f"\n{machine}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
