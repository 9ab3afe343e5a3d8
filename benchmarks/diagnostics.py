"""Diagnostics: how many lines a second one process writes as JSON, and how many are lost when four of them rotate."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from table import Row, show
from team_mail.scheduler.settings.notify import LoggingSettings
from team_mail.team.diagnostics.diagnostics import Diagnostics, Wanted

LINE = {
    "event": "run.ended", "run": "01a4c5f0-7c0e-7b52-8f7e-2b3f64c9a1d2", "persona": "ann", "agent": "claude",
    "attempt": 1, "sprint": 3, "status": "ok", "seconds": 41.2,
}  # fmt: skip
TEXT = "ann (attempt 1): ok after 41.2 s, exit 0"
WRITER = """
import logging, sys
from pathlib import Path
from team_mail.scheduler.settings.notify import LoggingSettings
from team_mail.team.diagnostics.diagnostics import Diagnostics, Wanted
settings = LoggingSettings(file=sys.argv[1] + "/{program}-{pid}.jsonl", keep=1_000_000)
settings = settings.model_copy(update={"rotate": int(sys.argv[3])})
with Diagnostics("scheduler", settings, Wanted()) as diagnostics:
    for number in range(int(sys.argv[2])):
        diagnostics.write(logging.INFO, f"line {number}", event="run.ended", sprint=number)
"""


def speed(folder: Path, lines: int) -> list[Row]:
    """Write lines seven times; one write of the system for each, as always."""
    settings = LoggingSettings(file=str(folder / "{program}-{pid}.jsonl"), rotate=1 << 30)
    own, wall = list[float](), list[float]()
    with Diagnostics("scheduler", settings, Wanted()) as diagnostics:
        for _ in range(8):
            used, began = time.process_time(), time.perf_counter()
            for _ in range(lines):
                diagnostics.write(logging.INFO, TEXT, **LINE)
            own.append(lines / (time.process_time() - used))
            wall.append(lines / (time.perf_counter() - began))
    processor, clock = median(own[1:]), median(wall[1:])  # the first one warms up
    what = f"{lines:,} lines of JSON to a file, median of 7"
    return [
        Row(
            f"{what}: for each second of a processor", f"{processor:,.0f}/s", "", "", "≥ 50,000/s", processor >= 50_000
        ),
        Row(f"{what}: for each second", f"{clock:,.0f}/s", "", "", "", None),
    ]


def lost(folder: Path, lines: int, size: int, least: int) -> list[Row]:
    """Let four processes write into one folder, and read what is there."""
    words = [sys.executable, "-c", WRITER, str(folder), str(lines), str(size)]
    writers = [subprocess.Popen(words) for _ in range(4)]
    if any(writer.wait() for writer in writers):
        sys.exit("a writer failed")
    files = [*folder.iterdir()]
    kept = {
        (document["pid"], document["sprint"])
        for path in files
        for document in map(json.loads, path.read_text().splitlines())
    }
    rotations, missing = len(files) - 4, 4 * lines - len(kept)
    return [
        Row(
            f"rotations by 4 processes, {4 * lines:,} lines",
            f"{rotations:,}",
            "",
            "",
            f"≥ {least:,}",
            rotations >= least,
        ),
        Row("lines lost in them", str(missing), "", "", "0", missing == 0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer lines")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as scratch:
        folder = Path(scratch)
        (folder / "rotated").mkdir()
        rows = speed(folder / "speed", 5_000 if given.quick else 50_000)
        rows += lost(folder / "rotated", 2_500 if given.quick else 25_000, 12_000, 100 if given.quick else 1_000)
    if given.json:
        json.dump([row._asdict() for row in rows], sys.stdout)
    else:
        show(rows)
    print(f"load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if not all(row.met in {True, None} for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
