"""A message as one persona sees it: the event, with that persona's marks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from .errors import AmbiguousMessage, UsageError
from .log.event import PRIORITIES

_LISTED = (
    "id", "seq", "ts", "sender", "recipients", "subject", "type", "priority", "thread", "reply_to", "read", "acked",
    "archived", "tags", "verified", "channel",
)  # fmt: skip
_STATES = ("bounced", "answered", "acked", "read")
_RUN = 8  # characters of the shortest beginning that names a run
_WHOLE = ("body", "attachments", "cc", "due", "payload", "run", "trashed", "answered")


class Message(NamedTuple):
    """One message. Flags and tags are those of the persona that reads it; `body` is "" in lists.

    `attachments` are objects with `name`, `sha256` and `size` in bytes; `due` is RFC 3339. `verified` is False if it
    claims to come from a run that is not on record as one of its sender's. `channel` is the name of the one that the
    message came through, without a sign.
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
    verified: bool = True
    channel: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any], flags: dict[str, Any] | None = None) -> Message:
        """Read a row of a projection; `flags` is the row of the persona's inbox, if it has the message.

        A row with malformed fields, as someone may have written into the file, is read as far as possible.
        """
        marks = flags or row
        data = _data(row["data"])
        blob, channel = data.get("body_blob"), data.get("channel")
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
            read=bool(marks.get("read")),
            acked=bool(marks.get("acked")),
            archived=bool(marks.get("archived")),
            trashed=bool(marks.get("trashed")),
            answered=bool(marks.get("answered")),
            tags=tuple(marks.get("tags") or ()),
            body=row.get("body") or "",
            attachments=tuple(item for item in _listed(data.get("attachments")) if _is_file(item)),
            cc=_texts(data.get("cc")),
            due=str(data["due"]) if "due" in data else None,
            payload=data.get("payload"),
            run=row.get("run"),
            body_blob=str(_data(blob)["sha256"]) if _is_blob(blob) else None,
            channel=channel if isinstance(channel, str) else None,
        )

    @property
    def about_run(self) -> str:
        """The run that the message is about, as its payload says; "" if it does not."""
        return str(_data(self.payload).get("run", ""))

    def attachment(self, name: str | None = None) -> dict[str, Any]:
        """Return one attachment, given by its name or its number, from 1; `name` may be None if there is only one.

        Raises UsageError with the names.
        """
        numbered = list(enumerate(self.attachments, 1))
        matches = [item for _, item in numbered if name in {None, item["name"]}]
        matches = matches or [item for number, item in numbered if name == str(number)]
        if len(matches) != 1:
            names = ", ".join(f"{number} {item['name']!r}" for number, item in numbered)
            what = f"{len(numbered)} attachments" if name is None else f"no single attachment {name!r}"
            raise UsageError(f"message {self.seq} has {what}; give the name or number of one: {names}")
        return matches[0]

    def listed(self) -> dict[str, Any]:
        """Return the JSON object of a list."""
        return {name: _plain(getattr(self, name)) for name in _LISTED}

    def whole(self) -> dict[str, Any]:
        """Return the JSON object of a single message, with body and attachments."""
        return self.listed() | {name: _plain(getattr(self, name)) for name in _WHOLE}


class Receipt(NamedTuple):
    """One sent message and its state for each recipient: sent, read, acked, answered or bounced."""

    message: Message
    states: dict[str, str]

    @classmethod
    def of(cls, row: dict[str, Any], reached: Mapping[tuple[str, str], dict[str, Any]]) -> Receipt:
        """Read a row of the projection `sent`, with the rows of `states` by message and persona."""
        names = {
            name: next((word for word in _STATES if reached.get((row["id"], name), {}).get(word)), "sent")
            for name in row["recipients"]
        }
        return cls(Message.of(row), names)


def verified(messages: Sequence[Message], launches: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Return messages with `verified` as the starts of runs say it: rows of run and persona, the first one counts."""
    owners = {row["run"]: row["persona"] for row in reversed(launches)}
    return [
        message if message.run is None else message._replace(verified=owners.get(message.run) == message.sender)
        for message in messages
    ]


def newest_about(messages: Sequence[Message], run: str) -> Message | None:
    """Return the first of the messages with attachments about a run, given by its id or the beginning of it.

    Raises AmbiguousMessage.
    """
    newest: dict[str, Message] = {}
    for message in messages:
        named = message.about_run == run or (len(run) >= _RUN and message.about_run.startswith(run))
        if message.attachments and named:
            newest.setdefault(message.about_run, message)
    if len(newest) > 1 and run not in newest:
        raise AmbiguousMessage(f"{run!r} names more than one run: {', '.join(sorted(newest))}; give more of it")
    return newest.get(run) or next(iter(newest.values()), None)


def _data(value: Any) -> dict[str, Any]:
    try:
        data = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _listed(value: Any) -> list[Any]:
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in _listed(value))


def _is_blob(value: Any) -> bool:
    blob = _data(value)
    return isinstance(blob.get("sha256"), str) and isinstance(blob.get("size"), int)


def _is_file(value: Any) -> bool:
    return _is_blob(value) and isinstance(_data(value).get("name"), str)


def _plain(value: Any) -> Any:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
