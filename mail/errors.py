"""Everything that can go wrong with mail, as one tree; the message says what, why and what to do.

TeamMailError
├── UsageError             asked for what cannot be: nothing was written
│   ├── InvalidEvent       a value that the log does not take
│   ├── NoIdentity         nobody said who is asking
│   ├── NoTeam             no .team folder from here upward
│   ├── UnknownRecipient   no such persona or group
│   ├── UnknownMessage     no such message
│   └── AmbiguousMessage   more than one message answers to that name
└── LogError               the log could not do it
    ├── LockTimeout        somebody else holds the lock
    ├── LogUnavailable     the folder or the disk refuses: read-only, full, a network file system
    ├── InDoubt            written, but perhaps not durable: send the same id again
    └── LogDamaged         a line before the last does not verify
"""

from __future__ import annotations


class TeamMailError(Exception):
    """Something that team-mail could not do."""

    exit_code = 1


class UsageError(TeamMailError):
    """The request itself is wrong; nothing was written."""

    exit_code = 2


class InvalidEvent(UsageError):
    """A value that the log does not take."""


class NoIdentity(UsageError):
    """Nobody said who is asking."""

    def __init__(self) -> None:
        super().__init__("who are you? pass --persona or set TEAM_PERSONA")


class NoTeam(UsageError):
    """There is no `.team` folder here or above."""


class UnknownRecipient(UsageError):
    """No persona or group of the team has that name."""


class UnknownMessage(UsageError):
    """No message has that name."""


class AmbiguousMessage(UsageError):
    """More than one message answers to that prefix."""


class LogError(TeamMailError):
    """The log could not do what was asked."""


class LockTimeout(LogError):
    """The log's lock was not free before the deadline."""


class LogUnavailable(LogError):
    """The folder or the disk refuses to hold the log."""


class InDoubt(LogError):
    """The append was written but may not be durable; sending the same id again is safe."""


class LogDamaged(LogError):
    """A line before the last one does not verify."""

    exit_code = 5
