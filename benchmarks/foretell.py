"""Conflicts foretold: what looking costs, how soon a notice comes, and what comes of it where agents obey.

All of it is real: sprints in a repository of 2,000 files, whose agents are functions that wait, write and read their
inbox. Each is compared with the same sprint without notices (`foretell = "off"`), in one run.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from table import Row, markdown, show
from team_mail.personas.agent import Job
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.sprint.decide import ASKED, StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.team.open import open_team

PERSONAS, SLOTS = 23, 8
FILES, LINES = 2_000, 60
SETTLING = 15.0  # seconds before a measurement, in which all is looked at for the first time
LATEST = 30.0  # seconds that a notice is waited for
SIGMA = 0.8
AGAIN = 0.4  # a conflict is less work than the task, see rolling.py
OBEYING = 0.05  # of the task, for each notice
STEPS = 20  # of a run, between which it looks into its inbox
SHARED = 9  # pairs of personas that want the same lines
WRITER = """\
import pathlib, sys, time
places = [pathlib.Path(place) for place in sys.argv[1:]]
number = 0
while True:
    for at, place in enumerate(places):
        file = at * 78 + number % 78  # one of its own
        path = place / f"d{file % 40:02}" / f"f{file:04}.txt"
        text = path.read_text().splitlines(keepends=True)
        text[number % 50] = f"{at} wrote {number}\\n"
        path.write_text("".join(text))
    number += 1
    time.sleep(1)
"""


def main() -> int:
    """Measure, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one replay instead of three, and shorter windows")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--open", nargs=2, metavar=("WORD", "SECONDS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.open:
        print(json.dumps(opened(given.open[0], float(given.open[1]))))
        return 0
    rows = [*looking(20.0 if given.quick else 60.0), *replayed(1 if given.quick else 3)]
    print(markdown(rows)) if given.markdown else show(rows)
    return 0 if all(row.met is not False for row in rows) else 1


def repository(folder: Path, names: Sequence[str], settings: str) -> Path:
    """Make a repository of 2,000 files with a team; return its top."""
    top = folder / "project"
    (top / ".team" / "personas").mkdir(parents=True)
    for number in range(FILES):
        file = top / f"d{number % 40:02}" / f"f{number:04}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"line {line} of {number}\n" for line in range(LINES)))
    for name in names:
        (top / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo it.\n")
    (top / ".team" / "team.toml").write_text(f'[agents.shell]\ncommand = ["true"]\n[sprint]\n{settings}')
    who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-q", "-m", "Begin")):
        subprocess.run(["git", *words], cwd=top, check=True)
    return top


def sprint(top: Path, script: Callable[[Job], object]) -> Any:
    """Run a sprint of scripted agents; return its context."""
    context = open_team(top / ".team", {})
    context.agents["shell"] = ScriptedAgent({}, default=script)  # type: ignore[arg-type]
    run_sprint(Ticker(context, BatchRunner(context)), StartRequest(ASKED))
    return context


# -- what looking costs


def cpu() -> float:
    """Return the seconds of processor time that this process used so far, with the children that it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass
class Window:
    """What this process, and the children that it waited for, used of one core from then till now."""

    began: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=cpu)

    def share(self) -> float:
        """Return the share of one core in percent."""
        return 100 * (cpu() - self.used) / (time.monotonic() - self.began)


def opened(word: str, seconds: float) -> dict[str, Any]:
    """Hold 23 runs open; return the load while nobody writes and while all do, and how soon notices come."""
    places: dict[str, Path] = {}
    done, result = threading.Event(), dict[str, Any]()
    names = [f"p{number:02}" for number in range(PERSONAS)]

    def wait(job: Job) -> None:
        places[job.persona] = job.workspace
        done.wait()

    with tempfile.TemporaryDirectory() as folder:
        top = repository(Path(folder), names, f'max_parallel = {PERSONAS}\nforetell = "{word}"\nmax_attempts = 1\n')
        thread = threading.Thread(target=sprint, args=(top, wait))
        thread.start()
        while len(places) < PERSONAS:
            time.sleep(0.1)
        time.sleep(SETTLING)
        window = Window()
        time.sleep(seconds)
        result["idle"] = window.share()
        result["quiet notices"] = [met(places, number) for number in range(3)] if word != "off" else []
        writer = subprocess.Popen([sys.executable, "-c", WRITER, *map(str, places.values())])
        time.sleep(SETTLING)
        window = Window()
        time.sleep(seconds)
        result["writing"] = window.share()
        result["notices"] = [met(places, number) for number in range(3, 8)] if word != "off" else []
        writer.kill()
        writer.wait()
        done.set()
        thread.join()
    return result


def met(places: dict[str, Path], number: int) -> float:
    """Let two runs change the same lines of a file; return the seconds until both have been told."""
    two = [places[name] for name in sorted(places)[2 * number : 2 * number + 2]]
    before = [notices(place) for place in two]
    began = time.monotonic()
    for at, place in enumerate(two):
        path = place / f"d{(FILES - 1 - number) % 40:02}" / f"f{FILES - 1 - number:04}.txt"
        text = path.read_text().splitlines(keepends=True)
        path.write_text("".join([f"{at} was here\n", *text[1:]]))
    while any(notices(place) == known for place, known in zip(two, before, strict=True)):
        if time.monotonic() - began > LATEST:
            return LATEST
        time.sleep(0.02)
    return time.monotonic() - began


def notices(place: Path) -> set[str]:
    """Return the names of the notices in a workspace."""
    return {path.name for path in (place / ".team/run/inbox").glob("conflict-*.md")}


def looking(seconds: float) -> list[Row]:
    """Compare a process that looks with one that does not."""
    shares: dict[str, dict[str, Any]] = {}
    for word in ("off", "tell"):
        words = [sys.executable, __file__, "--open", word, str(seconds)]
        shares[word] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    rows = [
        cost(f"of a core for looking, {PERSONAS} open runs, {what}", key, shares, most)
        for what, key, most in (("nobody writes", "idle", 3.0), ("all write", "writing", 7.0))
    ]
    for what, key in (("nobody else writes", "quiet notices"), ("all write", "notices")):
        times = shares["tell"][key]
        rows.append(
            Row(
                f"first notice after both have written, {what}",
                f"{median(times):.1f} s",
                f"at most {max(times):.1f} s",
                "",
                "≤ 6 s",
                max(times) <= 6,
            )
        )
    return rows


def cost(what: str, key: str, shares: dict[str, dict[str, Any]], most: float) -> Row:
    """Make a row of what looking takes more than the same sprint without it."""
    own, without = shares["tell"][key], shares["off"][key]
    more = own - without
    return Row(what, f"{more:.1f} %", f"without: {without:.1f} %, with: {own:.1f} %", "", f"≤ {most:g} %", more <= most)


# -- agents that obey


@dataclass
class Replay:
    """A sprint in which pairs of personas want the same lines, and work as long as a log-normal distribution says."""

    seed: int
    obeys: bool
    typical: float

    def __post_init__(self) -> None:
        self.names = [f"p{number:02}" for number in range(PERSONAS)]
        order = [*self.names]
        self.dice().shuffle(order)
        self.pair = {name: at // 2 for at, name in enumerate(order[: 2 * SHARED])}

    def dice(self, *of: object) -> random.Random:
        """Return the same dice for the same thing, whatever else happens."""
        return random.Random(repr((self.seed, *of)))

    def play(self) -> tuple[float, int, int]:
        """Play it; return how long it took, how many patches conflicted, and how many landed."""
        with tempfile.TemporaryDirectory() as folder:
            word = "tell" if self.obeys else "off"
            settings = f'max_parallel = {SLOTS}\nforetell = "{word}"\nmax_attempts = 5\n'
            top = repository(Path(folder), self.names, settings)
            began = time.monotonic()
            context = sprint(top, self.work)
            took = time.monotonic() - began
            kinds = [event.kind for event in context.mailbox.log.read()]
        return took, kinds.count(Kind.PATCH_CONFLICTED), kinds.count(Kind.PATCH_LANDED)

    def work(self, job: Job) -> None:
        """Do the work of a persona: its change early on, then the rest of its time, with an eye on the inbox."""
        length = self.typical * self.dice(job.persona).lognormvariate(0, SIGMA)
        if job.attempt > 1:
            time.sleep(AGAIN * length)
            for path in (job.workspace / "d00").glob("*.txt"):
                path.write_text(settled(path.read_text()))
            return
        at, known = self.dice(job.persona, "when").randrange(1, STEPS // 2), set[str]()
        for step in range(STEPS):
            if step == at:
                self.change(job, elsewhere=False)
            time.sleep(length / STEPS)
            for name in sorted(notices(job.workspace) - known) if self.obeys else ():
                known.add(name)
                self.obey(job, job.workspace / ".team/run/inbox" / name)
                time.sleep(OBEYING * length)

    def change(self, job: Job, *, elsewhere: bool) -> None:
        """Change the line that is wanted; who has none in common with anybody, one of its own."""
        number = self.pair.get(job.persona)
        own = int(job.persona[1:])
        line = 30 if number is None or not elsewhere else 40 + own % 2 * 8
        path = job.workspace / "d00" / f"f{40 * (own + 12 if number is None else number):04}.txt"
        text = path.read_text().splitlines(keepends=True)
        text[line] = f"{job.persona} was here\n"
        path.write_text("".join(text))

    def obey(self, job: Job, notice: Path) -> None:
        """Do what a notice says."""
        advice = notice.read_text().splitlines()[2]
        if advice.startswith("Stay out"):
            path = job.workspace / "d00" / f"f{40 * self.pair[job.persona]:04}.txt"
            subprocess.run(["git", "checkout", "-q", "--", path], cwd=job.workspace, check=True)
            self.change(job, elsewhere=True)
        elif advice.startswith("The base moved"):
            _, command, _, touch, *_ = advice.split("`")
            subprocess.run(shlex.split(command), cwd=job.workspace, check=False)
            path = job.workspace / shlex.split(command)[2]
            path.write_text(settled(path.read_text()))
            subprocess.run(shlex.split(touch), cwd=job.workspace, check=True)


def settled(text: str) -> str:
    """Keep both sides of each conflict."""
    marks = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
    return "".join(row for row in text.splitlines(keepends=True) if not row.startswith(marks))


def replayed(seeds: int, typical: float = 15.0) -> list[Row]:
    """Compare sprints whose agents obey with the same ones without notices."""
    times: list[float] = []
    with_, without, lengths = 0, 0, [list[float](), list[float]()]
    for seed in range(seeds):
        (long, conflicts, landed), (short, left, too) = (Replay(seed, obeys, typical).play() for obeys in (False, True))
        if (landed, too) != (PERSONAS, PERSONAS):
            sys.exit(f"{landed} and {too} landed instead of {PERSONAS}")
        without, with_ = without + conflicts, with_ + left
        times.append(short / long)
        lengths[0].append(long)
        lengths[1].append(short)
    share = 100 * without / (PERSONAS * seeds)
    ratio = with_ / without
    return [
        Row("conflicts at landing where agents obey", f"{with_}", f"without notices: {without} ({share:.0f} %)",
            f"{ratio:.2f}", "≤ 0.4 times", ratio <= 0.4),
        Row("wall time of these sprints", f"{median(lengths[1]):.0f} s", f"without notices: {median(lengths[0]):.0f} s",
            f"{median(times):.2f}", "≤ 0.9 times", median(times) <= 0.9),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
