"""The real command is killed at random moments of a round, and started again: nothing is deployed twice by itself."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from team_mail.mail.log.log import EventLog

from ...samples import STORM

SCHEDULER = str(Path(sys.executable).with_name("scheduler"))
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
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
retry_backoff = "0s"
[teams.code]
members = ["nova"]
reviewers = ["cipher"]
[gates.security]
report = "cipher"
veto = true
[deploy]
command = ["sh", "-c", "echo live >> LIVE; sleep 0.2"]
"""
KILLS = 3  # of one round at most


@pytest.fixture
def project(tmp_path):
    """A team whose deployments leave a line each in a file beside it."""
    top = tmp_path / "project"
    personas = top / ".team" / "personas"
    personas.mkdir(parents=True)
    (top / "agent.sh").write_text(AGENT)
    (top / ".team" / "team.toml").write_text(SETTINGS.replace("LIVE", str(tmp_path / "live")))
    (personas / "nova.md").write_text("---\nid: nova\n---\nWrite.\n")
    (personas / "cipher.md").write_text("---\nid: cipher\nscheduled: mail\n---\nReview.\n")
    for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=Begin"):
        subprocess.run(["git", *WHO, *words.split()], cwd=top, check=True)
    return top


def sprint(top, after=None):
    """Run a sprint, killed after so many seconds; return whether it was, and how long it took."""
    began = time.monotonic()
    words = [SCHEDULER, "sprint", "--quiet", "--yes"]
    process = subprocess.Popen(words, cwd=top, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        trouble = process.communicate(timeout=after or 120)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    took = time.monotonic() - began
    assert process.returncode in {0, 4, -signal.SIGKILL}, trouble
    return process.returncode == -signal.SIGKILL, took


@pytest.mark.parametrize("kills", [pytest.param(200, marks=STORM)])
def test_nothing_is_deployed_twice_wherever_the_command_was_killed(project, kills):
    live, clean, chance = project.parent / "live", project.parent / "clean", random.Random(15)
    shutil.copytree(project, clean, symlinks=True)
    length = sprint(project)[1]
    done, ends = 0, {"deployed": 0, "failed": 0}
    while done < kills:
        shutil.rmtree(project)
        shutil.copytree(clean, project, symlinks=True)
        live.unlink(missing_ok=True)
        for _ in range(KILLS):
            killed, _ = sprint(project, chance.uniform(0.05, length))
            done += killed
            if not killed:
                break
        else:
            sprint(project)
        events = [*EventLog(project / ".team" / "mail").read()]
        begun = [event for event in events if event.kind == "deploy.started"]
        end = next(event.data["outcome"] for event in events if event.kind == "deploy.finished")
        lines = live.read_text().splitlines() if live.exists() else []
        assert len(lines) <= len(begun) == 1, (done, lines)
        assert lines or end == "failed"
        ends[end] += 1
    print(f"{done} kills, deployed twice: 0; rounds that ended deployed or left to the human: {ends}")
