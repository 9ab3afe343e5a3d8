"""A message as one persona sees it: the event, and what befell it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast

from .log.event import PRIORITIES

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
        """Read a row of a projection; `flags` is the row of the asking persona's inbox, if it is there.

        A row that is not of the form, as somebody may have put into the file, is read as far as it goes.
        """
        held = flags or row
        data = _data(row["data"])
        blob = data.get("body_blob")
        return cls(
            row["id"],
            row["seq"],
            row["ts"],
            row["sender"] or "",
            _texts(row["recipients"]),
            row["subject"] or "",
            str(data.get("type", "note")),
            row["priority"] if row["priority"] in PRIORITIES else "normal",
            row["thread"],
            row["reply_to"],
            read=bool(held.get("read")),
            acked=bool(held.get("acked")),
            archived=bool(held.get("archived")),
            trashed=bool(held.get("trashed")),
            answered=bool(held.get("answered")),
            tags=tuple(held.get("tags") or ()),
            body=row.get("body") or "",
            attachments=tuple(item for item in _listed(data.get("attachments")) if _is_file(item)),
            cc=_texts(data.get("cc")),
            due=str(data["due"]) if "due" in data else None,
            payload=data.get("payload"),
            run=row.get("run"),
            body_blob=str(_data(blob)["sha256"]) if _is_blob(blob) else None,
        )

    def listed(self) -> dict[str, Any]:
        """Return the JSON object by which a list shows it."""
        return {name: _plain(getattr(self, name)) for name in _LISTED}

    def whole(self) -> dict[str, Any]:
        """Return the JSON object by which it is shown alone, with body and attachments."""
        return self.listed() | {name: _plain(getattr(self, name)) for name in _WHOLE}


def _data(told: Any) -> dict[str, Any]:
    try:
        data = json.loads(told) if isinstance(told, str) else told
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _listed(value: Any) -> list[Any]:
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in _listed(value))


def _is_blob(value: Any) -> bool:
    held = _data(value)
    return isinstance(held.get("sha256"), str) and isinstance(held.get("size"), int)


def _is_file(value: Any) -> bool:
    return _is_blob(value) and isinstance(_data(value).get("name"), str)


def _plain(value: Any) -> Any:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
