"""The summary of unread mail that `team-mail check` prints."""

from __future__ import annotations

from ..text.escape import line

TYPE_CHECKING = False  # as typing's, for the reason given in `mail/home.py`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_URGENCY = {"urgent": 0, "high": 1, "normal": 2, "low": 3}
_MARKED = 2  # what is more urgent is said to be so


def digest(unread: Sequence[Mapping[str, Any]], budget: int) -> str:
    """Summarize unread mail in at most `budget` characters: its number, then the most urgent and newest first.

    `unread` are the listed objects of messages.
    """
    text = f"{len(unread)} unread"
    left = len(unread)
    for message in sorted(unread, key=lambda m: (_URGENCY[m["priority"]], -m["seq"])):
        mark = f" ({message['priority']})" if _URGENCY[message["priority"]] < _MARKED else ""
        sender = message["sender"] + ("" if message["verified"] else " (unverified)")
        entry = f"\n{message['seq']}{mark} {line(sender)}: {line(message['subject'])}"
        rest = f"\n… and {left - 1} more" if left > 1 else ""
        if len(text) + len(entry) + len(rest) > budget:
            break
        text, left = text + entry, left - 1
    more = f"\n… and {left} more" if 0 < left < len(unread) else ""
    return text + more if len(text + more) <= budget else str(len(unread))
