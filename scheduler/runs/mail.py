"""Chooses the mail of a run: what its launch names, or for a task of a dispatch, its persona's unread mail.

A persona may work on several tasks at once, and in a sprint besides: each message goes to one of their runs, and mail
from the weaver only to a run of the task that it is about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.mailbox import Mailbox
from ...mail.message import Message
from ...mail.render import whole
from ...personas.running.folder import RunFolder
from ..answers.delivery import attachment_names, is_deliverable
from ..context import Context
from .launch import Launch

_WEAVER = "weaver"
_FYI = "fyi"


class RunMail:
    """Which run has which message: what a run is given is on record with its start, and no other live run is given it.

    Of two runs that start at once, in whatever processes, the one whose start stands first in the log has a message.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mailbox = context.mailbox
        self._turn = threading.Lock()
        self._known = _UnreadMail(context.mailbox)
        self._chosen: dict[str, list[str]] = {}  # by run

    def choose(self, launch: Launch, record: Callable[[Sequence[str]], object]) -> None:
        """Choose the messages for a run, the oldest first, and call `record` to put them on record with its start."""
        if launch.assignment is None and not launch.mail:
            record(())
            return
        with self._turn:  # so that runs of one process do not choose the same
            chosen = self._chosen[launch.run] = self._free(launch, self._unread(launch))
            if chosen:
                record(chosen)
        if not chosen:
            record(())

    def of(self, launch: Launch) -> list[str]:
        """Return the ids of the messages for a run whose start is on record, but for those that another run has."""
        chosen = self._chosen.get(launch.run, [])
        return self._free(launch, [mail for mail in self._unread(launch) if mail in chosen]) if chosen else []

    def _unread(self, launch: Launch) -> list[str]:
        """Return the unread mail that a run may be given: not what another one that goes on has found in its inbox."""
        other = self._context.reachable([launch.persona]).get(launch.persona)
        is_reached = other is not None and other.id != launch.run
        if launch.assignment is None:
            return [mail.id for mail in launch.mail if mail.is_of_program or not is_reached]
        rows = self._known.of(launch.persona)
        rows = [row for row in rows if not (is_reached and is_deliverable(row["sender"], row["run"]))]
        return [row["id"] for row in rows if row["sender"] != _WEAVER or self._is_about(row["id"], launch)]

    def _free(self, launch: Launch, mails: Sequence[str]) -> list[str]:
        """Leave out what another live run has."""
        taken = self._context.taken([launch.persona], sprints=True) if mails else {}
        return [mail for mail in mails if taken.get(mail, launch.run) == launch.run]

    def deliver(self, messages: Sequence[Message], workspace: Path) -> None:
        """Write messages into `.team/run` of a workspace: each as `inbox/NUMBER.md`, with its attachments beside.

        An attachment is `attachments/NUMBER/NAME`, its name reduced to letters, digits, `.`, `_` and `-`.
        """
        folder = RunFolder(workspace).path
        for message in messages:
            text = StringIO()
            whole(message, text)
            (folder / "inbox").mkdir(parents=True, exist_ok=True)
            (folder / "inbox" / f"{message.seq}.md").write_text(text.getvalue(), errors="replace")
            for name, number in attachment_names(message):
                place = folder / "attachments" / str(message.seq)
                place.mkdir(parents=True, exist_ok=True)
                with suppress(TeamMailError):  # what is missing is missing; the mail tells its name
                    (place / name).write_bytes(self._mailbox.attachment(message, number))

    def forget(self, launch: Launch) -> None:
        """Forget a run that has ended."""
        self._chosen.pop(launch.run, None)

    def _is_about(self, mail: str, launch: Launch) -> bool:
        payload: Any = self._mailbox.read(launch.persona, mail, peek=True).payload or {}
        return payload.get("run") in launch.runs


class _UnreadMail:
    """What personas have not read, which is asked for again only after an event of their mail. Threads may share it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox, self._turn = mailbox, threading.Lock()
        self._rows: dict[str, list[dict[str, Any]]] = {}  # by persona
        self._seen = -1  # the last event that was looked at

    def of(self, persona: str) -> list[dict[str, Any]]:
        """Return the rows of `Mailbox.unread` of a persona."""
        with self._turn:
            if self._seen < 0:
                self._seen = self._mailbox.log.head().seq
            for event in self._mailbox.log.read(self._seen):
                self._seen = event.seq
                for name in (event.sender, *event.recipients) if event.kind.startswith("mail.") else ():
                    self._rows.pop(name, None)
            if persona not in self._rows:
                self._rows[persona] = self._mailbox.unread([persona])
            return self._rows[persona]


def quiet_type(types: Sequence[str]) -> str:
    """Choose the type of mail that wakes nobody and that prompts speak of; "" if there is none."""
    return _FYI if _FYI in types else next(iter(types), "")
