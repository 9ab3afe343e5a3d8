"""Unread mail as it is shown: whole messages, and the marks that make them read, from the lines of the log alone.

The answers are those of the projections `messages` and `marks`. Where that is not certain, there is none.
"""

from __future__ import annotations

from ..kinds import MailKind
from ..marks import last_marks, missing
from ..message import Message
from .unread import News, Uncertain, event_of

TYPE_CHECKING = False  # as typing's, for the reason given in `mail/home.py`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..log.event import Draft, Event

_MARKS = (MailKind.READ, MailKind.UNREAD)


def whole(folder: str, persona: str, listed: Sequence[dict[str, Any]]) -> tuple[list[Message], dict[str, Draft]]:
    """Return the messages that `unread` has listed, in that order, and by their ids what marks them as read.

    Of a body that is stored in a blob, a message has the beginning. Raises Uncertain.
    """
    entries = {entry["id"]: entry for entry in listed}
    sent, marks, answered = _events(folder, persona, entries)
    if len(sent) < len(entries):
        raise Uncertain
    last = last_marks(marks, MailKind.READ, [*entries])
    drafts = missing(last, persona, MailKind.READ, None)
    return (
        [_message(sent[name], entry)._replace(answered=name in answered) for name, entry in entries.items()],
        {draft.ref: draft._replace(since=entries[draft.ref]["seq"]) for draft in drafts if draft.ref},
    )


def _events(
    folder: str, persona: str, entries: dict[str, dict[str, Any]]
) -> tuple[dict[str, Event], list[dict[str, Any]], set[str]]:
    """Return the events of messages by their ids, the rows of a persona's marks on them, and what it has answered.

    The marks are oldest first; the last are ids.
    """
    sent: dict[str, Event] = {}
    marks: list[dict[str, Any]] = []
    answered: set[str] = set()
    if not entries:
        return sent, marks, answered
    names = [name.encode() for name in entries]
    news = News(folder, None)
    try:
        for line in news.lines_since(min(entry["seq"] for entry in entries.values()), f'"{persona}"'.encode()):
            if not any(name in line for name in names):
                continue
            event = event_of(line)
            if event.kind == MailKind.SENT and event.id in entries:
                sent[event.id] = event
            if event.kind == MailKind.SENT and event.sender == persona and event.reply_to in entries:
                answered.add(event.reply_to)
            elif event.kind in _MARKS and event.sender == persona and event.ref in entries:
                marks.append(event._asdict())
    finally:
        news.close()
    return sent, marks, answered


def _message(event: Event, entry: dict[str, Any]) -> Message:
    message = Message.of(event._asdict())
    return message._replace(verified=entry["verified"], acked=entry["acked"], tags=tuple(entry["tags"]))
