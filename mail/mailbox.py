"""The mailbox: the verbs to write, read and mark mail. Each write is an event, each read a projection of the log."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .clock import ALL, Clock, SystemClock, rfc3339
from .directory import Directory
from .errors import AmbiguousMessage, UnknownMessage, UsageError
from .kinds import RUN_STARTED, MailKind
from .letter import Letter, bounced
from .log.blobs import BlobMissing, Blobs, MemoryBlobs
from .log.event import Draft, Event, is_id
from .log.log import Log
from .marks import UNDOES, Mark, last_marks, missing
from .message import Message, Receipt, newest_about, verified
from .process import check_not_in_run
from .query.rows import Projections
from .query.words import searched

_SEQ = r"[1-9][0-9]{0,14}"
_ID = r"[0-9a-f][0-9a-f-]{3,35}"
_TAG = r"\w[\w.:/-]{0,63}"


class Mailbox:
    """The mail of one team. Each call names its persona: a program may act for several.

    `home` is the team's folder: its runs may not read here, as they may not write the log, see `check_not_in_run`.
    `party` is a persona whose mail alone is shown: what it sent or received, and its channels.
    """

    def __init__(
        self,
        log: Log,
        blobs: Blobs,
        projections: Projections,
        directory: Directory | None = None,
        clock: Clock | None = None,
        *,
        home: Path | None = None,
        party: str | None = None,
    ) -> None:
        self.log = log
        self.blobs = blobs
        self.projections = projections
        self.directory = directory or Directory()
        self.home = home
        self.party = party
        self._clock = clock or SystemClock()

    # -- writing

    def send(self, letter: Letter, repeats: list[Event] | None = None) -> Event:
        """Send one message; return its event once it is durable.

        A letter with the key and content of one that was sent before is not sent again: the event is the earlier one,
        and is added to `repeats`. Raises KeyReused for another content, UsageError, UnknownRecipient, UnknownMessage,
        LogError.
        """
        if letter.thread is not None:
            letter = letter._replace(thread=self._id_of(letter.thread, "thread"))
        if letter.reply_to is not None:
            letter = letter._replace(reply_to=self._id_of(letter.reply_to, "id"))
        return self._post(letter, self.directory, repeats)

    def reply(self, letter: Letter, name: str, repeats: list[Event] | None = None, *, everybody: bool = False) -> Event:
        """Answer a message, in its thread: to its sender, or with `everybody` to all of its recipients too.

        The answered message becomes read. The letter's own `to` adds recipients; its subject is "Re: …" if it has none.
        One to a persona that has left the team bounces at once; one to all stays in the channel. `repeats` and errors
        are as for `send`.
        """
        original = self._row(name)
        people = {original["sender"]: None} | dict.fromkeys(original["recipients"] if everybody else ())
        people.pop(letter.sender, None)
        gone = [person for person in people if self._has_left(person)]
        to = [*people, *letter.to] or [letter.sender]
        subject = letter.subject or "Re: " + original["subject"].removeprefix("Re: ")
        answer = letter._replace(to=to, subject=subject, reply_to=original["id"], thread=original["thread"])
        answer = answer._replace(channel=Message.of(original).channel) if everybody else answer
        directory = self.directory
        if gone:
            directory = directory._replace(personas=(directory.personas or frozenset()) | set(gone))
        read: list[Draft] = []
        if letter.sender in original["recipients"]:
            read = self._marks(letter.sender, MailKind.READ, [original["id"]], letter.run)
        event = self._post(answer, directory, repeats, read)
        if gone:
            self.bounce()
        return event

    def bounce(self) -> list[Event]:
        """Return unread mail of personas that have left the roster to its senders, each message once."""
        if self.directory.personas is None:
            return []
        drafts: list[Draft] = []
        for row in self.projections.rows("unreachable", roster=sorted(self.directory.names)):
            drafts += bounced(row, self.directory)
        return [event for event in self.log.append(drafts) if event.kind == MailKind.BOUNCED]

    def mark(self, persona: str, verb: str, names: Sequence[str], run: str | None = None) -> list[Message]:
        """Mark messages `read`, `unread`, `acked`, `archived`, `unarchived`, `trashed` or `restored` for a persona.

        A mark that a message already has is not written again. Raises UnknownMessage, and UsageError for a message
        that the persona did not receive.
        """
        messages = [self._received(persona, name) for name in names]
        kind, flag = MailKind(f"mail.{verb}"), UNDOES.get(verb, verb)
        self.log.append(self._marks(persona, kind, [message.id for message in messages], run))
        return [message._replace(**{flag: flag == verb}) for message in messages]

    def marked_by(self, persona: str, verb: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Say for each of these messages that has a mark which event gave it first: its seq, ts and run.

        Of two runs of a persona that mark a message at once, the first one is named to both.
        """
        self._check_reader()
        last = self._last_marks(persona, MailKind(f"mail.{verb}"), ids)
        return {ref: mark.by for ref, mark in last.items() if mark.by}

    def _marks(self, persona: str, kind: MailKind, ids: Sequence[str], run: str | None) -> list[Draft]:
        """Return the marks that messages still lack."""
        return missing(self._last_marks(persona, kind, ids), persona, kind, run)

    def _last_marks(self, persona: str, kind: MailKind, ids: Sequence[str]) -> dict[str, Mark]:
        rows = self.projections.rows("marks", persona=persona, ids=[*ids]) if ids else []
        return last_marks(rows, kind, ids)

    def _post(
        self, letter: Letter, directory: Directory, repeats: list[Event] | None, marks: Sequence[Draft] = ()
    ) -> Event:
        """Append a letter's draft, and the marks with it.

        Where more than that would be written, a key is looked up first, so that nothing is for one that is in use.
        """
        now = self._clock.now()
        if letter.key and (marks or letter.is_large):
            draft = letter.draft(directory, MemoryBlobs(), now)
            for row in self.projections.rows("message", seq=-1, key=draft.id):
                fields: dict[str, Any] = row | {"data": json.loads(row["data"]), "recipients": tuple(row["recipients"])}
                return letter.repeated(draft, Event(**fields), repeats)
        known: list[Event] = []
        draft = letter.draft(directory, self.blobs, now)
        event = self.log.append([draft, *marks], known)[0]
        return letter.repeated(draft, event, repeats) if event in known else event

    def _id_of(self, name: str, column: str) -> str:
        """Return the id that a message's name stands for, of itself or of its thread; a UUID of no message is one."""
        try:
            return str(self._row(name)[column])
        except UnknownMessage:
            if is_id(name):
                return name
            raise

    def tag(self, persona: str, name: str, tag: str, *, remove: bool = False, run: str | None = None) -> Message:
        """Add one of the persona's own tags to a message, or remove it."""
        if not re.fullmatch(_TAG, tag):
            raise UsageError(f"{tag!r} is not a tag: letters, digits and . : / _ - only, at most 64")
        message = self._received(persona, name)
        if (tag in message.tags) == remove:
            kind = MailKind.UNTAGGED if remove else MailKind.TAGGED
            self.log.append([Draft(kind, persona, ref=message.id, run=run, data={"tag": tag})])
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
        session: str | None = None,
        before: int = ALL,
        limit: int = ALL,
    ) -> list[Message]:
        """List a persona's mail, newest first, without bodies.

        `state` is "inbox", "archived", "trashed" or "all"; `as_of` is an RFC 3339 time in UTC; `before` is a seq.
        """
        self._check_reader()
        rows = self.projections.rows(
            "inbox", persona=persona, unread=unread, state=state, tag=tag, type=type, sender=sender,
            as_of_seq=as_of_seq, as_of_ts=as_of or "~", ids=ids, session=session, before=before, limit=limit,
        )  # fmt: skip
        return self._verified([Message.of(row) for row in rows], persona)

    def channel(
        self, name: str, reader: str | None, *, type: str | None = None, sender: str | None = None, limit: int = ALL
    ) -> list[Message]:
        """List what was said in a channel since its beginning, newest first, without bodies; nothing is marked.

        Flags are those of `reader`, who need not have received it. Raises UnknownRecipient for an unknown channel, and
        UsageError for one that a run's persona is no member of.
        """
        self._check_reader()
        channel = self.directory.checked_channel(name)
        if self.party is not None and self.party not in self.directory.channels[channel]:
            raise UsageError(f"{self.party} is no member of channel {channel}, and runs read only their own channels")
        rows = self.projections.rows("channel", channel=channel, type=type, sender=sender, limit=limit)
        return self._marked(rows, reader)

    def read(self, persona: str, name: str, *, peek: bool = False, run: str | None = None) -> Message:
        """Return a whole message and mark it read, unless `peek` is set or the persona did not receive it."""
        message = self.peek(name, persona)
        return message if peek else self.seen(persona, message, run)

    def peek(self, name: str, persona: str | None = None) -> Message:
        """Return a whole message, with the flags of a persona, if one is given. Raises UnknownMessage, BlobMissing."""
        return self.whole(self._marked([self._row(name)], persona)[0])

    def seen(self, persona: str, message: Message, run: str | None = None) -> Message:
        """Mark a message that was shown as read, if the persona received it. Raises LogError."""
        if persona not in message.recipients or message.read:
            return message
        self.log.append(self._marks(persona, MailKind.READ, [message.id], run))
        return message._replace(read=True)

    def whole(self, message: Message) -> Message:
        """Return a message with its whole body, read from a blob if it is stored in one. Raises BlobMissing."""
        if message.body_blob is None:
            return message
        return message._replace(body=self.blobs.read(message.body_blob).decode(errors="replace"), body_blob=None)

    def with_bodies(self, listed: Sequence[Message], *, blobs: bool = True) -> list[Message]:
        """Return listed messages with their whole bodies; without `blobs`, of long ones only the beginning."""
        bodies = {row["id"]: row["body"] or "" for row in self.projections.rows("messages", ids=[m.id for m in listed])}
        messages = [each._replace(body=bodies.get(each.id, "")) for each in listed]
        return [self._whole_if_stored(message) for message in messages] if blobs else messages

    def attached(self, persona: str, name: str) -> Message:
        """Return the message with attachments that `name` means: a message, or a run that a message is about.

        A message is named by number, id or the beginning of its id; a run by its id or the unique beginning of it, of
        at least 8 characters. A run means the newest message to `persona` with that `run` in its payload and with
        attachments. Raises UnknownMessage, AmbiguousMessage.
        """
        try:
            message = Message.of(self._row(name))
        except UnknownMessage:
            if not (message := newest_about(self.inbox(persona, state="all"), name.strip())):
                raise
        if not message.attachments:
            raise UnknownMessage(f"message {message.seq} has no attachments")
        return message

    def attachment(self, message: Message, name: str | None = None) -> bytes:
        """Return the bytes of one attachment, found as by `Message.attachment`. Raises UsageError, BlobMissing."""
        return self.blobs.read(message.attachment(name)["sha256"])

    def thread_of(self, name: str) -> str:
        """Return the id of a message's thread. Raises UnknownMessage, AmbiguousMessage."""
        return str(self._row(name)["thread"])

    def thread(self, name: str, persona: str | None = None) -> list[Message]:
        """List the whole messages of a message's thread, oldest first."""
        rows = self._shown(self.projections.rows("thread", thread=self.thread_of(name)))
        return [self._whole_if_stored(message) for message in self._marked(rows, persona)]

    def search(
        self, text: str, *, persona: str | None = None, reader: str | None = None, limit: int = 20
    ) -> list[Message]:
        """Find messages by words in subject and body, best match first.

        `persona` restricts the search to its mail; flags are those of `reader`, by default the same persona. Raises
        UsageError for no words, for too many, and for one that is too long.
        """
        words = searched(text)
        self._check_reader()
        rows = self.projections.rows("search", words=words, persona=self.party or persona, limit=limit)
        return self._marked(rows, reader or persona)

    def watch(self, persona: str, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Message]:
        """Yield a persona's mail as it arrives, from now or after seq `after`, until `stop` is set."""
        self._check_reader()
        for event in self.log.follow(after, stop):
            if event.kind == MailKind.SENT and persona in event.recipients:
                (message,) = self._verified([Message.of(event._asdict())], persona)
                yield self._whole_if_stored(message)

    def sent(self, persona: str, *, before: int = ALL, limit: int = ALL) -> list[Receipt]:
        """List what a persona sent, newest first, with its state for each recipient; `before` is a seq."""
        self._check_reader()
        rows = self.projections.rows("sent", persona=persona, before=before, limit=limit)
        states = self.projections.rows("states", ids=[row["id"] for row in rows])
        reached = {(row["ref"], row["persona"]): row for row in states}
        return [Receipt.of(row, reached) for row in rows]

    def export(self, form: str, target: Path, persona: str | None = None) -> int:
        """Write messages, of all or of one persona, as "mbox", "eml" or "jsonl"; return their number."""
        from .archive import export

        self._check_reader()
        events = (e for e in self.log.read() if persona in (None, e.sender, *e.recipients) or e.kind == RUN_STARTED)
        return export.export_as(form, events, self.blobs, target)

    def counts(self) -> list[dict[str, Any]]:
        """Count each persona's mail: rows of persona, total, unread, urgent, archived, trashed."""
        self._check_reader()
        return self.projections.rows("counts")

    def overdue(self) -> list[dict[str, Any]]:
        """List mail past its due date that its recipient (`persona`) has not answered, acked, archived or trashed."""
        self._check_reader()
        rows = self.projections.rows("overdue", now=rfc3339(self._clock.now()))
        return [row for row in rows if self.party in {None, row["sender"], row["persona"]}]

    def unread(self, roster: Sequence[str]) -> list[dict[str, Any]]:
        """List the unread mail of these personas, oldest first.

        Rows of persona, seq, id, ts, sender, subject, type, priority, run.
        """
        self._check_reader()
        return [] if self.projections.lacks('"kind":"mail.') else self.projections.rows("unread", roster=list(roster))

    def stats(self) -> list[dict[str, Any]]:
        """Count events by kind: rows of kind, events, first and last seq, since and until."""
        self._check_reader()
        return self.projections.rows("stats")

    def tags(self, persona: str) -> list[dict[str, Any]]:
        """List a persona's tags: rows of tag, messages."""
        self._check_reader()
        return self.projections.rows("tagged", persona=persona)

    def people(self) -> list[str]:
        """List every sender and recipient of mail so far."""
        self._check_reader()
        return [row["name"] for row in self.projections.rows("people")]

    def _row(self, name: str) -> dict[str, Any]:
        """Return the row of the message with a seq, an id or the beginning of an id."""
        self._check_reader()
        name = name.strip().lower()
        number = int(name) if re.fullmatch(_SEQ, name) else -1
        key = name if number < 0 and re.fullmatch(_ID, name) else "?"
        rows = self._shown(self.projections.rows("message", seq=number, key=key))
        if not rows:
            raise UnknownMessage(f"no message {name!r}; `team-mail inbox` lists their numbers")
        if len(rows) > 1:
            some = ", ".join(str(row["seq"]) for row in rows)
            raise AmbiguousMessage(f"{name!r} names more than one message ({some}, …); use the number")
        return rows[0]

    def _whole_if_stored(self, message: Message) -> Message:
        """Return the full message; replace a missing body with a note so that the other messages are still shown."""
        try:
            return self.whole(message)
        except BlobMissing as error:
            return message._replace(body=f"{message.body}\n[the rest is not here: {error}]\n", body_blob=None)

    def _marked(self, rows: list[dict[str, Any]], persona: str | None) -> list[Message]:
        """Return rows as messages with the persona's flags and tags."""
        if persona is None or not rows:
            return self._verified([Message.of(row) for row in rows], "")
        own = self.projections.rows("flagged", persona=persona, ids=[row["id"] for row in rows])
        flags = {row["id"]: row for row in own}
        return self._verified([Message.of(row, flags.get(row["id"])) for row in rows], persona)

    def _verified(self, messages: list[Message], persona: str) -> list[Message]:
        """Return messages with `verified` as the log says it; `persona` is one whose mailbox is read anyway, or ""."""
        runs = sorted({message.run for message in messages if message.run is not None})
        return verified(messages, self.projections.rows("launched", persona=persona, runs=runs)) if runs else messages

    def _received(self, persona: str, name: str) -> Message:
        message = self._marked([self._row(name)], persona)[0]
        if persona not in message.recipients:
            raise UsageError(f"message {message.seq} is not {persona}'s: it went to {', '.join(message.recipients)}")
        return message

    def _shown(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows that may be shown: without a `party`, all; else its mail, and that of its channels."""
        if self.party is None:
            return rows
        me, own = self.party, self.directory.channels_with(self.party)
        return [row for row in rows if me in {row["sender"], *row["recipients"]} or Message.of(row).channel in own]

    def _check_reader(self) -> None:
        if self.home:
            check_not_in_run(self.home, "reads mail through .team/run alone: use the team-mail of the run")

    def _has_left(self, name: str) -> bool:
        return self.directory.personas is not None and name not in self.directory.names
