"""What the mailbox must answer, folded from the events one by one: slow, and too plain to be wrong."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from team_mail.mail.log.event import Event

FLAGS = ("read", "acked", "archived", "trashed", "answered")
SETS = {"mail.read": "read", "mail.acked": "acked", "mail.archived": "archived", "mail.trashed": "trashed"}
CLEARS = {"mail.unread": "read", "mail.unarchived": "archived", "mail.restored": "trashed"}


class Oracle:
    """The state of all mailboxes after some events, optionally no further than a seq or a time."""

    def __init__(self, events: Iterable[Event], until: int | None = None, until_ts: str | None = None) -> None:
        self.events = [
            event
            for event in events
            if (until is None or event.seq <= until) and (until_ts is None or event.ts <= until_ts)
        ]
        self.messages: list[Event] = []
        self.flags: dict[tuple[str, str], dict[str, bool]] = defaultdict(lambda: dict.fromkeys(FLAGS, False))
        self.held: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.bounced: set[tuple[str, str]] = set()
        for event in self.events:
            self._fold(event)

    def _fold(self, event: Event) -> None:
        own = (event.sender, event.ref or "")
        if event.kind == "mail.sent":
            self.messages.append(event)
            if event.reply_to:
                self.flags[event.sender, event.reply_to]["answered"] = True
        elif event.kind in SETS:
            self.flags[own][SETS[event.kind]] = True
        elif event.kind in CLEARS:
            self.flags[own][CLEARS[event.kind]] = False
        elif event.kind == "mail.tagged":
            self.held[own].add(event.data["tag"])
        elif event.kind == "mail.untagged":
            self.held[own].discard(event.data["tag"])
        elif event.kind == "mail.bounced":
            self.bounced.add((event.data["recipient"], event.ref or ""))

    def seen(self, persona: str, message: Event) -> tuple[Any, ...]:
        """What one message looks like to one persona."""
        flags = self.flags[persona, message.id] if persona in message.recipients else dict.fromkeys(FLAGS, False)
        tags = self.held[persona, message.id] if persona in message.recipients else ()
        return (message.seq, message.subject, *(flags[name] for name in FLAGS), tuple(sorted(tags)))

    def inbox(
        self,
        persona: str,
        *,
        unread: bool = False,
        state: str = "inbox",
        tag: str | None = None,
        type: str | None = None,
        sender: str | None = None,
    ) -> list[tuple[Any, ...]]:
        rows = []
        for message in reversed(self.messages):
            flags = self.flags[persona, message.id]
            where = "trashed" if flags["trashed"] else "archived" if flags["archived"] else "inbox"
            if (
                persona in message.recipients
                and state in ("all", where)
                and not (unread and flags["read"])
                and (tag is None or tag in self.held[persona, message.id])
                and (type is None or type == message.data.get("type", "note"))
                and (sender is None or sender == message.sender)
            ):
                rows.append(self.seen(persona, message))
        return rows

    def sent(self, persona: str) -> list[tuple[int, dict[str, str]]]:
        return [
            (message.seq, {name: self.reached(name, message) for name in message.recipients})
            for message in reversed(self.messages)
            if message.sender == persona
        ]

    def reached(self, name: str, message: Event) -> str:
        if (name, message.id) in self.bounced:
            return "bounced"
        flags = self.flags[name, message.id]
        return next((verb for verb in ("answered", "acked", "read") if flags[verb]), "sent")

    def counts(self) -> list[dict[str, Any]]:
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for message in self.messages:
            for name in message.recipients:
                flags, row = self.flags[name, message.id], rows[name]
                row.update(total=0, unread=0, urgent=0, archived=0, trashed=0)
                if flags["trashed"]:
                    row["trashed"] += 1
                elif flags["archived"]:
                    row["archived"] += 1
                else:
                    row["total"] += 1
                    row["unread"] += not flags["read"]
                    row["urgent"] += not flags["read"] and message.priority == "urgent"
        return [{"persona": name, **rows[name]} for name in sorted(rows)]

    def thread(self, message: Event) -> list[int]:
        return [reply.seq for reply in self.messages if reply.thread == message.thread]

    def hits(self, words: Iterable[str], persona: str | None) -> set[int]:
        return {
            message.seq
            for message in self.messages
            if persona is None or persona in (message.sender, *message.recipients)
            if any(word.lower() in f"{message.subject} {message.body}".lower() for word in words)
        }

    def tags(self, persona: str) -> list[dict[str, Any]]:
        used = Counter(tag for (name, _), tags in self.held.items() if name == persona for tag in tags)
        return [{"tag": tag, "messages": used[tag]} for tag in sorted(used)]

    def overdue(self, now: str) -> list[tuple[int, str]]:
        late = [
            (message.data["due"], message.seq, name)
            for message in self.messages
            for name in message.recipients
            if message.data.get("due", now) < now
            if not any(self.flags[name, message.id][verb] for verb in ("answered", "acked", "archived", "trashed"))
        ]
        return [(seq, name) for _, seq, name in sorted(late)]

    def unreachable(self, names: frozenset[str]) -> list[tuple[str, str]]:
        return sorted(
            (message.id, name)
            for message in self.messages
            for name in message.recipients
            if name not in names and not self.flags[name, message.id]["read"] and (name, message.id) not in self.bounced
        )

    def people(self) -> list[str]:
        return sorted({name for message in self.messages for name in (message.sender, *message.recipients)})

    def stats(self) -> dict[str, int]:
        return dict(Counter(event.kind for event in self.events))


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)
