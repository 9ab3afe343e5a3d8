"""The kinds of events that log and mail write, and the exit codes. Each is spelled here and nowhere else.

The table of kinds in docs/log.md and the table of exit codes in docs/mail.md are generated from here.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self


class Word(str):
    """A word of the log, with one sentence about it, and the program or person who writes it where a table says so."""

    __slots__ = ("meaning", "writer")
    meaning: str
    writer: str


def word(name: str, meaning: str, writer: str = "") -> Word:
    """Describe a word; type checkers take a member that is made of it for the string that it is."""
    described = Word(name)
    described.meaning, described.writer = meaning, writer
    return described


class Described(StrEnum):
    """Words of the log, each with one sentence about it for the tables in the documentation."""

    meaning: str
    writer: str

    def __new__(cls, described: Word) -> Self:
        """Create a member whose value is the word alone."""
        member = str.__new__(cls, described)
        member._value_ = str(described)
        member.meaning, member.writer = described.meaning, described.writer
        return member


class LogKind(Described):
    """What the log records about itself."""

    OPENED = word("log.opened", "The log was created.")
    SEALED = word("log.sealed", "The active segment was closed; the next one continues the chain.")
    RECOVERED = word("log.recovered", "Bytes after the last whole line were cut and kept in quarantine.")
    REPAIRED = word("log.repaired", "Damaged lines were taken out by `team-mail repair`.")


class MailKind(Described):
    """What happens to a message. Except for the first and the last, each is about one recipient."""

    SENT = word("mail.sent", "A message was sent.")
    READ = word("mail.read", "The recipient has read the message.")
    UNREAD = word("mail.unread", "The recipient marked the message unread.")
    ACKED = word("mail.acked", "The recipient acknowledged the message.")
    ARCHIVED = word("mail.archived", "The recipient archived the message.")
    UNARCHIVED = word("mail.unarchived", "The recipient took the message out of the archive.")
    TRASHED = word("mail.trashed", "The recipient put the message into the trash.")
    RESTORED = word("mail.restored", "The recipient took the message out of the trash.")
    TAGGED = word("mail.tagged", "The recipient added a tag.")
    UNTAGGED = word("mail.untagged", "The recipient removed a tag.")
    BOUNCED = word("mail.bounced", "The message could not be delivered: the recipient is not on the team any more.")


# What mail knows of the scheduler's events: whose a run is, and which of them may be needed however old they are.
RUN_STARTED, RUN_FINISHED, RUN_LOST = "run.started", "run.finished", "run.lost"
PATCH_HELD = "patch.held"
DECIDED = ("patch.landed", "patch.conflicted", "patch.refused", "patch.rejected")
TASK_FINISHED = "task.finished"
LASTING = r"^(sprint|dispatch|scheduler|session|claim)\.|^(round\.paused|deploy\.finished|task\.opened)$"


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
    UNREAD = 3, "There is unread mail (`check`, `inbox --exit-code`), or no task to claim (`claim --next`)."
    NOT_CONVERGED = 4, "The sprint or dispatch did not converge, or was blocked."
    DAMAGED = 5, "The log is damaged."
    INTERRUPTED = 130, "Interrupted."


def kinds_table() -> str:
    """Return the Markdown table of the kinds that log and mail write."""
    rows = [f"| `{kind}` | {kind.meaning} |" for kind in (*LogKind, *MailKind)]
    return "\n".join(["| kind | meaning |", "|---|---|", *rows])


def exit_codes_table() -> str:
    """Return the Markdown table of the exit codes."""
    return "\n".join(["| exit code | meaning |", "|---|---|", *(f"| {code:d} | {code.meaning} |" for code in ExitCode)])
