"""The kinds of events that log and mail write, and the exit codes. Each is spelled here and nowhere else.

The table of kinds in docs/log.md and the table of exit codes in docs/mail.md are generated from here.
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
    """The exit codes of all commands, each with one sentence for the table in the documentation."""

    _value_: int
    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Create a member whose value is the code."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "Done."
    FAILED = 1, "Failed; the message says what, why and what to do."
    USAGE = 2, "Invalid request; nothing was written."
    UNREAD = 3, "There is unread mail (`check`, `inbox --exit-code`)."
    NOT_CONVERGED = 4, "The sprint or dispatch did not converge."
    DAMAGED = 5, "The log is damaged."
    INTERRUPTED = 130, "Interrupted."


def kinds_table() -> str:
    """Return the Markdown table of the kinds that log and mail write."""
    rows = [f"| `{kind}` | {kind.meaning} |" for kind in (*LogKind, *MailKind)]
    return "\n".join(["| kind | meaning |", "|---|---|", *rows])


def exit_codes_table() -> str:
    """Return the Markdown table of the exit codes."""
    return "\n".join(["| exit code | meaning |", "|---|---|", *(f"| {code:d} | {code.meaning} |" for code in ExitCode)])
