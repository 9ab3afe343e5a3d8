"""The table of a benchmark: its rows, and how what they compare is measured.

Contenders are measured in turn (A B A B), in one run on one machine, and compared as medians.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

ROUNDS = 7
HEADING = ("what", "ours", "contender", "ratio", "target", "verdict")


class Row(NamedTuple):
    """One line of the table; `met` is None where a contender is shown without a target."""

    what: str
    ours: str
    contender: str
    ratio: str
    target: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "MISSED", None: ""}[self.met]


def medians(*calls: Callable[[], float]) -> list[float]:
    """Call each in turn, once to warm up and then seven times."""
    for call in calls:
        call()
    rounds = [[call() for call in calls] for _ in range(ROUNDS)]
    return [median(column) for column in zip(*rounds, strict=True)]


def seconds_of(argv: Sequence[str], env: dict[str, str] | None = None, code: int = 0) -> float:
    """Time a whole process, without a limit: with one, its end is only looked for every 50 ms."""
    null, env = subprocess.DEVNULL, os.environ | (env or {})
    start = time.perf_counter()
    ended = subprocess.run(argv, check=False, stdin=null, stdout=null, env=env)
    taken = time.perf_counter() - start
    if ended.returncode != code:
        sys.exit(f"{' '.join(map(str, argv))} ended with {ended.returncode} instead of {code}")
    return taken


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def faster(what: str, own: float, contender: str, theirs: float, target: float | None) -> Row:
    ratio = own / theirs
    wanted = "" if target is None else f"≥ {target:g} times"
    met = None if target is None else ratio >= target
    return Row(what, f"{own:,.0f}/s", f"{contender}: {theirs:,.0f}/s", f"{ratio:.2f}", wanted, met)


def cold(what: str, own: float, contender: str, theirs: float, target: float | None) -> Row:
    ratio = own / theirs
    wanted = "" if target is None else f"≤ {target:g} times"
    met = None if target is None else ratio <= target
    return Row(what, f"{own * 1e3:.0f} ms", f"{contender}: {theirs * 1e3:.0f} ms", f"{ratio:.2f}", wanted, met)


def cells(row: Row) -> tuple[str, ...]:
    return (row.what, row.ours, row.contender, row.ratio, row.target, row.verdict)


def show(rows: Sequence[Row]) -> None:
    lines = [HEADING, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADING))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def markdown(rows: Sequence[Row]) -> str:
    table = [HEADING, ("---",) * len(HEADING), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)
