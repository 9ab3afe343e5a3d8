"""A message before it is sent: validated and turned into the draft of an event."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from .clock import rfc3339
from .directory import POSTMASTER, PROGRAMS, Directory
from .errors import KeyReused, LogUnavailable, UsageError
from .kinds import MailKind
from .log.blobs import Blobs
from .log.disk import read_file, reason_of
from .log.event import PRIORITIES, Draft, Event, derived_id, is_id
from .text.escape import storable

TYPES = (  # that are documented; any other of the form `_TYPE` may be used
    "note", "fyi", "task", "progress", "result", "review", "feedback", "question", "veto", "approve", "escalate",
    "deploy", "status", "conflict", "bounce",
)  # fmt: skip
_TYPE = r"[a-z_-]{1,32}"
ALIASES = {"medium": "normal", "critical": "urgent"}
INLINE_BODY = 64 << 10  # characters; a longer body is stored as a blob, and the event has its beginning
_BEGINNING = 2_000
_AHEAD_OF = "ahead"  # in `data`: a due date as it was given, if it counts from the time of sending
_NAMES = {"body_blob": "body", _AHEAD_OF: "due"}  # of fields of `data`, where a letter calls them otherwise
_TEXTS = ("sender", "subject", "body", "type", "priority", "reply_to", "thread", "due", "key", "run", "channel")
_AHEAD = r"\+(\d+)([smhdw])"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Attachment = Path | tuple[str, bytes]


class Letter(NamedTuple):
    """A message to send. `to` and `cc` are addresses; `payload` is JSON; an attachment is a file or (name, bytes).

    `key` makes sending idempotent: the same sender and key are the same message. `due` is a time as `due_date` takes
    it. `thread` and `reply_to` are UUIDs here; `Mailbox.send` takes any name of a message for them. `channel` is that
    of the message it answers to all; one that is among the addresses need not be said.
    """

    sender: str
    to: Sequence[str]
    subject: str = ""
    body: str = ""
    cc: Sequence[str] = ()
    type: str = "note"
    payload: Any = None
    priority: str = "normal"
    reply_to: str | None = None
    thread: str | None = None
    due: str | None = None
    attachments: Sequence[Attachment] = ()
    key: str | None = None
    run: str | None = None
    channel: str | None = None

    def draft(self, directory: Directory, blobs: Blobs, now: datetime | None = None) -> Draft:
        """Validate the letter, store its large parts as blobs, and return the draft.

        A due date such as `+2h` counts from `now`. In the text of a program, which may quote anything, is escaped what
        the log does not take: nobody else could do it. Raises UsageError, UnknownRecipient, InvalidEvent, and
        LogUnavailable if a blob cannot be stored.
        """
        sender = self._checked(directory)
        priority = ALIASES.get(self.priority, self.priority)
        to = directory.recipients(_addresses(self.to), sender)
        cc = directory.recipients(_addresses(self.cc), sender) if self.cc else ()
        channel = directory.channel_of((*_addresses(self.to), *_addresses(self.cc)), self.channel)
        data = self._data([name for name in cc if name not in to], channel, now)
        subject, body = self.subject, self.body
        if sender in PROGRAMS:
            subject, body = storable(subject), storable(body)
        if len(body) > INLINE_BODY:
            data["body_blob"] = _stored(blobs, _utf8(body))
            body = body[:_BEGINNING]
        if self.attachments:
            data["attachments"] = [_attached(blobs, attachment) for attachment in self.attachments]
        return Draft(
            MailKind.SENT,
            sender,
            tuple(dict.fromkeys((*to, *cc))),
            subject,
            body,
            self.thread,
            self.reply_to,
            priority,
            run=self.run,
            data=data,
            id=self.key_id(sender),
        )

    def _checked(self, directory: Directory) -> str:
        """Check what does not depend on the recipients; return the sender. Raises UsageError, UnknownRecipient."""
        for name in _TEXTS:
            if not isinstance(value := getattr(self, name), str | None):
                raise UsageError(f"{name} is {value!r}, which is no text")
        sender = directory.checked_sender(self.sender)
        if not (self.subject or self.body or self.attachments or self.payload is not None):
            raise UsageError("nothing to send: give a subject, a body or an attachment")
        if not is_type(self.type):
            raise UsageError(
                f"type {self.type!r} is not one word of at most 32 letters a-z, _ and -; "
                f"the documented ones are {', '.join(TYPES)}"
            )
        if self.key is not None and not self.key.strip():
            raise UsageError("the key is empty: then every send would be the same one")
        if ALIASES.get(self.priority, self.priority) not in PRIORITIES:
            raise UsageError(f"priority {self.priority!r} must be one of {', '.join(PRIORITIES)}")
        for name, value in (("thread", self.thread), ("reply_to", self.reply_to)):
            if value is not None and not is_id(value):
                raise UsageError(f"{name} {value!r} is neither a message nor a UUID")
        return sender

    @property
    def is_large(self) -> bool:
        """Whether its draft stores blobs."""
        return bool(self.attachments) or len(self.body) > INLINE_BODY

    def key_id(self, sender: str) -> str | None:
        """Return the id of the message with its key, sent by that persona; None without a key."""
        return derived_id("mail", sender, _text(self.key)) if self.key else None

    def repeated(self, draft: Draft, event: Event, repeats: list[Event] | None) -> Event:
        """Return the event that has the key already, and add it to `repeats`. Raises KeyReused if it is another."""
        if differences := self.differences(draft, event):
            raise KeyReused(self.key or "", event.seq, differences)
        if repeats is not None:
            repeats.append(event)
        return event

    def differences(self, draft: Draft, event: Event) -> list[str]:
        """Return the names of the fields in which the letter's draft is not the event that has its key.

        Its run and session do not count, since whoever runs again sends again; nor does the time of a due date that
        counts from now, as did the one before.
        """
        same = {
            "recipients": draft.recipients == event.recipients,
            "subject": draft.subject == event.subject,
            "body": draft.body == event.body,
            "thread": (draft.thread or event.id) == event.thread,
            "reply_to": draft.reply_to == event.reply_to,
            "priority": draft.priority == event.priority,
        }
        ours, theirs = json.loads(json.dumps(draft.data)), event.data
        both_ahead = _AHEAD_OF in ours and _AHEAD_OF in theirs
        for name in sorted({*ours, *theirs} - {"session"} - ({"due"} if both_ahead else set())):
            word = _NAMES.get(name, name)
            same[word] = same.get(word, True) and _canonical(ours.get(name)) == _canonical(theirs.get(name))
        return [name for name, equal in same.items() if not equal]

    def _data(self, copied: list[str], channel: str | None, now: datetime | None) -> dict[str, Any]:
        due = None if self.due is None else due_date(self.due, now)
        fields = {"type": self.type, "cc": copied or None, "due": due, "payload": self.payload, "key": self.key}
        fields["channel"] = channel
        fields[_AHEAD_OF] = self.due if _is_relative(self.due) else None
        return {name: value for name, value in fields.items() if value is not None}


def is_type(text: str) -> bool:
    """Tell whether a text can be the type of a message."""
    return re.fullmatch(_TYPE, text) is not None


def bounced(row: dict[str, Any], directory: Directory) -> list[Draft]:
    """Return the bounce of an undeliverable message and the mail to its sender.

    `row` is one of the projection `unreachable`. A program, or a sender who has left too, gets no mail.
    """
    gone, sender = row["persona"], row["sender"]
    drafts = [
        Draft(
            MailKind.BOUNCED, POSTMASTER, ref=row["id"], data={"recipient": gone},
            id=derived_id("bounce", row["id"], gone),
        )
    ]  # fmt: skip
    if sender in directory.names and sender not in PROGRAMS:
        drafts.append(
            Draft(
                MailKind.SENT, POSTMASTER, (sender,), f"Undeliverable: {row['subject']}"[:998],
                f"{gone} is no longer on the team and never read your message {row['seq']}.\n"
                f"Send it to someone else if it still matters: team-mail read {row['seq']}",
                row["thread"], data={"type": "bounce", "of": row["id"], "recipient": gone},
                id=derived_id("bounce mail", row["id"], gone),
            )
        )  # fmt: skip
    return drafts


def _is_relative(due: str | None) -> bool:
    return due is not None and re.fullmatch(_AHEAD, due) is not None


def due_date(text: str, now: datetime | None) -> str:
    """Parse a due date: RFC 3339, a date, a local time, or `+2h` (s, m, h, d, w) after `now`. Raises UsageError."""
    try:
        if now is not None and (match := re.fullmatch(_AHEAD, text)):
            return rfc3339(now + timedelta(**{_UNITS[match[2]]: int(match[1])}))
        return rfc3339(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError):
        raise UsageError(f"due {text!r} is not a time: write 2026-12-24T18:00, 2026-12-24 or +2h") from None


def _addresses(given: Sequence[str]) -> Sequence[str]:
    """Return addresses as a list; one that stands alone is not taken for a list of its letters."""
    return [given] if isinstance(given, str) else given


def _canonical(value: Any) -> str:
    """Return JSON in which `1`, `1.0` and `true` differ, as they do not in Python."""
    return json.dumps(value, sort_keys=True)


def _attached(blobs: Blobs, attachment: Attachment) -> dict[str, Any]:
    if isinstance(attachment, Path):
        try:
            attachment = (attachment.name, read_file(attachment, follow=True))
        except OSError as error:
            raise UsageError(f"cannot attach {attachment}: {error.strerror}") from None
    name, data = attachment
    return {"name": name, **_stored(blobs, data)}


def _stored(blobs: Blobs, data: bytes) -> dict[str, Any]:
    try:
        blob = blobs.put(data)
    except OSError as error:
        raise LogUnavailable(
            f"cannot store a blob of {len(data)} bytes: {reason_of(error)}; nothing was sent"
        ) from error
    return {"sha256": blob.sha256, "size": blob.size}


def _text(text: str) -> str:
    _utf8(text)
    return text


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"a lone surrogate is not text: {error.reason}") from None
