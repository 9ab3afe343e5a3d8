"""A storm over runs: whoever takes part in one is killed at random while mail is sent, and nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

BIN = Path(sys.executable).parent
SPRINTS, PERSONAS, MAILS = 25, 8, 4
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEAM_", "_TEAM", "PYTHON", "GIT_", "COV"))
} | {
    "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
AGENT = r"""
cat > /dev/null
echo "$TEAM_RUN" > "$TEAM_PERSONA.txt" && echo "work $TEAM_RUN" >> JOURNAL
for number in 1 2 3 4; do
    printf -- '---\nto: you\nsubject: file %s %s\n---\nx\n' "$TEAM_RUN" "$number" > .team/run/outbox/$number.md
    .team/run/team-mail send --to you -s "command $TEAM_RUN $number" -b x > /dev/null 2>&1 &&
        echo "command $TEAM_RUN $number" >> JOURNAL
    sleep 0.1
done
for number in 1 2 3 4; do
    test -e .team/run/outbox/$number.md || echo "file $TEAM_RUN $number" >> JOURNAL
done
"""


class Storm:
    """A team in a repository, and the processes that belong to it, found by the paths that they were given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.home = self.folder / ".team"
        self.journal = folder / "journal"
        self.env = CLEAN | {"XDG_STATE_HOME": str(folder / "state")}
        (self.home / "personas").mkdir(parents=True)
        for number in range(PERSONAS):
            (self.home / "personas" / f"p{number}.md").write_text(f"---\nid: p{number}\n---\nWork.\n")
        command = json.dumps(["sh", "-c", AGENT.replace("JOURNAL", str(self.journal))])
        (self.home / "team.toml").write_text(
            f"[agents.shell]\ncommand = {command}\ntimeout = '60s'\n"
            "[sprint]\nretry_backoff = '0s'\nfallback_above = 1\n"
        )
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "commit", "-q", "--allow-empty", "-m", "Begin")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [BIN / "scheduler", command, "--quiet"], cwd=self.folder, env=self.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Find the living processes: wardens, keepers, mail processes, and those of agents."""
        kinds: dict[str, list[psutil.Process]] = {"warden": [], "keeper": [], "mail": [], "agent": []}
        for process in psutil.process_iter():
            try:
                words, environ = process.cmdline(), process.environ()
            except psutil.Error:
                continue
            if "team_mail.personas.running.postbox" in words and str(self.home) in words:
                kinds["mail"].append(process)
            elif "keeper" in words and str(self.home) in words:  # a fork of its warden, whose environment it has
                kinds["keeper"].append(process)
            elif environ.get("TEAM_RUN_OF") == str(self.home):
                kinds["agent"].append(process)
        kinds["warden"] = [warden for keeper in kinds["keeper"] if (warden := _warden(keeper))]
        return kinds

    def until_runs(self, leader: subprocess.Popen[bytes]) -> None:
        """Wait until a run goes on, however slow the machine is, or its leader has ended."""
        end = time.monotonic() + 20
        while leader.poll() is None and time.monotonic() < end and not any(self.processes().values()):
            time.sleep(0.02)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        listed = self.run(str(BIN / "team-mail"), "log", "--json").stdout
        return [event for event in json.loads(listed) if event["kind"] in kinds]

    def mails(self) -> Counter[str]:
        return Counter(event["subject"] for event in self.events("mail.sent") if event["run"])


def _warden(keeper: psutil.Process) -> psutil.Process | None:
    try:
        parent = keeper.parent()
        return parent if parent and "warden" in parent.cmdline() else None
    except psutil.Error:
        return None


@pytest.mark.storm
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_acknowledged_mail_of_a_run_is_lost_or_doubled_whoever_is_killed(tmp_path):
    """Leader, warden, keeper, mail process and agent are killed while eight send; every sprint comes to its end."""
    storm, chance, kills = Storm(tmp_path), random.Random(10), Counter[str]()
    for _ in range(SPRINTS):
        for _ in range(30):
            command = chance.choice(["sprint", "sprint", "tick"])  # the runs of a tick outlive it
            leader = storm.start(command)
            storm.until_runs(leader)
            end = time.monotonic() + chance.uniform(0.3, 3)
            while leader.poll() is None and time.monotonic() < end:
                kinds = storm.processes()
                kind = chance.choice([kind for kind in kinds if kinds[kind]] or [""])
                if kind:
                    try:
                        chance.choice(kinds[kind]).send_signal(signal.SIGKILL)
                        kills[kind] += 1
                    except psutil.Error:
                        pass
            if leader.poll() is None and chance.random() < 0.5:
                leader.kill()
                kills["leader"] += 1
            leader.wait(timeout=120)
            if command == "sprint" and leader.returncode in {0, 4}:
                break
        else:
            pytest.fail("thirty schedulers did not end one sprint")
    deadline = time.monotonic() + 20
    while any(storm.processes().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(storm.processes().values())
    ended = Counter(event["run"] for event in storm.events("run.finished", "run.lost"))
    assert ended == Counter(event["run"] for event in storm.events("run.started"))
    journal, sent = storm.journal.read_text().splitlines(), storm.mails()
    acknowledged = [line for line in journal if not line.startswith("work ")]
    done = {line.split()[1] for line in journal if line.startswith("work ")}
    kept = {
        event["run"]
        for event in storm.events("patch.captured", "run.finished", "run.lost")
        if event["kind"] == "patch.captured" or "partial" in event["data"]
    }
    print(
        f"{dict(kills)} killed over {len(ended)} runs; {len(acknowledged)} mails acknowledged, {sum(sent.values())} "
        f"sent; of {len(done)} runs with work, that of {len(done & kept)} is on record"
    )
    assert done <= kept
    assert [line for line in acknowledged if line not in sent] == []
    assert {subject for subject, count in sent.items() if count > 1} == set()
    assert storm.run(str(BIN / "team-mail"), "verify").returncode == 0
