"""Mail that reaches a run while it goes on, with `deliver = "running"`: each message a file in its `.team/run/inbox`.

Of several runs of a persona at once, that has a message which began first and still goes on. A message becomes read
when the run reads or answers it by `team-mail`, or says so by a file `NUMBER.taken` and ends well. Any other is unread
when the run ends, and wakes its persona: whether an agent saw it, nobody knows.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...mail.directory import PROGRAMS
from ...mail.errors import TeamMailError
from ...mail.kinds import MailKind
from ...mail.log.event import Event
from ...mail.message import Message
from ...personas.prompt import as_shown
from ...personas.running.folder import INBOX, TAKEN, RunFolder
from ..context import Context

_ATTACHMENTS = "attachments"
_UNSAFE = re.compile(r"[^\w.-]")
_MOST_NAME = 100  # characters
_MOST_TAKEN = 1000


class _Open(NamedTuple):
    persona: str
    folder: RunFolder


class Delivery:
    """Delivers mail to the open runs of one process. Its methods may be called from any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = threading.RLock()  # so that a run that has ended is written to no more
        self._open: dict[str, _Open] = {}
        self._over: set[str] = set()

    def is_on(self, persona: str) -> bool:
        """Tell whether the file of a persona, or else the settings want it."""
        return bool(self._context.roster.reached([persona], self._context.settings.sprint.deliver))

    def begin(self, run: str, persona: str, workspace: Path) -> None:
        """Deliver to a run from now on, and what came before and is not in its prompt."""
        if self.is_on(persona):
            with self._turn:
                self._open[run] = _Open(persona, RunFolder(workspace))
                self._deliver(persona)

    def end(self, run: str) -> None:
        """Deliver to a run no more; what it leaves unread, another one of its persona gets that goes on."""
        with self._turn:
            self._over.add(run)
            if ended := self._open.pop(run, None):
                self._deliver(ended.persona)

    def on_event(self, event: Event) -> None:
        """Deliver a message that has just been sent."""
        if event.kind == MailKind.SENT and self._open:
            with self._turn:
                for persona in {each.persona for each in self._open.values()}.intersection(event.recipients):
                    self._deliver(persona)

    def _deliver(self, persona: str) -> None:
        """Write what a persona has not read into the inbox of its run, unless it is there."""
        if not any(each.persona == persona for each in self._open.values()):
            return
        with suppress(TeamMailError, OSError):  # the agent has put something else there: it waits for the next run
            owner = self._context.reachable([persona], self._over).get(persona)
            if owner and (own := self._open.get(owner.id)):
                given, there = self._context.taken([persona], sprints=True), {*own.folder.names(INBOX)}
                for row in self._context.mailbox.unread([persona]):
                    known = row["id"] in given or f"{row['seq']}.md" in there
                    if not known and is_deliverable(row["sender"], row["run"]):
                        deliver(self._context, own.folder, persona, row["id"])


def is_deliverable(sender: str, run: str | None) -> bool:
    """Tell whether a message is for a run that goes on: what programs write is work for a run of its own."""
    return sender not in PROGRAMS or run is not None


def deliver(context: Context, folder: RunFolder, persona: str, mail: str) -> None:
    """Write one message into the folder of a run that goes on, its attachments first. Raises OSError, TeamMailError."""
    message = context.mailbox.read(persona, mail, peek=True)
    for name, number in attachment_names(message):
        with suppress(TeamMailError):  # what is missing is missing; the mail tells its name
            data = context.mailbox.attachment(message, number)
            folder.give(f"{_ATTACHMENTS}/{message.seq}", name, data)
    text = as_shown(message, context.settings.team.human)
    folder.give(INBOX, f"{message.seq}.md", text.encode(errors="replace"))


def attachment_names(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the name of the file of each attachment, reduced to safe characters, with its number."""
    for number, attached in enumerate(message.attachments, 1):
        yield _UNSAFE.sub("_", str(attached["name"]))[-_MOST_NAME:].lstrip(".") or str(number), str(number)


def taken_into_account(context: Context, folder: RunFolder, persona: str, known: Collection[str]) -> list[str]:
    """Return the ids of the unread mail of which a run said by a file that it took it into account.

    `known` are ids that need not be found. A file that names no unread message of its persona says nothing.
    """
    said = [name.removesuffix(TAKEN) for name in folder.names(INBOX)[:_MOST_TAKEN] if name.endswith(TAKEN)]
    numbers = {int(name) for name in said if name.isascii() and name.isdecimal()}
    rows = context.mailbox.unread([persona]) if numbers else []
    return [row["id"] for row in rows if row["seq"] in numbers and row["id"] not in known]
