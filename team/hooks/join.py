"""A person's own terminal on the team: it shows a persona's mail as it comes, or names the persona to a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from threading import Event as Stop

from ...mail.errors import TeamMailError
from ...mail.mailbox import Mailbox
from ...mail.message import Message
from ...mail.process import check_not_in_run
from .seat import others, rise, sit


class Taken(TeamMailError):
    """Another session has the persona's mail."""


def shell_lines(mailbox: Mailbox, home: Path, persona: str) -> list[str]:
    """Return the lines that make a shell's sessions those of a persona.

    Raises Taken, UnknownRecipient, NotFromRun.
    """
    name = _checked(mailbox, home, persona)
    if why := others(mailbox, name):
        raise Taken(f"{why}; choose another persona, or end that session")
    return [f"export TEAM_PERSONA={shlex.quote(name)}"]


def follow(mailbox: Mailbox, home: Path, persona: str, show: Callable[[Message], object], stop: Stop) -> None:
    """Show a persona's unread mail, and then what comes, until `stop` is set; each message is marked once it is shown.

    Raises Taken, UnknownRecipient, NotFromRun, and what `show` raises.
    """
    name = _checked(mailbox, home, persona)
    if why := sit(mailbox, home, name, os.getpid()):
        raise Taken(f"{why}; choose another persona, or end that session")
    try:
        head = mailbox.log.head().seq
        for message in reversed(mailbox.inbox(name, unread=True)):
            _shown(mailbox, name, mailbox.peek(str(message.seq), name), show)
        for message in mailbox.watch(name, head, stop):
            _shown(mailbox, name, message, show)
    finally:
        rise(mailbox, home, name, os.getpid())


def _shown(mailbox: Mailbox, persona: str, message: Message, show: Callable[[Message], object]) -> None:
    show(message)
    mailbox.seen(persona, message)


def _checked(mailbox: Mailbox, home: Path, persona: str) -> str:
    check_not_in_run(home, "has mail of its own")
    return mailbox.directory.checked(persona)
