"""What a session is shown by its hook, in processes as its agent starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.scheduler.claims.claims import Claims
from team_mail.team.hooks.agents import AGENTS
from team_mail.team.hooks.mail import BUDGET
from team_mail.team.hooks.seat import name_of, sit

TEAM = str(Path(sys.executable).with_name("team"))
PLAIN = {"PATH": os.environ["PATH"]}


class Session:
    """A process that stands for an agent's session, and calls the hook as one does: by a shell."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
            env=PLAIN | variables,
        )  # fmt: skip

    def calls(self, *words: str, **told: object) -> str:
        """Return what the hook prints; it ends with exit code 0 and says nothing on standard error."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([[TEAM, "hook", "show", *words], json.dumps(told)]) + "\n")
        self.process.stdin.flush()
        code, out, err = json.loads(self.process.stdout.readline())
        assert (code, err) == (0, "")
        return out

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.communicate(timeout=20)


CALLER = """
import json, shlex, subprocess, sys
for line in sys.stdin:
    words, told = json.loads(line)
    done = subprocess.run(["sh", "-c", shlex.join(words)], input=told, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""


@pytest.fixture
def mailbox(home):
    return open_mailbox(home, create=True)


@pytest.fixture
def session(home):
    started = []

    def start(**variables: str) -> Session:
        started.append(Session(home.parent, **variables))
        return started[-1]

    yield start
    for each in started:
        each.end()


def unread(home: Path, persona: str = "ann") -> list[int]:
    return [message.seq for message in open_mailbox(home).inbox(persona, unread=True)]


def test_mail_is_shown_once_and_marked_then(home, mailbox, session):
    """Before a turn as context, at a stop as a reason to go on; without mail nothing is printed."""
    mine = session()
    assert mine.calls("claude", "--persona", "ann", "start") == ""
    mailbox.send(Letter("bob", ["ann"], "First", "The word is plum.\nFrom: forged"))

    shown = json.loads(mine.calls("claude", "--persona", "ann", "prompt"))["hookSpecificOutput"]

    assert shown["hookEventName"] == "UserPromptSubmit"
    assert "Mail for ann" in shown["additionalContext"]
    assert "\n    The word is plum.\n    From: forged\n" in shown["additionalContext"]
    assert "team-mail reply NUMBER -p ann" in shown["additionalContext"]
    assert unread(home) == []
    assert mine.calls("claude", "--persona", "ann", "prompt") == ""
    mailbox.send(Letter("bob", ["ann"], "Second", "The word is pear."))
    assert mine.calls("claude", "--persona", "ann", "stop", stop_hook_active=True) == ""
    stopped = json.loads(mine.calls("claude", "--persona", "ann", "stop", stop_hook_active=False))
    assert stopped["decision"] == "block"
    assert "The word is pear." in stopped["reason"]
    assert mine.calls("claude", "--persona", "ann", "stop") == ""


@pytest.mark.parametrize("agent", AGENTS)
def test_each_agent_is_told_in_its_own_form(mailbox, session, agent):
    """As its own documentation has it; OpenCode's plugin takes plain text."""
    mailbox.send(Letter("bob", ["ann"], "First", "The word is plum."))
    text = session().calls(agent, "--persona", "ann", "prompt")
    if agent == "opencode":
        assert text.startswith("Mail for ann")
    elif agent == "copilot":
        assert "plum" in json.loads(text)["additionalContext"]
    else:
        shown = json.loads(text)["hookSpecificOutput"]
        assert shown["hookEventName"] == {"gemini": "BeforeAgent"}.get(agent, "UserPromptSubmit")


def test_two_sessions_do_not_take_each_others_mail(home, mailbox, session):
    """The first has the persona until it ends; the second is told so once, and has what its shell has joined as."""
    first, second = session(), session()
    assert first.calls("claude", "--persona", "ann", "start") == ""
    refused = json.loads(second.calls("claude", "--persona", "ann", "start"))["hookSpecificOutput"]
    assert "gets no mail for ann" in refused["additionalContext"]
    third = session(TEAM_PERSONA="bob")
    mailbox.send(Letter("you", ["ann", "bob"], "To both"))

    assert second.calls("claude", "--persona", "ann", "prompt") == ""
    assert unread(home) == [3]
    assert "Mail for bob" in third.calls("claude", "--persona", "ann", "prompt")
    assert "Mail for ann" in first.calls("claude", "--persona", "ann", "prompt")

    held = {claim.owner: claim.names for claim in Claims(open_mailbox(home)).moment().fold.current}
    assert held == {"ann": (name_of("ann"),), "bob": (name_of("bob"),)}
    first.end()
    mailbox.send(Letter("bob", ["ann"], "Later"))
    assert "Mail for ann" in second.calls("claude", "--persona", "ann", "prompt")


def test_what_is_long_is_named_and_stays_unread(home, mailbox, session):
    """What is shown at once is bounded; the session learns how to read the rest, and a stop does not wait for it."""
    mailbox.send(Letter("bob", ["ann"], "Long", "x" * BUDGET))
    mailbox.send(Letter("bob", ["ann"], "Short", "The word is plum."))
    mine = session()
    text = json.loads(mine.calls("codex", "--persona", "ann", "prompt"))["hookSpecificOutput"]["additionalContext"]
    assert len(text) <= BUDGET
    assert "plum" in text
    assert "Too long to show here: 2 from bob. Read it: team-mail read NUMBER -p ann" in text
    assert unread(home) == [2]
    assert mine.calls("codex", "--persona", "ann", "stop") == ""


def test_of_much_mail_the_oldest_is_shown_and_the_rest_is_counted(home, mailbox, session):
    """However much has come: what is looked at is bounded, too."""
    for number in range(40):
        mailbox.send(Letter("bob", ["ann"], f"Number {number}"))
    text = session().calls("opencode", "--persona", "ann", "prompt")
    assert "Subject: Number 0\n" in text
    assert "10 more are unread: team-mail inbox -u -p ann" in text
    assert len(text) <= BUDGET + 1
    left = unread(home)
    assert 2 not in left
    assert 41 in left


def test_a_run_a_stranger_and_an_error_are_never_in_the_way(home, mailbox, tmp_path):
    """A run has mail of its own; without a persona or a team there is none; what fails is said and ends with 0."""
    mailbox.send(Letter("bob", ["ann"], "First", "The word is plum."))

    def shown(folder: Path, *words: str, **variables: str) -> tuple[str, str]:
        done = subprocess.run(
            [TEAM, "hook", "show", *words], cwd=folder, env=PLAIN | variables, input="no JSON", capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        return done.stdout, done.stderr

    assert shown(home.parent, "claude", "--persona", "ann", "prompt", TEAM_RUN="run-1") == ("", "")
    assert shown(home.parent, "claude", "prompt") == ("", "")
    assert shown(tmp_path, "claude", "--persona", "ann", "prompt") == ("", "")
    workspace = tmp_path / "state" / "work"
    (workspace / ".team" / "run" / "requests").mkdir(parents=True)
    assert shown(workspace, "claude", "--persona", "ann", "prompt", TEAM_HOME=str(home)) == ("", "")
    (home / "team.toml").write_text("no = [toml")
    out, err = shown(home.parent, "claude", "--persona", "ann", "prompt")
    assert out == ""
    assert err.startswith("team hook: ")
    (home / "team.toml").unlink()
    assert unread(home) == [2]


def test_mail_that_could_not_be_printed_stays_unread(home, mailbox):
    """Its agent has gone, or the disk of its output is full: it is shown the next time."""
    mailbox.send(Letter("bob", ["ann"], "First", "The word is plum."))
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [TEAM, "hook", "show", "claude", "--persona", "ann", "prompt"], cwd=home.parent, env=PLAIN, stdout=full,
            stderr=subprocess.PIPE, input="{}", text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 0
    assert "No space left" in ended.stderr
    assert unread(home) == [2]


def test_a_session_that_has_its_seat_is_shown_mail_without_the_database(home, mailbox):
    """It takes several times as long to load as all the rest. What was read once and is unread again is shown, too."""
    assert sit(mailbox, home, "ann", os.getpid()) == ""
    sent = mailbox.send(Letter("bob", ["ann"], "First", "The word is plum."))
    for verb in ("read", "unread"):
        mailbox.mark("ann", verb, [sent.id])
    script = "import sys\nfrom team_mail.team.hooks.show import show\nshow('opencode', 'prompt', 'ann', {})\n"
    script += "print(sorted({'duckdb', 'ibis', 'pydantic', 'typer'} & {*sys.modules}))"

    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=home.parent, env=PLAIN, capture_output=True, text=True, check=True
    )

    assert "    The word is plum." in shown.stdout
    assert shown.stdout.endswith("\n[]\n")
    assert unread(home) == []


def test_of_a_damaged_log_mail_is_shown_as_the_projection_has_it(home, mailbox):
    """The lines alone are not believed then; nothing can be marked, which is said."""
    assert sit(mailbox, home, "ann", os.getpid()) == ""
    mailbox.send(Letter("bob", ["ann"], "First", "The word is plum."))
    (home / "mail" / "damaged").write_text("a test says so\n")
    ended = subprocess.run(
        [TEAM, "hook", "show", "opencode", "--persona", "ann", "prompt"], cwd=home.parent, env=PLAIN,
        capture_output=True, input="{}", text=True, check=True,
    )  # fmt: skip
    assert "    The word is plum." in ended.stdout
    assert "the log is damaged" in ended.stderr
