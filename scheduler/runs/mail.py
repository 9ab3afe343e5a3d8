"""Chooses the mail of a run: what its launch names, or for a task of a dispatch, its persona's unread mail.

A persona may work on several tasks at once: each message goes to one of their runs, and mail from the weaver only to
a run of the task that it is about.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.mailbox import Mailbox
from ...mail.message import Message
from ...mail.render import whole
from ...personas.running.folder import RunFolder
from .launch import Launch

_WEAVER = "weaver"
_UNSAFE = re.compile(r"[^\w.-]")
_MOST_NAME = 100  # characters


class RunMail:
    """Which run has which message. No other run gets a message until `release`."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._turn = threading.Lock()
        self._given: dict[str, str] = {}  # message to run

    def of(self, launch: Launch) -> list[str]:
        """Return the ids of the messages for a run, the oldest first."""
        if launch.assignment is None:
            return [mail.id for mail in launch.mail]
        with self._turn:
            waiting = [row for row in self._mailbox.unread([launch.persona]) if row["id"] not in self._given]
            mine = [row["id"] for row in waiting if row["sender"] != _WEAVER or self._is_about(row["id"], launch)]
            self._given |= dict.fromkeys(mine, launch.run)
        return mine

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
            for number, attached in enumerate(message.attachments, 1):
                place = folder / "attachments" / str(message.seq)
                place.mkdir(parents=True, exist_ok=True)
                name = _UNSAFE.sub("_", str(attached["name"]))[-_MOST_NAME:].lstrip(".") or str(number)
                with suppress(TeamMailError):  # what is missing is missing; the mail tells its name
                    (place / name).write_bytes(self._mailbox.attachment(message, str(number)))

    def release(self, launch: Launch) -> None:
        """Make the messages of a run available to others, if they are still unread."""
        with self._turn:
            self._given = {mail: run for mail, run in self._given.items() if run != launch.run}

    def _is_about(self, mail: str, launch: Launch) -> bool:
        payload: Any = self._mailbox.read(launch.persona, mail, peek=True).payload or {}
        return payload.get("run") in launch.runs
