"""Routes of mail: what `team-mail` lists, shows, sends and marks. The human acts, and nobody else."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, JsonValue

from ....mail.clock import ALL, moment
from ....mail.commands.caller import first_mark
from ....mail.directory import no_program
from ....mail.errors import UnknownRecipient, UsageError
from ....mail.home import ignore_mail
from ....mail.letter import Letter
from ....mail.log.event import Event
from ....mail.mailbox import Mailbox
from ....mail.message import Message
from ..common.body import Body
from ..common.console import Console
from ..common.route import Asked, Reply, Route, Scope, paged
from ..common.variables import described

MOST_BODY = 4 << 10  # bytes of a body in a list
_MOST_PEOPLE, _MOST_FILES = 100, 20
_STATES = ("inbox", "archived", "trashed", "all")
_MARKS = {
    "ack": ("acked", "Acknowledge a message: its sender sees that you accepted it."),
    "unread": ("unread", "Mark a message unread again."),
    "archive": ("archived", "Move a message from the inbox to the archive."),
    "unarchive": ("unarchived", "Move an archived message back to the inbox."),
    "trash": ("trashed", "Move a message to the trash."),
    "restore": ("restored", "Move a message out of the trash."),
}
_FILTERS = {
    "state": "inbox, archived, trashed or all.", "unread": "1 for unread mail alone.", "tag": "One of the tags.",
    "type": "The type of the mail.", "from": "Who sent it.", "session": "The session that it belongs to.",
    "channel": "A channel, whose mail is listed in place of a persona's.",
    "as_of": "A time or a seq: the mailbox as it was then.",
}  # fmt: skip


class File(Body):
    """A file to attach, with its bytes in base64."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    content_base64: str


class Written(Body):
    """What a person writes, to whomever."""

    cc: Annotated[tuple[str, ...], Field(max_length=_MOST_PEOPLE)] = ()
    subject: str = ""
    body: str = ""
    type: str = "note"
    payload: JsonValue = None
    priority: str = "normal"
    due: str | None = None
    attachments: Annotated[tuple[File, ...], Field(max_length=_MOST_FILES)] = ()
    idempotency_key: str | None = None


class Answer(Written):
    """What is written in answer to a message; `all` sends it to all of its recipients, too."""

    to: Annotated[tuple[str, ...], Field(max_length=_MOST_PEOPLE)] = ()
    all: bool = False


class NewMail(Written):
    """A message to send; `thread` is a message that it belongs to."""

    to: Annotated[tuple[str, ...], Field(min_length=1, max_length=_MOST_PEOPLE)]
    thread: str | None = None


class Tag(Body):
    """A tag of one's own; `remove` takes it off."""

    tag: str
    remove: bool = False


def inbox(console: Console, asked: Asked) -> Reply:
    """List a persona's mail or that of a channel, as `team-mail inbox --json --bodies`, with bodies cut."""
    mailbox, limit = console.context.mailbox, asked.limit()
    own, state = person(console, asked), asked.text("state", "inbox")
    kind, sender = asked.text("type"), asked.text("from")
    if (channel := asked.text("channel")) is not None:
        listed = mailbox.channel(channel, own, type=kind, sender=sender, limit=limit + 1)
    else:
        if state not in _STATES:
            raise UsageError(f"state must be one of {', '.join(_STATES)}")
        as_of = asked.text("as_of")
        seq, time = moment(as_of) if as_of else (ALL, None)
        listed = mailbox.inbox(
            own, unread=asked.flag("unread"), state=state or "inbox", tag=asked.text("tag"), type=kind, sender=sender,
            session=asked.text("session"), as_of_seq=seq, as_of=time, before=asked.number("before") or ALL,
            limit=limit + 1,
        )  # fmt: skip
    following = listed[limit - 1].seq if len(listed) > limit and channel is None else None
    shown = mailbox.with_bodies(listed[:limit], blobs=False)
    return paged(asked, "/api/mail", [cut(message) for message in shown], following)


def cut(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object, its body cut to MOST_BODY bytes; `body_cut` tells whether it was longer."""
    body = message.body.encode(errors="replace")
    is_cut = len(body) > MOST_BODY or message.body_blob is not None
    return message.whole() | {"body": body[:MOST_BODY].decode(errors="ignore"), "body_cut": is_cut}


def show(console: Console, asked: Asked) -> dict[str, Any]:
    """Return one whole message, as `team-mail read --peek --json`; it is not marked read."""
    return console.context.mailbox.peek(asked.path["id"], person(console, asked)).whole()


def thread(console: Console, asked: Asked) -> Reply:
    """List the thread of a message, oldest first, as `team-mail thread --json`; bodies are cut without `whole=1`."""
    before, limit = asked.number("before") or ALL, asked.limit()
    found = console.context.mailbox.thread(asked.path["id"], person(console, asked))
    earlier = [message for message in found if message.seq < before]
    shown = earlier[-limit:]
    following = shown[0].seq if len(earlier) > limit else None
    value = [message.whole() if asked.flag("whole") else cut(message) for message in shown]
    return paged(asked, f"/api/threads/{quote(asked.path['id'], safe='')}", value, following)


def search(console: Console, asked: Asked) -> Reply:
    """Find messages by their words, as `team-mail search --json`; `persona` restricts it to its mail."""
    persona, skip, limit = asked.text("persona"), asked.number("skip") or 0, asked.limit()
    found = console.context.mailbox.search(
        asked.text("q") or "", persona=persona, reader=persona or console.human, limit=skip + limit + 1
    )
    following = skip + limit if len(found) > skip + limit else None
    rows = [message.listed() for message in found[skip : skip + limit]]
    return paged(asked, "/api/mail/search", rows, following, by="skip")


def sent(console: Console, asked: Asked) -> Reply:
    """List what a persona sent, and what became of it, as `team-mail sent --json`."""
    limit = asked.limit()
    receipts = console.context.mailbox.sent(
        person(console, asked), before=asked.number("before") or ALL, limit=limit + 1
    )
    following = receipts[limit - 1].message.seq if len(receipts) > limit else None
    rows = [receipt.message.listed() | {"states": receipt.states} for receipt in receipts[:limit]]
    return paged(asked, "/api/sent", rows, following)


def tags(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List a persona's tags, as `team-mail tag ls --json`."""
    return console.context.mailbox.tags(person(console, asked))


def attachments(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List the attachments of a message, as `team-mail attachment --json`."""
    return list(console.context.mailbox.attached(person(console, asked), asked.path["id"]).attachments)


def attachment(console: Console, asked: Asked) -> Reply:
    """Return the bytes of an attachment, which a browser saves and never shows."""
    mailbox = console.context.mailbox
    message = mailbox.attached(person(console, asked), asked.path["id"])
    name = str(message.attachment(asked.path["name"])["name"])
    return download(mailbox.attachment(message, asked.path["name"]), name)


def download(data: bytes, name: str, media: str = "application/octet-stream") -> Reply:
    """Return bytes that a browser saves as a file of a name, and takes for nothing but what they are said to be."""
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}",
        "x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox",
    }  # fmt: skip
    return Reply(data, media=media, headers=headers)


def send(console: Console, asked: Asked) -> dict[str, Any]:
    """Send a message as the human, as `team-mail send --json`."""
    given = asked.given(NewMail)
    mailbox, repeats = console.context.mailbox, list[Event]()
    letter = _letter(mailbox, asked, given)._replace(thread=given.thread)
    is_first = not (console.context.home / "mail").exists()
    event = mailbox.send(letter, repeats)
    if is_first:
        ignore_mail(console.context.home)
    return _sent(event, given.body, repeats)


def reply(console: Console, asked: Asked) -> dict[str, Any]:
    """Answer a message as the human and mark it read, as `team-mail reply --json`."""
    given = asked.given(Answer)
    mailbox, repeats = console.context.mailbox, list[Event]()
    event = mailbox.reply(_letter(mailbox, asked, given), asked.path["id"], repeats, everybody=given.all)
    return _sent(event, given.body, repeats)


def read(console: Console, asked: Asked) -> dict[str, Any]:
    """Mark a message read by the human and return it whole, as `team-mail read --json`."""
    mailbox, own = console.context.mailbox, console.human
    message = mailbox.seen(own, mailbox.peek(asked.path["id"], own))
    return message.whole() | _marked_by(mailbox, own, "read", message)


def tag(console: Console, asked: Asked) -> dict[str, Any]:
    """Add one of the human's tags to a message, or take it off."""
    given, mailbox = asked.given(Tag), console.context.mailbox
    return mailbox.tag(console.human, asked.path["id"], given.tag, remove=given.remove).listed()


def _marking(name: str) -> Route:
    verb, about = _MARKS[name]

    def mark(console: Console, asked: Asked) -> dict[str, Any]:
        mailbox, own = console.context.mailbox, console.human
        (message,) = mailbox.mark(own, verb, [asked.path["id"]])
        return message.listed() | _marked_by(mailbox, own, verb, message)

    return Route("POST", f"/api/mail/{{id}}/{name}", about, mark, scope=Scope.ACT)


def _marked_by(mailbox: Mailbox, own: str, verb: str, message: Message) -> dict[str, Any]:
    mark, _ = first_mark(mailbox, own, verb, message)
    return {"marked_by": mark} if mark else {}


def person(console: Console, asked: Asked) -> str:
    """Return whose mail is asked for, by default the human's. Raises UnknownRecipient."""
    mailbox, name = console.context.mailbox, asked.text("persona") or console.human
    try:
        return mailbox.directory.checked(name)
    except UnknownRecipient:
        if name not in mailbox.people():  # a persona that left the team still has its mail
            raise
        return name


def _letter(mailbox: Mailbox, asked: Asked, given: Answer | NewMail) -> Letter:
    sender = no_program(mailbox.directory.checked_sender(asked.sender))
    return Letter(
        sender, given.to, given.subject, given.body, given.cc, given.type, given.payload, given.priority,
        due=given.due, attachments=[(each.name, _decoded(each)) for each in given.attachments],
        key=asked.one_key(given.idempotency_key),
    )  # fmt: skip


def _decoded(file: File) -> bytes:
    try:
        return b64decode(file.content_base64, validate=True)
    except ValueError:
        raise UsageError(f"'content_base64' of {file.name!r} is not base64") from None


def _sent(event: Event, body: str, repeats: list[Event]) -> dict[str, Any]:
    message = Message.of(event._asdict())._replace(body=body, body_blob=None)
    return message.whole() | {"repeated": bool(repeats)}


ROUTES = (
    Route("GET", "/api/mail", "Mail of a persona, by default the human's, the newest first.", inbox,
          query=described("persona", "limit", "before", **_FILTERS)),
    Route("GET", "/api/mail/search", "Messages by their words, `q`, the best match first.", search,
          query=described("q", "limit", "skip", persona="Only what this one sent or received.")),
    Route("POST", "/api/mail", "Send a message as the human.", send, scope=Scope.ACT, takes=NewMail, status=201),
    Route("GET", "/api/mail/{id}", "One whole message; it is not marked read.", show,
          query=described("persona")),
    Route("POST", "/api/mail/{id}/reply", "Answer a message.", reply, scope=Scope.ACT, takes=Answer, status=201),
    Route("POST", "/api/mail/{id}/read", "Mark a message read, and show it.", read, scope=Scope.ACT),
    *map(_marking, _MARKS),
    Route("POST", "/api/mail/{id}/tag", "Add one of your tags to a message, or remove it.", tag, scope=Scope.ACT,
          takes=Tag),
    Route("GET", "/api/mail/{id}/attachments", "The attachments of a message.", attachments,
          query=described("persona")),
    Route("GET", "/api/mail/{id}/attachments/{name}", "The bytes of one, by its name or number.", attachment,
          query=described("persona")),
    Route("GET", "/api/threads/{id}", "The thread of a message, the oldest first.", thread,
          query=described("persona", "limit", "before", "whole")),
    Route("GET", "/api/sent", "What a persona sent, with its state for each recipient.", sent,
          query=described("persona", "limit", "before")),
    Route("GET", "/api/tags", "A persona's tags.", tags, query=described("persona")),
)  # fmt: skip
