"""The kinds of event that the log and the mail write, and the exit codes: each is spelled here and nowhere else.

A kind's `meaning` is what the table in docs/log.md says of it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self


class _Described(str):
    """The name of an event kind with one sentence about it."""

    __slots__ = ("meaning",)
    meaning: str


def _kind(name: str, meaning: str) -> _Described:
    described = _Described(name)
    described.meaning = meaning
    return described


class EventKind(StrEnum):
    """A kind of event: its name in the log, and one sentence about it for the table in the documentation."""

    meaning: str

    def __new__(cls, described: _Described) -> Self:
        """Make a member whose value is the name alone."""
        member = str.__new__(cls, described)
        member._value_ = str(described)
        member.meaning = described.meaning
        return member


class LogKind(EventKind):
    """What the log records about itself."""

    OPENED = _kind("log.opened", "The log was created.")
    SEALED = _kind("log.sealed", "The active segment was closed; the next one continues the chain.")
    RECOVERED = _kind("log.recovered", "Bytes after the last whole line were cut and kept in quarantine.")
    REPAIRED = _kind("log.repaired", "Damaged lines were taken out by `team-mail repair`.")


class MailKind(EventKind):
    """What happens to a message. Except for the first and the last, each is about one recipient."""

    SENT = _kind("mail.sent", "A message was sent.")
    READ = _kind("mail.read", "The recipient has read the message.")
    UNREAD = _kind("mail.unread", "The recipient marked the message unread.")
    ACKED = _kind("mail.acked", "The recipient acknowledged the message.")
    ARCHIVED = _kind("mail.archived", "The recipient archived the message.")
    UNARCHIVED = _kind("mail.unarchived", "The recipient took the message out of the archive.")
    TRASHED = _kind("mail.trashed", "The recipient put the message into the trash.")
    RESTORED = _kind("mail.restored", "The recipient took the message out of the trash.")
    TAGGED = _kind("mail.tagged", "The recipient added a tag.")
    UNTAGGED = _kind("mail.untagged", "The recipient removed a tag.")
    BOUNCED = _kind("mail.bounced", "The message could not be delivered: the recipient is not on the team any more.")


class ExitCode(IntEnum):
    """What a command's exit code means; the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREAD = 3
    NOT_CONVERGED = 4
    DAMAGED = 5
    INTERRUPTED = 130
