"""A person's own terminal on the team: mail as it comes, and a shell whose sessions are a persona's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox

from ...console import run_command

TEAM = str(Path(sys.executable).with_name("team"))
PLAIN = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def until(stream, text: str) -> str:
    """Read lines until one has a text in it."""
    for line in stream:
        if text in line:
            return line
    raise AssertionError(text)


def test_a_terminal_shows_mail_as_it_comes_until_it_leaves(home):
    """What is shown is read; nobody else has the persona meanwhile; Ctrl-C gives it back and ends well."""
    mailbox = open_mailbox(home, create=True)
    mailbox.send(Letter("bob", ["ann"], "First", "The word is plum."))
    words = [TEAM, "join", "--persona", "ann"]
    with subprocess.Popen(words, cwd=home.parent, env=PLAIN, stdout=-1, stderr=-1, text=True) as terminal:
        try:
            assert terminal.stdout
            assert terminal.stderr
            assert terminal.stderr.readline() == "team: you are ann; Ctrl-C leaves\n"
            until(terminal.stdout, "The word is plum.")
            taken = [
                run_command("team", "join", "--persona", "ann", *more, cwd=home.parent, env=PLAIN)
                for more in ([], ["--shell"])
            ]
            mailbox.send(Letter("bob", ["ann"], "Second", "The word is pear."))
            until(terminal.stdout, "The word is pear.")
            terminal.send_signal(signal.SIGINT)
            _, errors = terminal.communicate(timeout=20)
        finally:
            terminal.kill()
    assert (terminal.returncode, errors) == (0, "")
    assert [each.returncode for each in taken] == [1, 1]
    assert all(b"claimed by ann" in each.stderr for each in taken)
    assert not open_mailbox(home).inbox("ann", unread=True)
    assert run_command("team", "join", "--persona", "ann", "--shell", cwd=home.parent, env=PLAIN).returncode == 0


def test_a_shell_joins_and_its_commands_are_the_personas(home):
    """`eval` of what is printed is all; a name that is not on the team is refused with the nearest."""
    open_mailbox(home, create=True).send(Letter("bob", ["ann"], "First", "The word is plum."))
    script = 'eval "$(team join --persona ann --shell)" && team-mail inbox && echo {} | team hook show claude prompt'
    ended = subprocess.run(["sh", "-c", script], cwd=home.parent, env=PLAIN, capture_output=True, text=True, check=True)
    listed, _, shown = ended.stdout.partition("\n")
    assert listed == "[ NEW ] 2 | From: bob | Subject: First"
    assert "The word is plum." in shown
    refused = run_command("team", "join", "--persona", "nan", cwd=home.parent, env=PLAIN)
    assert refused.returncode == 2
    assert b"did you mean ann" in refused.stderr
