"""A team of Jules, against the shipped fake: real schedulers, keepers, mail and patches."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import psutil
import pytest
from team_mail.personas.jules.fake import FakeJules, Play

from .test_scheduler import Project

KEY = "AIza-of-nobody"
TEAM = """\
[team]
agent = "jules"

[agents.jules]
kind = "jules"
source = "acme/shop"
plan = "human"
poll = "0.2s"
timeout = "60s"
env_file = "key.env"
url = "{url}"

[agents.slow]
kind = "jules"
source = "acme/shop"
poll = "0.2s"
timeout = "1s"
env_file = "key.env"
url = "{url}"

[sprint]
max_attempts = 1
"""


class Shop(Project):
    """A project with two personas, both of Jules; the sessions of `bob` are stuck."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.begun = self.commit("list.txt", "a\nb\n")
        self.patch = "--- a/list.txt\n+++ b/list.txt\n@@ -1,2 +1,2 @@\n a\n-b\n+bee\n"
        self.commit("list.txt", "zero\na\nb\n")
        (self.team / "personas").mkdir(parents=True)
        (self.team / "personas" / "ann.md").write_text("---\nid: ann\n---\nMind your line.\n")
        (self.team / "personas" / "bob.md").write_text("---\nid: bob\nagent: slow\n---\nMind it, too.\n")
        (self.team / "team.toml").write_text(TEAM.format(url=url))
        (folder / "key.env").write_text(f"JULES_API_KEY={KEY}\n")
        (folder / ".git" / "info" / "exclude").write_text("key.env\n")
        self.seen = 0
        self.mails: list[dict] = []

    def commit(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", name)
        return self.git("rev-parse", "HEAD")

    def mail_of(self, sender: str) -> dict:
        """Wait for the next mail to the human from somebody, and return it."""
        while not (own := [mail for mail in self.mails if mail["sender"] == sender]):
            words = ("watch", "--persona", "you", "--once", "--after", str(self.seen), "--timeout", "30", "--json")
            self.mails.append(json.loads(self.ok("team-mail", *words)))
            self.seen = self.mails[-1]["seq"]
        self.mails.remove(own[0])
        return own[0]

    def reply(self, mail: dict, text: str) -> None:
        self.ok("team-mail", "reply", str(mail["seq"]), "--persona", "you", "--body", text)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
def test_a_session_is_asked_answered_and_landed_whoever_leads_the_team(tmp_path):
    """A leader that is killed neither loses nor doubles it, one that is stuck ends in time, and nobody sees the key.

    `scheduler sprint` takes its runs along when it is killed, so the next run goes on with the session of the first.
    """
    with FakeJules(lambda body: plays[body["title"][:3]], key=KEY) as jules:
        shop = Shop(tmp_path / "shop", jules.url)
        plays = {
            "ann": Play(shop.patch, shop.begun, says="Done.", asks="Which b? \x1b[2J" + "x" * 9_000),
            "bob": Play(end="stuck"),
        }
        first = shop.start("scheduler", "sprint")
        shop.mail_of("scheduler")
        plan = shop.mail_of("ann")
        argv = [" ".join(process.cmdline()) for process in psutil.process_iter() if process.status() != "zombie"]
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=30)
        assert "team_mail.personas.jules.play" in " ".join(argv)
        assert KEY not in " ".join(argv)
        assert (plan["sender"], plan["type"]) == ("ann", "question")
        assert "| 1. Look\n| 2. Change it: and test" in plan["body"]

        aside = ("--thread", str(plan["seq"]), "--subject", "Plan", "--body", "approve")  # of one who is not asked
        shop.ok("team-mail", "send", "--from", "bob", "--to", "ann", *aside)
        shop.reply(plan, "approve")
        second = shop.start("scheduler", "sprint")
        question = shop.mail_of("ann")
        assert question["subject"].startswith(r"Jules asks: Which b? \x1b[2Jxx")
        assert len(question["body"]) < 9_000
        assert "\x1b" not in question["body"]
        shop.reply(question, "The second")
        _, err = second.communicate(timeout=60)

    assert second.returncode == 4, err  # bob has no attempt left
    ends = {event["data"]["persona"]: event["data"] for event in shop.events("run.finished", "run.lost")}
    (ann,) = (name for name, body in jules.sessions.items() if body["title"].startswith("ann"))
    assert (ends["ann"]["status"], ends["ann"]["detail"]) == ("ok", f"exit 0; session {ann} completed")
    assert len(jules.sessions) == 2
    assert jules.said(ann) == ["Mail from bob: Plan\n\napprove", "The second"]
    assert shop.git("show", "team/sprint-1:list.txt") == "zero\na\nbee"
    assert ends["bob"]["status"] == "timeout"
    assert "is IN_PROGRESS: https://jules.google.com/session/" in ends["bob"]["detail"]
    assert [event["data"]["persona"] for event in shop.events("run.lost")] == ["ann"]
    assert json.loads(shop.ok("team-mail", "inbox", "--persona", "ann", "--unread", "--json")) == []
    written = [path for path in shop.folder.rglob("*") if path.is_file() and path.name != "key.env"]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
