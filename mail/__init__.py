"""The only shared state: event, log, mailbox, projections and the `team-mail` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .simple import events, get_inbox, mark_read, send_message

__all__ = ["events", "get_inbox", "mark_read", "send_message"]


def __getattr__(name: str) -> Any:
    """Load the functions for scripts when they are first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import simple

    return getattr(simple, name)
