"""The mail for the runs of a dispatch: their persona's unread mail, of the weaver's only that about their own task.

A persona may have several tasks under way at once; each message goes to one of their runs.
"""

from __future__ import annotations

import threading
from typing import Any

from ...mail.mailbox import Mailbox
from ..runs.launch import Launch
from ..state.dispatches import DispatchState

_WEAVER = "weaver"


class Mails:
    """Assigns messages to runs. An assigned message goes to no other run until `release`."""

    def __init__(self, mailbox: Mailbox, dispatch: DispatchState) -> None:
        self._mailbox = mailbox
        self._dispatch = dispatch
        self._lock = threading.Lock()
        self._runs: dict[str, str] = {}  # message to run

    def of(self, launch: Launch) -> list[str]:
        """Return the ids of the messages for a run, oldest first."""
        with self._lock:
            waiting = [row for row in self._mailbox.unread([launch.persona]) if row["id"] not in self._runs]
            mine = [row["id"] for row in waiting if row["sender"] != _WEAVER or self._is_about(row["id"], launch)]
            self._runs |= dict.fromkeys(mine, launch.run)
        return mine

    def release(self, run: str) -> None:
        """Free the messages of a run; those still unread may go to another."""
        with self._lock:
            self._runs = {mail: holder for mail, holder in self._runs.items() if holder != run}

    def _is_about(self, mail: str, launch: Launch) -> bool:
        assert launch.assignment is not None  # noqa: S101 - a dispatch launches nothing else
        payload: Any = self._mailbox.read(launch.persona, mail, peek=True).payload or {}
        return payload.get("run") in {attempt.run for attempt in self._dispatch.of(launch.assignment.task)}
