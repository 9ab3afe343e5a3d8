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
echo "$TEAM_RUN" > "$TEAM_PERSONA.txt"
for number in 1 2 3 4; do
    printf -- '---\nto: you\nsubject: file %s %s\n---\nx\n' "$TEAM_RUN" "$number" > .team/run/outbox/$number.md
    .team/run/team-mail send --to you -s "command $TEAM_RUN $number" -b x > /dev/null 2>&1 &&
        echo "command $TEAM_RUN $number" >> JOURNAL
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

    def sprint(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [BIN / "scheduler", "sprint", "--quiet"], cwd=self.folder, env=self.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Find the living processes: keepers, mail processes, and those of agents."""
        kinds: dict[str, list[psutil.Process]] = {"keeper": [], "mail": [], "agent": []}
        for process in psutil.process_iter():
            try:
                words, environ = process.cmdline(), process.environ()
            except psutil.Error:
                continue
            if "team_mail.personas.running.postbox" in words and str(self.home) in words:
                kinds["mail"].append(process)
            elif any("keeping.keeper" in word for word in words) and environ.get("TEAM_RUN", "").startswith("0"):
                kinds["keeper"].append(process)
            elif environ.get("TEAM_HOME") == str(self.home) and environ.get("TEAM_RUN"):
                kinds["agent"].append(process)
        return kinds

    def mails(self) -> Counter[str]:
        listed = self.run(str(BIN / "team-mail"), "log", "--json").stdout
        return Counter(
            event["subject"] for event in json.loads(listed) if event["kind"] == "mail.sent" and event["run"]
        )


@pytest.mark.storm
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_acknowledged_mail_of_a_run_is_lost_or_doubled_whoever_is_killed(tmp_path):
    """Leader, keeper, mail process and agent are killed while eight personas send; every sprint comes to its end."""
    storm, chance, kills = Storm(tmp_path), random.Random(10), Counter[str]()
    for _ in range(SPRINTS):
        for _ in range(20):
            leader = storm.sprint()
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
            if leader.returncode in {0, 4}:
                break
        else:
            pytest.fail("twenty schedulers did not end one sprint")
    deadline = time.monotonic() + 20
    while any(storm.processes().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(storm.processes().values())
    acknowledged, sent = storm.journal.read_text().splitlines(), storm.mails()
    runs = len({line.split()[1] for line in acknowledged})
    print(f"{dict(kills)} killed over {runs} runs; {len(acknowledged)} mails acknowledged, {sum(sent.values())} sent")
    assert [line for line in acknowledged if line not in sent] == []
    assert {subject for subject, count in sent.items() if count > 1} == set()
    assert storm.run(str(BIN / "team-mail"), "verify").returncode == 0
