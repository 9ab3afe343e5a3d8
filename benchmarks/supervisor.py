"""Rounds: how soon a veto launches the author, and what looking costs while nothing calls for a round.

The team is real: shell scripts under keepers, a commit for each patch. The idle team is led by `scheduler run
--continuous` in a process of its own, for a minute in which looks become rarer, as they do in its first one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from table import Row, show
from team_mail.mail.log.log import EventLog

SCHEDULER = str(Path(sys.executable).with_name("scheduler"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
TICKS = os.sysconf("SC_CLK_TCK")
AGENT = """\
case "$1 $2" in
"nova 1") echo bad > app.txt ;;
"nova "*) echo good > app.txt ;;
"cipher "*) if grep -q bad app.txt; then echo '{"veto": true}'; else echo '{"veto": false}'; fi > "$TEAM_OUTPUT" ;;
esac
"""
SETTINGS = """\
[agents.shell]
command = ["sh", "agent.sh", "{persona}", "{attempt}"]
[sprint]
gather = "0s"
[teams.code]
members = ["nova"]
reviewers = ["cipher"]
[gates.security]
report = "cipher"
veto = true
"""


def team(folder: Path, files: int) -> Path:
    """Make a repository of so many files with a team of two, of whom one reviews."""
    for number in range(files):
        path = folder / f"part-{number // 50:02}" / f"file-{number:04}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {line} of file {number}\n" for line in range(40)))
    personas = folder / ".team" / "personas"
    personas.mkdir(parents=True)
    (folder / "agent.sh").write_text(AGENT)
    (folder / ".team" / "team.toml").write_text(SETTINGS)
    (personas / "nova.md").write_text("---\nid: nova\n---\nWrite.\n")
    (personas / "cipher.md").write_text("---\nid: cipher\nscheduled: mail\n---\nReview.\n")
    for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=Begin"):
        subprocess.run(["git", *WHO, *words.split()], cwd=folder, check=True)
    return folder


def times(top: Path, kind: str) -> list[datetime]:
    return [datetime.fromisoformat(event.ts) for event in EventLog(top / ".team" / "mail").read() if event.kind == kind]


def vetoes(folder: Path, rounds: int) -> Row:
    """Measure from the end of a review that vetoes to the start of its author's next run, on 2,000 files."""
    taken: list[float] = []
    for number in range(rounds):
        top = team(folder / f"veto-{number}", 2000)
        subprocess.run([SCHEDULER, "sprint", "--quiet", "--yes"], cwd=top, check=True, stdout=subprocess.DEVNULL)
        reports, starts = times(top, "report.given"), times(top, "run.started")
        taken.append((min(start for start in starts if start > reports[0]) - reports[0]).total_seconds())
        shutil.rmtree(top)
    own = median(taken)
    return Row("from a veto to the launch of its author, 2,000 files", f"{own:.2f} s", "", "", "≤ 1 s", own <= 1)


def idle(folder: Path, length: float) -> list[Row]:
    """Lead a team whose last round was approved and has nothing more to do; return what looking cost."""
    top = team(folder / "idle", 2000)
    (top / "agent.sh").write_text("exit 0\n")
    subprocess.run(["git", *WHO, "commit", "--quiet", "-am", "Do nothing"], cwd=top, check=True)
    process = subprocess.Popen(
        [SCHEDULER, "run", "--continuous"], cwd=top, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    try:
        while "looking again" not in (line := process.stderr.readline()):
            if not line:
                sys.exit("the team did not come to rest")
        began, events = used(process.pid), len([*EventLog(top / ".team" / "mail").read()])
        time.sleep(length)
        share = (used(process.pid) - began) / length
        more = len([*EventLog(top / ".team" / "mail").read()]) - events
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    runs = len(times(top, "run.started"))
    what = f"looking for {length:g} s while nothing calls for a round"
    return [
        Row(f"{what}: a processor", f"{share:.2%}", "", "", "≤ 0.5 %", share <= 0.005),
        Row(f"{what}: events", str(more), "", "", "≤ 1", more <= 1),
        Row(f"{what}: agents", str(runs - 1), "", "", "0", runs == 1),
    ]


def used(pid: int) -> float:
    """Return the seconds of processor time of a process, and of its children that were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and a shorter idle time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as scratch:
        folder = Path(scratch)
        rows = [vetoes(folder, 3 if given.quick else 7), *idle(folder, 20.0 if given.quick else 60.0)]
    if given.json:
        json.dump([row._asdict() for row in rows], sys.stdout)
    else:
        show(rows)
    print(f"load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if not all(row.met in {True, None} for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
