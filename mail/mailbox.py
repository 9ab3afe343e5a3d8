"""The mailbox: the verbs by which personas write, read and mark mail; each is an event, and each answer a query."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .clock import ALL, Clock, SystemClock, rfc3339
from .directory import Directory
from .errors import AmbiguousMessage, UnknownMessage, UsageError
from .letter import Letter, bounced
from .log.blobs import BlobMissing, Blobs
from .log.event import Draft, Event
from .log.log import Log
from .log.snapshot import Source
from .message import Message

if TYPE_CHECKING:
    from .query.query import Query

_SEQ = r"[1-9][0-9]{0,14}"
_ID = r"[0-9a-f][0-9a-f-]{3,35}"
_UNDOES = {"unread": "read", "unarchived": "archived", "restored": "trashed"}
_TAG = r"\w[\w.:/-]{0,63}"


class MailLog(Log, Source, Protocol):
    """A log whose moments can be queried."""


class Receipt(NamedTuple):
    """One sent message and, for each recipient, how far it got: sent, read, acked, answered or bounced."""

    message: Message
    states: dict[str, str]


class Mailbox:
    """The mail of one team. Personas are named in each call: a program may act for several."""

    def __init__(
        self, log: MailLog, blobs: Blobs, directory: Directory | None = None, clock: Clock | None = None
    ) -> None:
        self.log = log
        self.blobs = blobs
        self.directory = directory or Directory()
        self._clock = clock or SystemClock()

    @cached_property
    def _query(self) -> Query:
        from .query.query import Query  # a send must not wait for a database to load

        return Query(self.log)

    # -- writing

    def send(self, letter: Letter) -> Event:
        """Send one message; return its event once it is durable. Raises UsageError, UnknownRecipient, LogError."""
        return self.log.append([letter.draft(self.directory, self.blobs)])[0]

    def send_all(self, letters: Iterable[Letter]) -> list[Event]:
        """Send many messages with one flush: all are checked before the first is written."""
        return self.log.append([letter.draft(self.directory, self.blobs) for letter in letters])

    def reply(self, letter: Letter, name: str, *, everybody: bool = False) -> Event:
        """Answer a message, in its thread: to its sender, or to everybody it went to. Marks it read.

        The letter's own `to` adds recipients; its subject is "Re: …" if it has none. An answer to somebody who has
        left the team comes back at once.
        """
        original = self._found(name)
        people = {original["sender"]: None} | dict.fromkeys(original["recipients"] if everybody else ())
        people.pop(letter.sender, None)
        gone = [person for person in people if self._gone(person)]
        to = [*people, *letter.to] or [letter.sender]
        subject = letter.subject or "Re: " + original["subject"].removeprefix("Re: ")
        answer = letter._replace(to=to, subject=subject, reply_to=original["id"], thread=original["thread"])
        directory = self.directory
        if gone:
            directory = directory._replace(personas=(directory.personas or frozenset()) | set(gone))
        drafts = [answer.draft(directory, self.blobs)]
        if letter.sender in original["recipients"] and not self._seen([original], letter.sender)[0].read:
            drafts.append(Draft("mail.read", letter.sender, ref=original["id"], run=letter.run))
        event = self.log.append(drafts)[0]
        if gone:
            self.bounce()
        return event

    def bounce(self) -> list[Event]:
        """Return unread mail of personas that are no longer on the roster to its senders; each comes back once."""
        if self.directory.personas is None:
            return []
        drafts: list[Draft] = []
        for row in self._query.rows("unreachable", roster=sorted(self.directory.names)):
            drafts += bounced(row, self.directory)
        return [event for event in self.log.append(drafts) if event.kind == "mail.bounced"]

    def mark(self, persona: str, verb: str, names: Sequence[str], run: str | None = None) -> list[Message]:
        """Mark messages `read`, `unread`, `acked`, `archived`, `unarchived`, `trashed` or `restored` for a persona.

        What is already so is not written again. Raises UnknownMessage, and UsageError for mail of others.
        """
        found = [self._own(persona, name) for name in names]
        flag = _UNDOES.get(verb, verb)
        wanted = flag == verb
        drafts = [
            Draft(f"mail.{verb}", persona, ref=message.id, run=run)
            for message in {message.id: message for message in found}.values()
            if getattr(message, flag) != wanted
        ]
        self.log.append(drafts)
        return [message._replace(**{flag: wanted}) for message in found]

    def tag(self, persona: str, name: str, tag: str, *, remove: bool = False, run: str | None = None) -> Message:
        """Put a tag of the persona's own on a message, or take it off."""
        if not re.fullmatch(_TAG, tag):
            raise UsageError(f"{tag!r} is not a tag: letters, digits and . : / _ - only, at most 64")
        message = self._own(persona, name)
        if (tag in message.tags) == remove:
            verb = "untagged" if remove else "tagged"
            self.log.append([Draft(f"mail.{verb}", persona, ref=message.id, run=run, data={"tag": tag})])
        tags = {*message.tags} - {tag} if remove else {*message.tags, tag}
        return message._replace(tags=tuple(sorted(tags)))

    # -- reading

    def inbox(
        self,
        persona: str,
        *,
        unread: bool = False,
        state: str = "inbox",
        tag: str | None = None,
        type: str | None = None,
        sender: str | None = None,
        as_of_seq: int = ALL,
        as_of: str | None = None,
        ids: list[str] | None = None,
        limit: int = ALL,
    ) -> list[Message]:
        """List a persona's mail, newest first, without bodies.

        `state` is "inbox", "archived", "trashed" or "all"; `as_of` an RFC 3339 time in UTC, as events bear it.
        """
        rows = self._query.rows(
            "inbox", persona=persona, unread=unread, state=state, tag=tag, type=type, sender=sender,
            as_of_seq=as_of_seq, as_of_ts=as_of or "~", ids=ids, limit=limit,
        )  # fmt: skip
        return [Message.of(row) for row in rows]

    def read(self, persona: str, name: str, *, peek: bool = False, run: str | None = None) -> Message:
        """Return a whole message; it becomes read, unless it is only peeked at or went to others."""
        row = self._found(name)
        message = self.whole(self._seen([row], persona)[0])
        if not peek and persona in message.recipients and not message.read:
            self.log.append([Draft("mail.read", persona, ref=message.id, run=run)])
            message = message._replace(read=True)
        return message

    def whole(self, message: Message) -> Message:
        """Return a message with its whole body, from its blob if it lies in one. Raises BlobMissing."""
        if message.body_blob is None:
            return message
        return message._replace(body=self.blobs.read(message.body_blob).decode(errors="replace"), body_blob=None)

    def _told(self, message: Message) -> Message:
        """Return a message among others whole: a body that is missing says so, and hides none of the others."""
        try:
            return self.whole(message)
        except BlobMissing as error:
            return message._replace(body=f"{message.body}\n[the rest is not here: {error}]\n", body_blob=None)

    def with_bodies(self, listed: Sequence[Message], persona: str) -> list[Message]:
        """Return listed messages whole."""
        rows = self._query.rows("messages", ids=[message.id for message in listed])
        return [self._told(message) for message in self._seen(rows, persona)]

    def thread_of(self, name: str) -> str:
        """Return the id of the thread that a message is in. Raises UnknownMessage, AmbiguousMessage."""
        return str(self._found(name)["thread"])

    def thread(self, name: str, persona: str | None = None) -> list[Message]:
        """List the whole messages of a message's thread, oldest first."""
        rows = self._query.rows("thread", thread=self.thread_of(name))
        return [self._told(message) for message in self._seen(rows, persona)]

    def search(
        self, text: str, *, persona: str | None = None, reader: str | None = None, limit: int = 20
    ) -> list[Message]:
        """Find messages by words in subject and body, the best first.

        `persona` limits it to that one's mail; the flags are those of `reader`, by default the same.
        """
        words = sorted(set(re.findall(r"\w+", text.lower())))
        if not words:
            raise UsageError("search for what? give at least one word")
        return self._seen(self._query.rows("search", words=words, persona=persona, limit=limit), reader or persona)

    def watch(self, persona: str, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Message]:
        """Go through a persona's mail as it comes, from now or behind seq `after`, until `stop` is set."""
        for event in self.log.follow(after, stop):
            if event.kind == "mail.sent" and persona in event.recipients:
                yield self._told(Message.of(event._asdict()))

    def sent(self, persona: str, *, limit: int = ALL) -> list[Receipt]:
        """List what a persona sent, newest first, with each recipient's state."""
        rows = self._query.rows("sent", persona=persona, limit=limit)
        states = self._query.rows("states", ids=[row["id"] for row in rows])
        reached = {(row["ref"], row["persona"]): row for row in states}
        order = ("bounced", "answered", "acked", "read")
        return [
            Receipt(
                Message.of(row),
                {
                    name: next((s for s in order if reached.get((row["id"], name), {}).get(s)), "sent")
                    for name in row["recipients"]
                },
            )
            for row in rows
        ]

    def export(self, form: str, target: Path, persona: str | None = None) -> int:
        """Write messages, of all or of one persona, as "mbox", "eml" or "jsonl"; return how many."""
        from .archive import export

        forms = {"mbox": export.export_mbox, "eml": export.export_eml, "jsonl": export.export_jsonl}
        if form not in forms:
            raise UsageError(f"format {form!r} is none of {', '.join(forms)}")
        events = (e for e in self.log.read() if persona is None or persona in (e.sender, *e.recipients))
        return forms[form](events, self.blobs, target)

    def counts(self) -> list[dict[str, Any]]:
        """Count each persona's mail: rows of persona, total, unread, urgent, archived, trashed."""
        return self._query.rows("counts")

    def overdue(self) -> list[dict[str, Any]]:
        """List mail past its due date that its recipient (`persona`) has neither answered, acked nor put away."""
        return self._query.rows("overdue", now=rfc3339(self._clock.now()))

    def unread(self, roster: Sequence[str]) -> list[dict[str, Any]]:
        """List what waits for these: persona, seq, id, ts, sender, subject, type, priority, run; the oldest first."""
        return self._query.rows("unread", roster=list(roster))

    def schedule(self, *, whole: bool = True) -> list[dict[str, Any]]:
        """List what was done for sprints, or as much of it as a tick must know: seq, id, … as `dispatched`."""
        return self._query.rows("schedule", whole=whole)

    def dispatched(self, dispatch: str | None) -> list[dict[str, Any]]:
        """List what was done for a dispatch: seq, id, ts, kind, sender, ref, run, data, hash; None lists them all."""
        return self._query.rows("dispatched", dispatch=dispatch)

    def stats(self) -> list[dict[str, Any]]:
        """Count events by kind: rows of kind, events, first and last seq, since and until."""
        return self._query.rows("stats")

    def tags(self, persona: str) -> list[dict[str, Any]]:
        """List a persona's tags: rows of tag, messages."""
        return self._query.rows("tagged", persona=persona)

    def people(self) -> list[str]:
        """List everybody that mail has named."""
        return [row["name"] for row in self._query.rows("people")]

    def _found(self, name: str) -> dict[str, Any]:
        """Find the one message that a seq, an id or the beginning of an id names."""
        name = name.strip().lower()
        number = int(name) if re.fullmatch(_SEQ, name) else -1
        key = name if number < 0 and re.fullmatch(_ID, name) else "?"
        rows = self._query.rows("message", seq=number, key=key)
        if not rows:
            raise UnknownMessage(f"no message {name!r}; `team-mail inbox` lists their numbers")
        if len(rows) > 1:
            some = ", ".join(str(row["seq"]) for row in rows)
            raise AmbiguousMessage(f"{name!r} names more than one message ({some}, …); use the number")
        return rows[0]

    def _seen(self, rows: list[dict[str, Any]], persona: str | None) -> list[Message]:
        if persona is None or not rows:
            return [Message.of(row) for row in rows]
        own = self._query.rows(
            "inbox", persona=persona, unread=False, state="all", tag=None, type=None, sender=None,
            as_of_seq=ALL, as_of_ts="~", ids=[row["id"] for row in rows], limit=len(rows),
        )  # fmt: skip
        flags = {row["id"]: row for row in own}
        return [Message.of(row, flags.get(row["id"])) for row in rows]

    def _own(self, persona: str, name: str) -> Message:
        message = self._seen([self._found(name)], persona)[0]
        if persona not in message.recipients:
            raise UsageError(f"message {message.seq} is not {persona}'s: it went to {', '.join(message.recipients)}")
        return message

    def _gone(self, name: str) -> bool:
        return self.directory.personas is not None and name not in self.directory.names
