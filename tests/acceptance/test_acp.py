"""A team whose agent speaks ACP: real schedulers, keepers, mail and patches, and a scripted agent."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from ..waiting import until_there
from .test_scheduler import Project, living, until

FAKE = Path(__file__).parent.parent / "personas" / "acp" / "fake.py"
TEAM = """\
[team]
agent = "fake"

[agents.fake]
kind = "acp"
command = {command}

[sprint]
max_attempts = 1
retry_backoff = "0s"
"""
MAIL = """\
---
to: you
subject: Done
---
It is written.
"""


class Shop(Project):
    """A project with one persona, whose agent waits for a file in the middle of its turn."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "list.txt").write_text("a\n")
        (self.team / "personas").mkdir(parents=True)
        (self.team / "personas" / "ann.md").write_text("---\nid: ann\npaths: [made.txt]\n---\nMake it.\n")
        script, self.heard = folder.with_name("script.json"), folder.with_name("heard.jsonl")
        self.began, self.go = folder.with_name("began"), folder.with_name("go")
        turn = [
            {"say": "I begin."},
            {"write": str(self.began)},
            {"wait": str(self.go)},
            {"ask": {"kind": "edit", "locations": [{"path": "list.txt"}]}, "write": "list.txt"},
            {"ask": {"kind": "edit", "locations": [{"path": "made.txt"}]}, "write": "made.txt"},
            {"write": ".team/run/outbox/done.md", "text": MAIL},
            {"say": "Made."},
        ]
        told = {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}
        script.write_text(json.dumps({"turns": [turn, [{"say": "So be it."}]], "usage": told}))
        command = json.dumps([sys.executable, "-I", "-S", str(FAKE), str(script), str(self.heard)])
        (self.team / "team.toml").write_text(TEAM.format(command=command))
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "Begin")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
def test_a_session_goes_on_when_its_scheduler_is_killed_and_lands_once(tmp_path):
    """The next scheduler takes the run over: one session, one patch, one mail, and what was refused is on record."""
    shop = Shop(tmp_path / "shop")
    first = shop.start("scheduler", "run")
    until_there(shop.began, lambda: first.poll() is None)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    second = shop.start("scheduler", "sprint")
    until(second, "ann .attempt 1.: taken over")
    shop.go.touch()
    _, err = second.communicate(timeout=60)

    assert second.returncode == 0, err
    (ended,) = shop.events("run.finished", "run.lost")
    assert (ended["kind"], ended["data"]["status"]) == ("run.finished", "ok")
    assert (ended["data"]["usage"]["input"], ended["data"]["usage"]["session"]) == (100, "s1")
    assert len(shop.events("run.started")) == len(shop.events("patch.landed")) == 1
    assert shop.git("show", "team/sprint-1:made.txt") == "by the agent"
    assert shop.git("show", "team/sprint-1:list.txt") == "a"
    assert [event["subject"] for event in shop.events("mail.sent") if event.get("run")] == ["Done"]
    methods = [row["method"] for row in map(json.loads, shop.heard.read_text().splitlines()) if "method" in row]
    assert methods == ["initialize", "session/new", "session/prompt", "session/prompt"]
    assert "list.txt is not this persona's to change" in shop.heard.read_text()
    assert living(shop.team) == []
