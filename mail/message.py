"""A message as one persona sees it: the event, and what befell it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast

_LISTED = (
    "id", "seq", "ts", "sender", "recipients", "subject", "type", "priority", "thread", "reply_to", "read", "acked",
    "archived", "tags",
)  # fmt: skip
_WHOLE = ("body", "attachments", "cc", "due", "payload", "run", "trashed", "answered")


class Message(NamedTuple):
    """One message. The flags and tags are those of the persona that asked; `body` is "" in lists.

    `attachments` are objects with `name`, `sha256` and `size` in bytes; `due` is RFC 3339.
    """

    id: str
    seq: int
    ts: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    type: str = "note"
    priority: str = "normal"
    thread: str | None = None
    reply_to: str | None = None
    read: bool = False
    acked: bool = False
    archived: bool = False
    tags: tuple[str, ...] = ()
    body: str = ""
    attachments: tuple[dict[str, Any], ...] = ()
    cc: tuple[str, ...] = ()
    due: str | None = None
    payload: Any = None
    run: str | None = None
    trashed: bool = False
    answered: bool = False
    body_blob: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any], flags: dict[str, Any] | None = None) -> Message:
        """Read a row of a projection; `flags` is the row of the asking persona's inbox, if it is there."""
        held = flags or row
        told = row["data"]
        data = cast("dict[str, Any]", json.loads(told) if isinstance(told, str) else told)
        blob = data.get("body_blob")
        return cls(
            row["id"],
            row["seq"],
            row["ts"],
            row["sender"],
            tuple(row["recipients"]),
            row["subject"],
            str(data.get("type", "note")),
            row["priority"],
            row["thread"],
            row["reply_to"],
            read=bool(held.get("read")),
            acked=bool(held.get("acked")),
            archived=bool(held.get("archived")),
            trashed=bool(held.get("trashed")),
            answered=bool(held.get("answered")),
            tags=tuple(held.get("tags") or ()),
            body=row.get("body", ""),
            attachments=tuple(data.get("attachments", ())),
            cc=tuple(data.get("cc", ())),
            due=data.get("due"),
            payload=data.get("payload"),
            run=row.get("run"),
            body_blob=blob["sha256"] if blob else None,
        )

    def listed(self) -> dict[str, Any]:
        """Return the JSON object by which a list shows it."""
        return {name: _plain(getattr(self, name)) for name in _LISTED}

    def whole(self) -> dict[str, Any]:
        """Return the JSON object by which it is shown alone, with body and attachments."""
        return self.listed() | {name: _plain(getattr(self, name)) for name in _WHOLE}


def _plain(value: Any) -> Any:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
