"""The errors of mail, as one tree. Each message says what failed, why, and what to do.

TeamMailError
├── UsageError             the request is invalid; nothing was written
│   ├── InvalidEvent       a value that the log does not accept
│   ├── NoIdentity         no persona is given
│   ├── NoTeam             no .team folder here or above
│   ├── KeyReused          the key belongs to another message
│   ├── UnknownRecipient   no such persona or group
│   ├── UnknownMessage     no such message
│   └── AmbiguousMessage   several messages have that name
├── UnknownSession         no session has that name
└── LogError               the log failed
    ├── LockTimeout        another process holds the lock
    ├── LogUnavailable     the folder or disk refuses: read-only, full, a network file system
    ├── InDoubt            written, but perhaps not durable: send the same id again
    ├── BlobMissing        a body or attachment is missing or has changed; defined in log/blobs.py
    ├── LedElsewhere       another host leads the team
    ├── OtherLog           the server's log lacks an event that its copy here has
    └── LogDamaged         a line before the last does not verify
"""

from __future__ import annotations

from collections.abc import Sequence

from .kinds import ExitCode


class TeamMailError(Exception):
    """Base of all errors of team-mail; `exit_code` is that of a command that fails with it."""

    exit_code: int = ExitCode.FAILED


class UsageError(TeamMailError):
    """The request is invalid; nothing was written."""

    exit_code = ExitCode.USAGE


class InvalidEvent(UsageError):
    """A value that the log does not accept."""


class NoIdentity(UsageError):
    """No persona is given."""

    def __init__(self) -> None:
        super().__init__("who are you? pass --persona or set TEAM_PERSONA")


class NotFromRun(UsageError):
    """A process of a run does what only its keeper, a program of the team or a person may do."""

    def __init__(self, run: str, what: str) -> None:
        whose = f"run {run}" if run else "a run whose keeper was killed"
        super().__init__(f"this process belongs to {whose} of this team, which {what}")


class UnknownSession(TeamMailError):
    """There is no session of that name; `near` are names that resemble it."""

    code = "SESSION_NOT_FOUND"

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"Session '{name}' not found. Create it first with create_session.{hint}")


class NoTeam(UsageError):
    """There is no `.team` folder here or above."""


class KeyReused(UsageError):
    """The key was used before, for a message with other content."""

    def __init__(self, key: str, seq: int, differences: Sequence[str]) -> None:
        what = ", ".join(differences)
        super().__init__(
            f"the key {key!r} was used before, for message {seq}, which differs in {what}; nothing was sent: "
            "give each message a key of its own"
        )


class UnknownRecipient(UsageError):
    """No persona or group of the team has that name."""


class UnknownMessage(UsageError):
    """No message has that name."""


class AmbiguousMessage(UsageError):
    """Several messages have that name."""


class LogError(TeamMailError):
    """The log failed."""


class LockTimeout(LogError):
    """The log's lock was not released before the timeout."""


class LogUnavailable(LogError):
    """The folder or the disk refuses to store the log."""


class InDoubt(LogError):
    """The append was written but may not be durable; sending the same id again is safe."""


class LedElsewhere(LogError):
    """Another host leads the team: what only a leader may write was refused."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"this team is led from {host}, and one host leads it: start schedulers and dispatches there, or "
            "`scheduler run` here, which waits until that one is gone; `team cluster lead` takes the lead by force"
        )


class OtherLog(LogError):
    """The server's log lacks an event that its copy here has."""

    exit_code = ExitCode.DAMAGED


class LogDamaged(LogError):
    """A line before the last one does not verify."""

    exit_code = ExitCode.DAMAGED
