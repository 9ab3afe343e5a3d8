"""The desk outside of runs: the team's mail itself, which stays open, so that only the first question is slow."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event as Stop
from typing import Any

from ...mail import render
from ...mail.commands import caller
from ...mail.errors import TeamMailError, UsageError
from ...mail.log.log import EventLog
from ...mail.mailbox import Mailbox
from ...mail.message import Message
from ...mail.open import first_mail, with_directory
from ...mail.process import run_id
from ...mail.team_file import read_directory
from .desk import Filter, Reading, Writing, attached, bounded


class TeamDesk:
    """The mail of one persona. `mailbox` is one with a folder; threads may share it."""

    def __init__(self, mailbox: Mailbox, persona: str) -> None:
        self._mailbox = mailbox
        self._persona = persona

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox, with the team's names as they are now."""
        home = self._home
        return with_directory(self._mailbox, read_directory(home)) if home.exists() else self._mailbox

    @property
    def _home(self) -> Path:
        if self._mailbox.home is None:
            raise UsageError("this team is in memory, and has no folder")
        return self._mailbox.home

    def inbox(self, which: Filter) -> str:
        """List mail, newest first, a line for each."""
        kind, sender = which.type or None, which.sender.removesuffix("@team") or None
        most = which.limit + 1
        if which.channel:
            listed = self.mailbox.channel(which.channel, self._persona, type=kind, sender=sender, limit=most)
        else:
            listed = self._mailbox.inbox(
                self._persona, unread=which.unread, tag=which.tag or None, type=kind, sender=sender, limit=most
            )
        reader = self._persona if which.channel else ""
        more = f"only the newest {which.limit} are shown; a larger limit shows more\n"
        return _lines(listed[: which.limit], reader) + (more if len(listed) > which.limit else "")

    def read(self, what: Reading) -> str:
        """Return a message, its thread or an attachment, and mark it."""
        text = self._shown(what)
        if what.ack:
            self._mailbox.mark(self._persona, "acked", [what.message], run_id())
        if what.tag:
            tag, remove = what.tag.removeprefix("-"), what.tag.startswith("-")
            self._mailbox.tag(self._persona, what.message, tag, remove=remove, run=run_id())
        return text

    def _shown(self, what: Reading) -> str:
        out = io.StringIO()
        if what.attachment:
            letter = self._mailbox.attached(self._persona, what.message)
            return _text(self._mailbox.attachment(letter, what.attachment), letter.seq)
        if what.thread:
            render.thread(self._mailbox.thread(what.message, self._persona), out)
            return bounded(out.getvalue(), "read its messages one by one")
        message = self._mailbox.peek(what.message, self._persona)
        render.whole(message, out)
        if not what.peek:
            self._mailbox.seen(self._persona, message, run_id())
        return bounded(out.getvalue(), f"team-mail read {message.seq} in a shell")

    def send(self, letter: Writing) -> str:
        """Send a message or an answer; return its number and who gets it."""
        mailbox = self.mailbox
        drafted = caller.letter(
            mailbox, self._persona, letter.to, [], subject=letter.subject, body=letter.body, type=letter.type,
            priority=letter.priority, key=letter.key or None, payload=None,
            attachments=[attached(self._home.parent, path) for path in letter.attach],
        )  # fmt: skip
        repeats: list[Any] = []
        with first_mail():
            if letter.reply_to:
                event = mailbox.reply(drafted, letter.reply_to, repeats, everybody=letter.everybody)
            else:
                event = mailbox.send(drafted, repeats)
        again = "; it was sent before with this key" if repeats else ""
        return f"sent {event.seq} to {', '.join(event.recipients)}{again}\n"

    def search(self, words: str, limit: int) -> str:
        """List messages by their words, best match first."""
        return _lines(self._mailbox.search(words, persona=self._persona, limit=limit)) or "nothing found\n"

    def head(self) -> int:
        """Return the number of the last event, 0 if there is none or the log cannot be read."""
        with suppress(TeamMailError, OSError):
            return self._mailbox.log.head().seq
        return 0

    def follow(self, after: int, told: Callable[[], object], stop: Stop) -> None:
        """Get ready for the first call, then call `told` at each later message of the persona, until `stop` is set.

        A log that cannot be read is told to whoever asks, and not here.
        """
        with suppress(TeamMailError, OSError):
            for message in self._mailbox.inbox(self._persona, state="all", limit=1):
                self._mailbox.thread(str(message.seq), self._persona)
                self._mailbox.search("mail", persona=self._persona, limit=1)
        with suppress(TeamMailError, OSError):
            if isinstance(log := self._mailbox.log, EventLog) and log.active.exists():
                log.create()  # what has been written is verified before the first message is
            for _ in self._mailbox.watch(self._persona, after, stop):
                told()


def _lines(messages: list[Message], reader: str = "") -> str:
    out = io.StringIO()
    render.messages(messages, "", out, reader=reader)
    return out.getvalue()


def _text(data: bytes, seq: int) -> str:
    try:
        return bounded(data.decode(), f"team-mail attachment {seq} in a shell")
    except UnicodeDecodeError:
        raise UsageError(f"it is no text; `team-mail attachment {seq} --out FILE` writes it to a file") from None
