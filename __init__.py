"""team-mail: mail for teams of AI coding agents. What is named here is the public API; the rest may change.

Names are loaded when they are first asked for (PEP 562), so that `import team_mail` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .mail.blobs import Blob, BlobMissing, Blobs
    from .mail.caller import open_mailbox
    from .mail.clock import Clock, ManualClock, SystemClock
    from .mail.directory import Directory
    from .mail.errors import (
        AmbiguousMessage,
        InDoubt,
        InvalidEvent,
        LockTimeout,
        LogDamaged,
        LogError,
        LogUnavailable,
        NoIdentity,
        NoTeam,
        TeamMailError,
        UnknownMessage,
        UnknownRecipient,
        UsageError,
    )
    from .mail.event import Draft, Event
    from .mail.letter import Letter
    from .mail.log import EventLog, Log
    from .mail.mailbox import Mailbox, Receipt
    from .mail.memory import MemoryLog
    from .mail.message import Message
    from .mail.simple import events, get_inbox, mark_read, send_message

_HOMES = {
    "mail.blobs": ("Blob", "BlobMissing", "Blobs"),
    "mail.caller": ("open_mailbox",),
    "mail.clock": ("Clock", "ManualClock", "SystemClock"),
    "mail.directory": ("Directory",),
    "mail.errors": (
        "AmbiguousMessage",
        "InDoubt",
        "InvalidEvent",
        "LockTimeout",
        "LogDamaged",
        "LogError",
        "LogUnavailable",
        "NoIdentity",
        "NoTeam",
        "TeamMailError",
        "UnknownMessage",
        "UnknownRecipient",
        "UsageError",
    ),
    "mail.event": ("Draft", "Event"),
    "mail.letter": ("Letter",),
    "mail.log": ("EventLog", "Log"),
    "mail.mailbox": ("Mailbox", "Receipt"),
    "mail.memory": ("MemoryLog",),
    "mail.message": ("Message",),
    "mail.simple": ("events", "get_inbox", "mark_read", "send_message"),
}

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "AmbiguousMessage",
    "Blob",
    "BlobMissing",
    "Blobs",
    "Clock",
    "Directory",
    "Draft",
    "Event",
    "EventLog",
    "InDoubt",
    "InvalidEvent",
    "Letter",
    "LockTimeout",
    "Log",
    "LogDamaged",
    "LogError",
    "LogUnavailable",
    "Mailbox",
    "ManualClock",
    "MemoryLog",
    "Message",
    "NoIdentity",
    "NoTeam",
    "Receipt",
    "SystemClock",
    "TeamMailError",
    "UnknownMessage",
    "UnknownRecipient",
    "UsageError",
    "events",
    "get_inbox",
    "mark_read",
    "open_mailbox",
    "send_message",
]


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
