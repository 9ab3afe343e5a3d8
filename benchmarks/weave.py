"""The weaver's promises, measured beside its contenders: `python benchmarks/weave.py`, with `--quick` in a minute.

Times are of one run on one machine, contenders in turn (A B A B), and compared as medians: ratios travel from machine
to machine, times do not. Of windows it is processor time, of all processes, so that other work on the machine counts
less. Counts of landed patches are exact. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from engines import WHO, by_three_way
from team_mail.personas.git import Git
from team_mail.scheduler.meaning.notice import notices
from team_mail.scheduler.weaver.patch import PatchSubmission
from team_mail.scheduler.weaver.weave import weave
from windows import Window, crowded, windows

FILES = 2_000
FOLDERS = 50
LINES = 60
WHEN = "2026-01-01T00:00:00Z"


class Row(NamedTuple):
    """One line of the table."""

    what: str
    ours: str
    contender: str
    target: str
    met: bool


class Repository:
    """A checkout of 2,000 files, and patches against its only commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.run("init", "-q")
        for number in range(FILES):
            self.path(number).parent.mkdir(exist_ok=True)
            self.path(number).write_text("".join(f"line {line} of file {number}\n" for line in range(LINES)))
        self.run("add", ".")
        self.run(*WHO, "commit", "-qm", "base")
        self.base = self.run("rev-parse", "HEAD").decode().strip()
        self.git = Git(folder / ".git")

    def path(self, number: int) -> Path:
        return self.folder / f"folder{number % FOLDERS:02}" / f"file{number:04}.py"

    def run(self, *words: str, stdin: bytes | None = None, check: bool = True) -> bytes:
        return subprocess.run(
            ["git", *words], cwd=self.folder, input=stdin, capture_output=True, check=check
        ).stdout  # fmt: skip

    def submission(self, age: int, edits: dict[int, Callable[[str], str]]) -> PatchSubmission:
        for number, edit in edits.items():
            self.path(number).write_text(edit(self.path(number).read_text()))
        patch = self.run("diff", "--binary", "--full-index")
        self.run("checkout", "-q", ".")
        return PatchSubmission(f"run-{age}", f"persona-{age:03}", self.base, patch, age, f"work {age}", WHEN)

    def queue(self, count: int, files: int, dice: random.Random) -> list[PatchSubmission]:
        """Write patches that change one to three lines in as many of the first `files` files."""

        def change(age: int) -> Callable[[str], str]:
            line = dice.randrange(LINES)
            return lambda text: text.replace(f"line {line} of", f"line {line}, by {age}, of")

        return [
            self.submission(age, {number: change(age) for number in dice.sample(range(files), dice.choice((1, 2, 3)))})
            for age in range(count)
        ]

    def reformat_first(self) -> list[PatchSubmission]:
        """Put a reformat of all files before 23 patches, each to a file of its own."""

        def edit(text: str) -> str:
            return text.replace("line 7 of", "line seven of")

        def reformat(text: str) -> str:
            return text.replace("line ", "line  ")

        return [
            self.submission(0, dict.fromkeys(range(100), reformat)),
            *(self.submission(age, {age: edit}) for age in range(1, 24)),
        ]

    # -- contenders

    def by_hand(self, submissions: Sequence[PatchSubmission]) -> int:
        """Check and apply one patch after the other in the checkout; return how many went in."""
        return sum(self.applies(submission, "--check") and self.applies(submission) for submission in submissions)

    def applies(self, submission: PatchSubmission, *options: str) -> bool:
        argv = ["git", "apply", *options, "-"]
        return not subprocess.run(
            argv, cwd=self.folder, input=submission.patch, capture_output=True, check=False
        ).returncode  # fmt: skip

    def by_three_way(self, submissions: Sequence[PatchSubmission]) -> int:
        """Apply one after the other by `git apply --3way`; what conflicts is taken back."""
        index, landed = self.git.using(index=self.folder.with_suffix(".index")), 0
        index("read-tree", self.base)
        for submission in submissions:
            before = self.folder.with_suffix(".index").read_bytes()
            if index.run("apply", "--cached", "--3way", "-", stdin=submission.patch).returncode:
                self.folder.with_suffix(".index").write_bytes(before)
            else:
                landed += 1
        return landed

    def by_merge_tree(self, submissions: Sequence[PatchSubmission]) -> int:
        """Merge one after the other by `git merge-tree`."""
        tip, landed = self.base, 0
        index = self.git.using(index=self.folder.with_suffix(".index"))
        for submission in submissions:
            index("read-tree", self.base)
            index("apply", "--cached", "-", stdin=submission.patch)
            own = self.git.line(*WHO, "commit-tree", index.line("write-tree"), "-p", self.base, "-m", "own")
            merged = self.git.run("-c", "merge.renames=true", "merge-tree", "--write-tree", "--no-messages", tip, own)
            if not merged.returncode:
                tree = merged.stdout.decode().strip()
                tip = self.git.line(*WHO, "commit-tree", tree, "-p", tip, "-m", "landed")
                landed += 1
        return landed


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def processor_time() -> float:
    """Return the seconds of a processor that this process has taken, and those that it started and that have ended."""
    return sum(os.times()[:4])


def speed(repository: Repository, rounds: int) -> Row:
    submissions, own, by_hand = repository.queue(23, FILES, random.Random(21)), [], []
    for _ in range(rounds):
        own.append(seconds(lambda: weave(repository.git, repository.base, submissions)))
        by_hand.append(seconds(lambda: repository.by_hand(submissions)))
        repository.run("checkout", "-q", ".")
    ours, theirs = median(own), median(by_hand)
    return Row(
        f"weave of 23 patches, {FILES:,} files",
        f"{ours * 1e3:.0f} ms",
        f"git apply --check, git apply: {theirs * 1e3:.0f} ms",
        f"≤ 3 times: {ours / theirs:.2f}",
        ours / theirs <= 3,
    )


def many(repository: Repository, files: int) -> Row:
    submissions = repository.queue(200, files, random.Random(22))
    begun = time.perf_counter()
    count = len(weave(repository.git, repository.base, submissions).landed)
    taken = time.perf_counter() - begun
    return Row(f"weave of 200 patches, {files:,} files", f"{taken:.1f} s", f"{count} land", "≤ 20 s", taken <= 20)


def measured(window: Window, rounds: int) -> Row:
    """Weave a window and apply it by the loop, in turn; both write their objects apart."""
    own, loop, lands, applies = list[float](), list[float](), 0, 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
            (folder := Path(name, "loop")).mkdir()
            begun = processor_time()
            applies = by_three_way(window, window.submissions, folder)
            loop.append(processor_time() - begun)
            (folder := Path(name, "own")).mkdir()
            begun = processor_time()
            woven = weave(window.git.using(objects=folder), window.tip, window.submissions)
            own.append(processor_time() - begun)
            lands = len(woven.landed) + len(woven.present)
    ratio = median(own) / median(loop)
    return Row(
        f"{len(window.submissions)} patches, window {window.name}",
        f"{median(own):.2f} s, {lands} land",
        f"git apply --3way: {median(loop):.2f} s, {applies} land",
        f"≤ 2.5 times: {ratio:.2f}",
        ratio <= 2.5,
    )


def looks(git: Git, branch: str, size: int, most: int) -> Row:
    """Look for names that are gone and still used in what windows of history weave to; time each look."""
    times, said = list[float](), 0
    for window in windows(git, branch, size, most):
        with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
            apart = window.git.using(objects=Path(name))
            woven = weave(apart, window.tip, window.submissions)
            begun = time.perf_counter()
            said += len(notices(apart, woven))
            times.append(time.perf_counter() - begun)
    cost = f"a look takes {median(times) * 1e3:.0f} ms, {max(times) * 1e3:.0f} ms at most"
    return Row(f"gone and still used, {len(times)} windows of {size}", f"{said} said", cost, "", True)


def history(repository: Path, branch: str, size: int, most: int, rounds: int) -> list[Row]:
    """Measure windows of a repository's history; the median of their ratios counts."""
    table = [measured(window, rounds) for window in windows(Git(repository / ".git"), branch, size, most)]
    ratios = [float(row.target.rpartition(" ")[2]) for row in table]
    middle = f"{median(ratios):.2f}"
    total = Row(f"the median of {len(table)} windows", "", "", f"≤ 2.5 times: {middle}", median(ratios) <= 2.5)
    looked = [looks(Git(repository / ".git"), branch, each, 3 * most) for each in sorted({12, 24, size})]
    return [*looked, *(row._replace(target=row.target.replace("≤ 2.5 times: ", ""), met=True) for row in table), total]


def landed(repository: Repository, what: str, submissions: Sequence[PatchSubmission], least: int | None = None) -> Row:
    ours = len(weave(repository.git, repository.base, submissions).landed)
    three_way, merge_tree = repository.by_three_way(submissions), repository.by_merge_tree(submissions)
    wanted = max(three_way, merge_tree) if least is None else least
    contenders = f"first come: --3way {three_way}, merge-tree {merge_tree}"
    target = f"≥ {wanted}" if least is None else f"{least}"
    return Row(what, f"{ours} land", contenders, target, ours >= wanted)


def rows(folder: Path, *, quick: bool) -> list[Row]:
    repository = Repository(folder / "project")
    queues = [(24, 12), (60, 30)] if quick else [(24, 6), (24, 12), (60, 30), (100, 100)]
    return [
        speed(repository, 5 if quick else 15),
        many(repository, FILES),
        *([] if quick else [many(repository, 20)]),
        *(
            landed(
                repository, f"{count} patches in {files} files", repository.queue(count, files, random.Random(count))
            )
            for count, files in queues
        ),
        landed(repository, "a reformat first, 24 patches", repository.reformat_first(), 23),
        measured(crowded(folder / "crowded", files=FILES if quick else 20_000), 1 if quick else 5),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and queues")
    parser.add_argument("--history", type=Path, help="windows of this repository's history, and nothing else")
    parser.add_argument("--branch", default="HEAD", help="whose first parents are the history")
    parser.add_argument("--size", type=int, default=58, help="changes in a window")
    parser.add_argument("--most", type=int, default=8, help="windows")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
        if wanted.history:
            table = history(wanted.history, wanted.branch, wanted.size, wanted.most, 1 if wanted.quick else 3)
        else:
            table = rows(Path(name), quick=wanted.quick)
    lines = [
        ("what", "ours", "contender", "target", ""),
        *((*row[:4], "met" if row.met else "MISSED") for row in table),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    version = subprocess.run(["git", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"\n{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f} at the end, {version}")
    return int(not all(row.met for row in table))


if __name__ == "__main__":
    sys.exit(main())
