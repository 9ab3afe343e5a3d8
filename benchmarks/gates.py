"""Gates: how many runs it takes to find culprits, how often chance blames an innocent, and what side by side saves.

The contender is plain bisection, as it was here before: each failure is run once more at once, the base is tried first,
and after each culprit the search begins anew. Both search the same lines of 20 patches, at random positions. A gate
that fails by chance judges weaves without any culprit. The wall time is that of gates which only wait.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import mean, median

from table import Row, markdown, show
from team_mail.personas.git import Git
from team_mail.scheduler.landing.gate import Gate, GateResult
from team_mail.scheduler.landing.search import NEW, Ask, Culprit, Line, Search, Tally, wanted
from team_mail.scheduler.landing.sift import sift
from team_mail.scheduler.state.facts import Judged
from team_mail.scheduler.weaver.patch import PatchSubmission
from team_mail.scheduler.weaver.weave import weave

PATCHES = 20
TARGETS = {1: 8, 2: 14, 5: 30}
STEADY = (0, 20)  # a gate that has passed 20 times, and never failed without a cause
WAVES = 1000  # weaves of a gate that fails by chance
WAIT = 2.0  # seconds that a waiting gate takes

Fails = Callable[[Line], bool]


@dataclass
class Cost:
    """What a search came to: runs of the gate, how many times some began, who was blamed; `luck` as `Search.chance`."""

    runs: int = 0
    rounds: int = 0
    blamed: list[str] = field(default_factory=list[str])
    luck: tuple[int, int] = (0, 0)


def ours(line: Line, fails: Fails, luck: tuple[int, int] = (0, 0), width: int = 1) -> Cost:
    """Search as the scheduler does, with so many trees at once, each of which takes as long."""
    cost, tallies = Cost(), dict[Line, Tally]()
    while True:
        green = [tally for tally in tallies.values() if tally.green]
        failed, runs = sum(each.failed for each in green), sum(each.failed + each.passed for each in green)
        cost.luck = luck[0] + failed, luck[1] + runs
        search = Search(line, lambda asked: tallies.get(asked, NEW), blamed=len(cost.blamed), chance=cost.luck)
        decision = search.decide()
        if isinstance(decision, Culprit):
            cost.blamed.append(decision.patch)
            line = tuple(patch for patch in line if patch != decision.patch)
        elif isinstance(decision, Ask):
            cost.rounds += 1
            for asked in wanted(search, width):
                cost.runs += 1
                tallies[asked] = tallies.get(asked, NEW).plus(passed=not fails(asked))
        else:
            return cost


def plain(line: Line, fails: Fails) -> Cost:
    """Bisect as before; the base is tried once, and no tree is judged twice."""
    cost, judged = Cost(), dict[Line, bool]()

    def red(asked: Line) -> bool:
        if asked not in judged:
            cost.runs += 1
            judged[asked] = fails(asked)
            if judged[asked]:
                cost.runs += 1
                judged[asked] = fails(asked)
        return judged[asked]

    while line and red(line) and not red(()):
        low, high = 0, len(line)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if red(line[:middle]) else (middle, high)
        cost.blamed.append(line[high - 1])
        line = line[: high - 1] + line[high:]
    return cost


def searches(rounds: int) -> list[Row]:
    """Count the runs for 1, 2 and 5 culprits among 20 patches."""
    rows = list[Row]()
    line = tuple(f"p{number:02}" for number in range(PATCHES))
    gates = (("", STEADY), (", gate never run before", (0, 0)))
    for culprits, (name, luck) in product(TARGETS, gates):
        target = TARGETS[culprits]
        dice, both = random.Random(culprits), ([], [])
        for _ in range(rounds):
            bad = {*dice.sample(line, culprits)}
            costs = (
                ours(line, lambda tree, bad=bad: bool(bad & {*tree}), luck),
                plain(line, lambda t, b=bad: bool(b & {*t})),
            )
            for runs, cost in zip(both, costs, strict=True):
                if {*cost.blamed} != bad:
                    sys.exit(f"{cost.blamed} were blamed instead of {sorted(bad)}")
                runs.append(cost.runs)
        own, before = both
        rows.append(
            Row(
                f"runs to find {culprits} of {PATCHES} patches{name}", f"{median(own):g} (at most {max(own)})",
                f"plain bisection: {median(before):g} (at most {max(before)})", f"{median(own) / median(before):.2f}",
                "" if name else f"≤ {target}", None if name else median(own) <= target,
            )
        )  # fmt: skip
    return rows


def chances() -> list[Row]:
    """Count how many weaves blame somebody for what a gate does by chance."""
    rows = list[Row]()
    line = tuple(f"p{number}" for number in range(7))
    for rate in (0.5, 0.3, 0.1):
        dice = random.Random(11)

        def fails(_: Line, rate: float = rate, dice: random.Random = dice) -> bool:
            return dice.random() < rate

        before = [plain(line, fails) for _ in range(WAVES)]
        fresh = [ours(line, fails) for _ in range(WAVES)]
        team, luck = list[Cost](), (0, 0)
        for _ in range(WAVES):
            team.append(ours(line, fails, luck))
            luck = team[-1].luck
        for name, costs in ((f"{WAVES} weaves of one team", team), (f"the first weave of {WAVES} teams", fresh)):
            wrong, theirs = (sum(bool(cost.blamed) for cost in each) for each in (costs, before))
            rows.append(
                Row(
                    f"innocents blamed by a gate that fails in {rate:.0%} of its runs, {name}",
                    f"{wrong} weaves ({mean(cost.runs for cost in costs):.1f} runs each)",
                    f"plain bisection: {theirs} ({mean(cost.runs for cost in before):.1f})",
                    f"{wrong / max(1, theirs):.2f}", "", None,
                )
            )  # fmt: skip
    return rows


def side_by_side(rounds: int) -> list[Row]:
    """Count how many runs long a search is with one worker and with two, if all runs take as long."""
    rows = list[Row]()
    line = tuple(f"p{number:02}" for number in range(PATCHES))
    for culprits in TARGETS:
        dice, took = random.Random(culprits), ([], [])
        for _ in range(rounds):
            bad = {*dice.sample(line, culprits)}

            def fails(tree: Line, bad: set[str] = bad) -> bool:
                return not bad.isdisjoint(tree)

            for width, lengths in zip((1, 2), took, strict=True):
                lengths.append(ours(line, fails, STEADY, width).rounds)
        alone, both = map(mean, took)
        rows.append(
            Row(
                f"length of the search with two workers, {culprits} of {PATCHES} patches", f"{both:.1f} runs",
                f"one worker: {alone:.1f} runs", f"{both / alone:.2f}", "≤ 0.6 times", both <= 0.6 * alone,
            )
        )  # fmt: skip
    return rows


def waiting(rounds: int) -> list[Row]:
    """Time real sifting in a repository, with one worker and with two, of a gate that only waits."""
    rows = list[Row]()
    with tempfile.TemporaryDirectory() as folder:
        git, base = repository(Path(folder))
        for culprits in (1, 2, 5):
            dice, took = random.Random(culprits), ([], [])
            for _ in range(rounds):
                bad = {*dice.sample(range(PATCHES), culprits)}
                offers = [offer(base, number, "bad" if number in bad else "fine") for number in range(PATCHES)]
                for width, times in zip((1, 2), took, strict=True):
                    times.append(sifted(git, base, offers, width, len(bad)))
            alone, both = map(mean, took)
            rows.append(
                Row(
                    f"the same in a repository, gates of {WAIT:g} s, {culprits} of {PATCHES}", f"{both:.1f} s",
                    f"one worker: {alone:.1f} s", f"{both / alone:.2f}", "≤ 0.6 times", both <= 0.6 * alone,
                )
            )  # fmt: skip
    return rows


def repository(folder: Path) -> tuple[Git, str]:
    git = Git(folder / "bare.git")
    Git(folder).run("init", "-q", "--bare", str(folder / "bare.git"))
    tree = git.line("mktree", stdin=b"")
    return git, git.line("-c", "user.name=a", "-c", "user.email=a@example.org", "commit-tree", tree, "-m", "base")


def offer(base: str, number: int, text: str) -> PatchSubmission:
    name = f"p{number:02}.txt"
    patch = f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+{text}\n"
    return PatchSubmission(f"run-{name}", name, base, patch.encode(), number, name, "2026-01-01T00:00:00.000000Z")


def sifted(git: Git, base: str, offers: Sequence[PatchSubmission], width: int, bad: int) -> float:
    def judge(gate: Gate, commit: str, stop: threading.Event) -> GateResult:
        passed = bool(git.run("grep", "-q", "^bad", commit).returncode)
        stop.wait(WAIT)
        return GateResult(gate.name, commit, git.line("rev-parse", f"{commit}^{{tree}}"), passed=passed)

    start = time.perf_counter()
    gate = Gate("waits", ("wait",), parallel=width)
    known = {(gate.mark, git.line("rev-parse", f"{base}^{{tree}}")): Judged(passed=STEADY[1])}
    done = sift(git, weave(git, base, offers), offers, [gate], judge, known, lambda rest: weave(git, base, rest))
    if len(done.rejected) != bad:
        sys.exit(f"{len(done.rejected)} patches were rejected instead of {bad}")
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    given = parser.parse_args()
    rows = [
        *searches(50 if given.quick else 500),
        *chances(),
        *side_by_side(50 if given.quick else 500),
        *waiting(1 if given.quick else 5),
    ]
    print(markdown(rows)) if given.markdown else show(rows)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
