"""Which session a run goes on with: that of the run whose question is answered, or with "always" of the last one."""

from __future__ import annotations

import json
import sys

import pytest
from team_mail.mail.letter import Letter
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.session import Sessions
from team_mail.personas.spending.usage import Usage
from team_mail.scheduler.answers.resuming import Resumption
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint

# Prints a session of its own for each run, keeps it in the home folder, and tells what it was resumed with.
AGENT = """
import json, os, pathlib, sys
prompt, session = sys.stdin.read(), "session-" + os.environ["TEAM_RUN"][:8]
pathlib.Path(os.environ["HOME"], session).touch()
with open(os.environ["HOME"] + "/journal", "a") as file:
    file.write(json.dumps([sys.argv[1:], "earlier session of yours" in prompt]) + chr(10))
tries = len(open(os.environ["HOME"] + "/journal").readlines())
print(json.dumps({"type": "system", "subtype": "init", "session_id": session}))
fails = pathlib.Path(os.environ["HOME"], "fail").exists() and "--go-on" in sys.argv
text = "Done." if "plum" in prompt or tries > 3 else "Which fruit?"
usage = {"input_tokens": 1, "output_tokens": 1}
print(json.dumps({"type": "result", "subtype": "success", "is_error": fails, "result": text, "usage": usage,
                  "session_id": session}))
"""


@pytest.fixture
def desk(team, tmp_path, monkeypatch):
    """A team of ann alone, whose agent can go on with a session; returns a function that runs a sprint."""
    for name in ("bob", "cyd"):
        (team.home / "personas" / f"{name}.md").unlink()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    sessions = Sessions(("--go-on", "{session}"), ("{session}",))

    def sprint(settings):
        ticker = team.ticker({}, f"[sprint]\nretry_backoff = 0\n{settings}")
        command = (sys.executable, "-c", AGENT)
        ticker.context.agents["shell"] = CommandAgent("shell", command, env=("HOME",), sessions=sessions)
        return run_sprint(ticker, StartRequest("asked for"))

    sprint.home = home
    sprint.journal = lambda: [json.loads(row) for row in (home / "journal").read_text().splitlines()]
    return sprint


def answer(team):
    mailbox = team.context().mailbox
    asked = next(event for event in mailbox.log.read() if event.data.get("type") == "question")
    mailbox.reply(Letter("you", [], body="It is plum."), asked.id)
    return "session-" + asked.run[:8]


@pytest.mark.parametrize(("policy", "is_resumed"), [("never", False), ("mail", True), ("always", True)])
def test_an_answer_goes_on_with_the_session_that_asked(team, desk, policy, is_resumed):
    """The prompt says so, and the end of the run has it on record."""
    assert desk(f'resume = "{policy}"\n').outcome == "unanswered"
    session = answer(team)
    assert desk(f'resume = "{policy}"\n').converged
    assert desk.journal() == [[[], False], [["--go-on", session] if is_resumed else [], is_resumed]]
    ends = [e.data.get("resumed") for e in team.context().mailbox.log.read() if e.kind == "run.finished"]
    assert ends == [None, session if is_resumed else None]


def test_a_resumed_run_that_fails_is_tried_afresh(team, desk):
    """The session may be why: it is not gone on with again."""
    desk('resume = "mail"\n')
    session = answer(team)
    (desk.home / "fail").touch()
    assert desk('resume = "mail"\n').converged
    assert [words for words, _ in desk.journal()] == [[], ["--go-on", session], []]


def test_other_mail_starts_afresh_unless_everything_is_resumed(team, desk):
    """Within a sprint; a new sprint starts afresh in any case."""
    desk('resume = "always"\n')
    team.context().mailbox.send(Letter("you", ["ann"], "Another thing", "plum"))
    desk('resume = "always"\n')
    assert [words for words, _ in desk.journal()] == [[], []]


def test_a_session_that_is_gone_is_not_gone_on_with(team, desk):
    """The run starts afresh."""
    desk('resume = "mail"\n')
    (desk.home / answer(team)).unlink()
    assert desk('resume = "mail"\n').converged
    assert [words for words, _ in desk.journal()] == [[], []]


def test_tokens_of_a_whole_session_are_counted_once():
    """Codex tells those of earlier runs again; what cannot be such a sum is left as it is told."""
    resumption = Resumption("s", before=Usage(1000, 800, 50))
    assert resumption.own(Usage(3000, 2400, 150)) == Usage(2000, 1600, 100)
    assert resumption.own(Usage(900, 800, 60)) == Usage(900, 800, 60)
    assert resumption.own(Usage()) == Usage()
    assert Resumption("s").own(Usage(3000, 2400, 150)) == Usage(3000, 2400, 150)
