"""The only shared state: event, log, mailbox, projections and the `team-mail` command."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, for the reason given in `home`
if TYPE_CHECKING:
    from .simple import events, get_inbox, mark_read, send_message

__all__ = ["events", "get_inbox", "mark_read", "send_message"]


def __getattr__(name: str) -> object:
    """Load the functions for scripts when they are first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import simple

    return getattr(simple, name)
