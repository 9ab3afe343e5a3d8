"""Rolling sprints: how long their decisions take over the work, beside those with a barrier, and how soon work lands.

In the simulated ones nothing is run: `decide` is asked again and again, as by a scheduler, and what it starts takes as
long as a log-normal distribution says. A share of the patches conflicts with what has landed meanwhile, and their
authors get mail. The real ones are in a repository of 2,000 files.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from table import Row, markdown, show
from team_mail.mail.clock import rfc3339
from team_mail.scheduler.context import Member
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.settings.settings import SprintSettings
from team_mail.scheduler.sprint.decide import ASKED, StartRequest, decide
from team_mail.scheduler.state.facts import Fact, Mail
from team_mail.scheduler.state.fold import Fold
from team_mail.scheduler.state.sprints import State

START = datetime(2026, 1, 1, tzinfo=UTC)
PERSONAS, SLOTS = 23, 8
CONFLICTS = 0.27
TYPICAL = 600.0  # seconds
SIGMA = 0.8
SURE = 0.3  # how far what is expected of a run may be off
WEAVE = 0.5  # seconds
SPRINT = [Path(sys.executable).with_name("scheduler"), "sprint", "--quiet"]


@dataclass
class Simulation:
    """One sprint. `lengths` are those of each persona's runs, in seconds, and `expected` those of its last sprint's."""

    seed: int
    rolling: bool
    now: datetime = START
    fold: Fold = field(default_factory=Fold)
    seq: int = 0
    unread: dict[str, tuple[Mail, ...]] = field(default_factory=dict[str, tuple[Mail, ...]])
    ends: list[tuple[datetime, str, str]] = field(default_factory=list[tuple[datetime, str, str]])
    worked: dict[str, float] = field(default_factory=dict[str, float])
    landed: dict[str, datetime] = field(default_factory=dict[str, datetime])
    slots: int = SLOTS
    hangs: str = ""
    away: str = ""

    def __post_init__(self) -> None:
        self.names = [name for number in range(PERSONAS) if (name := f"p{number:02}") != self.away]
        self.length = {name: TYPICAL * self.dice(name).lognormvariate(0, SIGMA) for name in self.names}
        self.policy = SprintSettings(
            deadline=90 * 86_400.0,
            max_parallel=self.slots,
            fallback_above=1.0,
            gather=2.0,
            max_attempts=9,
            rolling="always" if self.rolling else "never",
        )
        self.past()

    def dice(self, *of: object) -> random.Random:
        """Return the same dice for the same thing, whatever else happens."""
        return random.Random(repr((self.seed, *of)))

    def past(self) -> None:
        """A sprint before this one, by which the length of a run is expected."""
        self.tell(Kind.SPRINT_STARTED, sprint=1, id="s", base_branch="main", base="b", branch="b", mode="parallel",
                  rule="", reason="", personas=self.names)  # fmt: skip
        for name in self.names:
            about = self.length[name] * self.dice(name, "past").uniform(1 - SURE, 1 + SURE)
            self.begin(1, name, 1, 1)
            self.tell(Kind.RUN_FINISHED, run=f"1-{name}-1", status="ok", seconds=about, detail="")
        self.tell(Kind.SPRINT_FINISHED, sprint=1, outcome="converged")

    def tell(self, kind: str, *, run: str | None = None, ref: str | None = None, **data: Any) -> None:
        self.seq += 1
        self.fold.add(Fact(self.seq, rfc3339(self.now), kind, Kind(kind).writer, ref, run, data, "0" * 32))

    def begin(self, sprint: int, name: str, attempt: int, tick: int) -> None:
        self.tell(
            Kind.RUN_STARTED, run=f"{sprint}-{name}-{attempt}", sprint=sprint, persona=name, attempt=attempt,
            tick=tick, base="b", agent="shell", reason="batch", mail=[], supervisor={},
        )  # fmt: skip

    @property
    def state(self) -> State:
        return replace(self.fold.state(), unread=self.unread)

    def play(self) -> float:
        """Play the sprint; return its length in seconds."""
        roster, request = [Member(name, "shell") for name in self.names], StartRequest(ASKED)
        while True:
            state = self.state
            plan = decide(state, roster, self.policy, self.now, request)
            if plan.opening:
                self.tell(
                    Kind.SPRINT_STARTED, sprint=2, id="s", base_branch="main", base="b", branch="b", mode="parallel",
                    rule="", reason=ASKED, personas=self.names, rolling=self.rolling,
                )  # fmt: skip
                request = StartRequest()
                continue
            if plan.over:
                self.tell(Kind.TICK_DONE, sprint=2, tick=state.tick)
                continue
            if plan.finish:
                return (self.now - START).total_seconds()
            if plan.weave:
                self.weave(plan.weave, plan.tick)
                continue
            self.start(plan.starts, plan.tick)
            self.wait(plan.wait_until)

    def start(self, launches: Sequence[Any], tick: int) -> None:
        for launch in launches:
            self.begin(2, launch.persona, launch.attempt, tick)
            self.unread.pop(launch.persona, None)
            again = 1.0 if launch.attempt == 1 else 0.4  # a conflict is less work than the task
            length = (
                self.length[launch.persona] * again * self.dice(launch.persona, launch.attempt).lognormvariate(0, 0.1)
            )
            length = 5_000_000.0 if launch.persona == self.hangs else length
            self.worked[launch.persona] = self.worked.get(launch.persona, 0.0) + length
            due = self.now + timedelta(seconds=length)
            heapq.heappush(self.ends, (due, launch.persona, f"2-{launch.persona}-{launch.attempt}"))

    def wait(self, until: datetime | None) -> None:
        """Let the time pass until a run ends, or something is due."""
        if self.ends and (until is None or self.ends[0][0] <= until):
            self.now, name, run = heapq.heappop(self.ends)
            self.tell(
                Kind.PATCH_CAPTURED, run=run, persona=name, patch={"sha256": "a", "size": 9}, files=["x"]
            )  # fmt: skip
            self.tell(Kind.RUN_FINISHED, run=run, status="ok", seconds=self.length[name], detail="")
        elif until:
            self.now = until
        else:
            sys.exit("nothing goes on, and nothing is due")

    def weave(self, patches: Sequence[Any], tick: int) -> None:
        self.now += timedelta(seconds=WEAVE)
        for patch in patches:
            first = patch.run.endswith("-1")
            if first and self.dice(patch.persona, "conflict").random() < CONFLICTS:
                self.tell(Kind.PATCH_CONFLICTED, ref=patch.run, tick=tick, signature=patch.run)
                about = (f"m{self.seq}", rfc3339(self.now), "weaver", "", "conflict", "", None)
                self.unread[patch.persona] = (Mail(patch.persona, self.seq, *about),)
            else:
                self.landed[patch.persona] = self.now
                self.tell(Kind.PATCH_LANDED, ref=patch.run, tick=tick, commit="c")
        if self.rolling:
            self.tell(Kind.TICK_DONE, sprint=2, tick=tick)

    @property
    def bound(self) -> float:
        """No schedule is shorter: the longest chain of one persona, or all work over the slots."""
        return max(*self.worked.values(), sum(self.worked.values()) / self.slots)


def over_the_bound(seeds: int) -> list[Row]:
    """Compare rolling sprints with the bound, and with those that have a barrier."""
    own, theirs = [Simulation(seed, rolling=True) for seed in range(seeds)], list[float]()
    over = [each.play() / each.bound for each in own]
    for seed in range(seeds):
        barred = Simulation(seed, rolling=False)
        theirs.append(barred.play() / barred.bound)
    beside = median(mine / yours for mine, yours in zip(over, theirs, strict=True))
    what = f"{PERSONAS} personas on {SLOTS} slots, over the bound"
    return [
        at_most(what, median(over), "the bound: 1", median(over), 1.10),
        at_most(what, median(over), f"with a barrier: {median(theirs):.3f}", beside, 0.80),
    ]


def one_that_hangs(seeds: int) -> list[Row]:
    """Compare when the last of the others lands with the same sprint without the one that hangs, on a slot fewer."""
    ratios: list[float] = []
    for seed in range(seeds):
        hung = Simulation(seed, rolling=True, hangs="p00")
        without = Simulation(seed, rolling=True, slots=SLOTS - 1, away="p00")
        hung.play()
        without.play()
        hung.landed.pop("p00", None)
        ratios.append((max(hung.landed.values()) - START) / (max(without.landed.values()) - START))
    last = median(ratios)
    return [at_most("one of 23 hangs: the others' last landing", last, "without it, on 7: 1", last, 1.05)]


def real(rounds: int) -> list[Row]:
    """Measure real sprints in a repository of 2,000 files, in which others go on: how soon what has ended lands."""
    landed, launched = list[float](), list[float]()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            events = play(Path(folder))
        ended = {event["run"]: at(event) for event in events if event["kind"] == Kind.RUN_FINISHED}
        landed += [at(event) - ended[event["ref"]] for event in events if event["kind"] == Kind.PATCH_LANDED]
        begun = {event["data"]["persona"]: at(event) for event in events if event["kind"] == Kind.RUN_STARTED}
        runs = [event["ref"] for event in events if event["kind"] == Kind.PATCH_CONFLICTED]
        first = [event for event in events if event["ref"] in runs[:1] and event["kind"] == Kind.PATCH_CONFLICTED]
        launched += [begun[event["data"]["persona"]] - ended[event["ref"]] for event in first]
    return [
        within("from the end of a run to its patch on the branch", landed, 0.6),
        within("from the end of a run to the launch of the author of a conflict", launched, 1.0),
    ]


def leader(open_runs: int) -> Row:
    """Measure the memory of a scheduler while so many of its runs go on, as the system counts it."""
    with tempfile.TemporaryDirectory() as folder:
        script = "cat > /dev/null; sleep 20; echo done > $TEAM_PERSONA.txt"
        names = [f"p{number:02}" for number in range(open_runs)]
        top = team(Path(folder) / "project", 20, names, script, f"max_parallel = {open_runs}\n")
        with subprocess.Popen(SPRINT, cwd=top, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            _, _, used = os.wait4(process.pid, 0)  # of the process itself: its runs are the warden's children
            process.returncode = 0
    megabytes = used.ru_maxrss / 1024
    what = f"memory of a leader with {open_runs} open runs"
    return Row(what, f"{megabytes:.0f} MB", "", "", "≤ 150 MB", megabytes <= 150)


def team(top: Path, files: int, names: Sequence[str], script: str, sprint: str) -> Path:
    """Make a repository with so many files, and a team whose personas all play a script."""
    (top / ".team" / "personas").mkdir(parents=True)
    for number in range(files):
        file = top / f"d{number % 40:02}" / f"f{number:04}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"line {line} of {number}\n" for line in range(20)))
    for name in names:
        (top / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo it.\n")
    command = json.dumps(["sh", "-c", script])
    (top / ".team" / "team.toml").write_text(f"[agents.shell]\ncommand = {command}\n[sprint]\n{sprint}")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b.invalid",
                  "commit", "-q", "-m", "Begin")):  # fmt: skip
        subprocess.run(["git", *words], cwd=top, check=True)
    return top


def play(folder: Path) -> list[dict[str, Any]]:
    """Play a sprint in which two change the same line and two others take long; return its events."""
    done = folder / "done"
    script = (
        "cat > /dev/null; case $TEAM_PERSONA in ann|bob) "
        'sed -i "s/^line 1 .*/$TEAM_PERSONA/" d00/f0000.txt;; '
        f"*) while ! test -e {done}; do sleep 0.2; done;; esac"
    )
    top = team(folder / "project", 2000, ("ann", "bob", "cyd", "dan"), script, 'gather = "0s"\nmax_attempts = 2\n')
    log = top / ".team" / "mail" / "events.jsonl"
    with subprocess.Popen(
        SPRINT, cwd=top, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ):
        until = time.monotonic() + 60
        while time.monotonic() < until and (not log.exists() or log.read_text().count('"kind":"run.finished"') < 3):
            time.sleep(0.2)
        done.touch()
    return [json.loads(row) for row in log.read_text().splitlines()]


def at(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["ts"]).timestamp()


def within(what: str, seconds: Sequence[float], most: float) -> Row:
    own = median(seconds)
    return Row(what, f"{own:.2f} s", f"at most {max(seconds):.2f} s", "", f"≤ {most:g} s", own <= most)


def at_most(what: str, own: float, contender: str, ratio: float, most: float) -> Row:
    return Row(what, f"{own:.3f}", contender, f"{ratio:.3f}", f"≤ {most:g} times", ratio <= most)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten sprints instead of a hundred")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    given = parser.parse_args()
    seeds = 10 if given.quick else 100
    rows = [*over_the_bound(seeds), *one_that_hangs(seeds), *real(3 if given.quick else 9), leader(60)]
    print(markdown(rows)) if given.markdown else show(rows)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
