"""The mail for runs of a dispatch: what waits for their persona, but of the weaver's only what is about their task.

A persona may have several tasks under way at once: each message is told to one of them.
"""

from __future__ import annotations

import threading
from typing import Any

from ...mail.mailbox import Mailbox
from ..runs.launch import Launch
from ..state.dispatches import DispatchState

_WEAVER = "weaver"


class Mails:
    """Who is told what. A message that was told to a run is its own until `release`."""

    def __init__(self, mailbox: Mailbox, found: DispatchState) -> None:
        self._mailbox = mailbox
        self._found = found
        self._turn = threading.Lock()
        self._told: dict[str, str] = {}

    def of(self, launch: Launch) -> list[str]:
        """Return the ids of the messages for a run, the oldest first."""
        with self._turn:
            waiting = [row for row in self._mailbox.unread([launch.persona]) if row["id"] not in self._told]
            mine = [row["id"] for row in waiting if row["sender"] != _WEAVER or self._is_about(row["id"], launch)]
            self._told |= dict.fromkeys(mine, launch.run)
        return mine

    def release(self, run: str) -> None:
        """Let others have what a run was told, if it is still unread."""
        with self._turn:
            self._told = {mail: told for mail, told in self._told.items() if told != run}

    def _is_about(self, mail: str, launch: Launch) -> bool:
        assert launch.assignment is not None  # noqa: S101 - a dispatch launches nothing else
        payload: Any = self._mailbox.read(launch.persona, mail, peek=True).payload or {}
        return payload.get("run") in {one.run for one in self._found.of(launch.assignment.task)}
