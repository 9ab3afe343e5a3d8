"""The kinds of event that the log and the mail write, and the exit codes: each is spelled here and nowhere else.

A kind's `meaning` is what the table in docs/log.md says of it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self


class EventKind(StrEnum):
    """A kind of event: its name in the log, and one sentence about it for the table in the documentation."""

    meaning: str

    def __new__(cls, name: str, meaning: str) -> Self:
        """Make a member whose value is the name alone."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member


class LogKind(EventKind):
    """What the log records about itself."""

    OPENED = "log.opened", "The log was created."
    SEALED = "log.sealed", "The active segment was closed; the next one continues the chain."
    RECOVERED = "log.recovered", "Bytes after the last whole line were cut and kept in quarantine."
    REPAIRED = "log.repaired", "Damaged lines were taken out by `team-mail repair`."


class MailKind(EventKind):
    """What happens to a message. Except for the first and the last, each is about one recipient."""

    SENT = "mail.sent", "A message was sent."
    READ = "mail.read", "The recipient has read the message."
    UNREAD = "mail.unread", "The recipient marked the message unread."
    ACKED = "mail.acked", "The recipient acknowledged the message."
    ARCHIVED = "mail.archived", "The recipient archived the message."
    UNARCHIVED = "mail.unarchived", "The recipient took the message out of the archive."
    TRASHED = "mail.trashed", "The recipient put the message into the trash."
    RESTORED = "mail.restored", "The recipient took the message out of the trash."
    TAGGED = "mail.tagged", "The recipient added a tag."
    UNTAGGED = "mail.untagged", "The recipient removed a tag."
    BOUNCED = "mail.bounced", "The message could not be delivered: the recipient is not on the team any more."


class ExitCode(IntEnum):
    """What a command's exit code means; the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREAD = 3
    NOT_CONVERGED = 4
    DAMAGED = 5
    INTERRUPTED = 130
