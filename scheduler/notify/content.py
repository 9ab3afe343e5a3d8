"""What a notice says: the JSON for programs, and title and text for people. Nothing in it is longer than 64 KiB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...mail.log.event import Event
from ...mail.text.escape import line
from ..kinds import NEEDS_ME
from ..needs import Need
from .outbox import Notice

LIMIT = 64 << 10  # bytes of the JSON
_TEXT = 4 << 10  # bytes of a text in it
_LONGEST = 200  # characters of a title
_LINES = 20  # of a text for people
_CUT = " […]"


def body(notice: Notice, console: str | None = None) -> bytes:
    """Return the JSON of a notice: the event as its line in the log, or what needs the human with all its events.

    Texts are cut at 4 KiB. What is still too long loses its `data`, then its last events, and all needs but 20. `links`
    has the console.
    """
    links = {"links": {"console": console}} if console else {}
    if notice.occasion != NEEDS_ME:
        return _fitting(lambda data, _: _line(notice.events[0], data=data) | links, 1)
    head = {"id": notice.id, "ts": notice.events[0].ts, "kind": NEEDS_ME, "subject": title(notice)}
    needs = [_need(need) for need in notice.lines]

    def document(data: bool, most: int) -> dict[str, Any]:
        events = [_line(each, data=data) for each in notice.events[:most]]
        return head | {"needs": needs if most else needs[:_LINES], "events": events} | links

    return _fitting(document, len(notice.events))


def trial_body(name: str, id: str, ts: str, console: str | None = None) -> bytes:
    """Return the JSON of a notice that says nothing but that it arrived."""
    links = {"links": {"console": console}} if console else {}
    return _encoded({"id": id, "ts": ts, "kind": "notice.test", "subject": f"A test of [notify.{name}]"} | links)


def title(notice: Notice) -> str:
    """Return what a notice is about, in one line."""
    if notice.occasion != NEEDS_ME:
        event = notice.events[0]
        return short(f"{event.kind}: {event.subject}" if event.subject else event.kind)
    needs = notice.lines
    return short(needs[0].text) if len(needs) == 1 else f"{len(needs)} things need you"


def text(notice: Notice) -> str:
    """Return the lines for people; texts of mail and of agents are not among them."""
    if notice.occasion != NEEDS_ME:
        event = notice.events[0]
        said = (f"{name}: {value}" for name, value in event.data.items() if isinstance(value, str | int | float))
        return "\n".join([f"from {event.sender}", *map(short, said)][:_LINES])
    lines = [f"- {short(need.text)}: {line(need.command)}" for need in notice.lines]
    more = len(lines) - _LINES
    return "\n".join(lines[:_LINES] + ([f"and {more} more"] if more > 0 else []))


def short(text: str) -> str:
    """Return text as one line of at most 200 characters, without anything that could control a terminal."""
    text = line(text.strip())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def is_urgent(notice: Notice) -> bool:
    """Tell whether something in it cannot wait."""
    return any(need.urgent for need in notice.needs)


def _fitting(document: Callable[[bool, int], dict[str, Any]], count: int) -> bytes:
    """Encode the largest of the documents that fit: with data and all events, without data, with fewer events."""
    for data, most in ((True, count), *((False, most) for most in range(count, 0, -1))):
        encoded = _encoded(document(data, most))
        if len(encoded) <= LIMIT:
            return encoded
    return _encoded(document(False, 0))


def _line(event: Event, *, data: bool) -> dict[str, Any]:
    """Return an event as its line in the log has it, but for long texts and the chain of hashes."""
    fields: dict[str, Any] = event._asdict() | {"recipients": [*event.recipients]}
    del fields["prev"], fields["hash"]
    fields |= {"subject": _cut(event.subject), "body": _cut(event.body)}
    return fields if data else fields | {"data": {"cut": True}, "recipients": fields["recipients"][:50]}


def _need(need: Need) -> dict[str, Any]:
    return need.document() | {"text": short(need.text), "subject": need.subject and short(need.subject)}


def _cut(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= _TEXT:
        return text
    return encoded[: _TEXT - len(_CUT.encode())].decode(errors="ignore") + _CUT


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
