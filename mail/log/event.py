"""One line of the log: an immutable event, its bytes, and the strict rules of the writer.

Every line has all keys, in the same order. `hash` is SHA-256, cut to 128 bits, of the line's bytes before `,"hash":`,
and `prev` is the hash of the previous line, so the log is a chain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring as quoted
from math import isfinite
from typing import Any, NamedTuple, cast

from ..errors import InvalidEvent
from ..kinds import MailKind

VERSION = 1
SYSTEM = "team-mail"  # the sender of the events that the log writes about itself
GENESIS = "0" * 32
MAX_LINE = 1 << 20
MAX_DEPTH = 32
MAX_INTEGER = 1 << 53
PRIORITIES = ("low", "normal", "high", "urgent")

# Patterns are strings, compiled on first use: compiling them here would slow down every start.
_KIND = r"[a-z]+\.[a-z]+"
_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_HEAD = b'{"v":1,"seq":'
_SEQ_DIGITS = 16
_HASH_MARK = b',"hash":"'
_SEAL = len(_HASH_MARK) + 32 + len(b'"}')  # what follows the hashed bytes
_PREV = slice(-33, -1)  # of the hashed bytes: they end in "prev":"<32 hex>"


class Draft(NamedTuple):
    """An event to write, without its position in the log.

    `id` is a UUID that the caller chooses, to make sending idempotent; with None the log generates one. Whoever knows
    that no event before a seq can have it says so by `since`: the log is searched from there on.
    """

    kind: str
    sender: str
    recipients: tuple[str, ...] = ()
    subject: str = ""
    body: str = ""
    thread: str | None = None
    reply_to: str | None = None
    priority: str = "normal"
    ref: str | None = None
    run: str | None = None
    data: dict[str, Any] = {}  # noqa: RUF012 - the data of a draft is never changed
    id: str | None = None
    since: int = 0


class Event(NamedTuple):
    """An event of the log; a tuple, because there are millions of them."""

    v: int
    seq: int
    id: str
    ts: str
    kind: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    body: str
    thread: str | None
    reply_to: str | None
    priority: str
    ref: str | None
    run: str | None
    data: dict[str, Any]
    prev: str
    hash: str


class ChainPosition(NamedTuple):
    """The position of a line in the chain, as its bytes give it."""

    seq: int
    prev: str
    hash: str


START = ChainPosition(0, "", GENESIS)


class Unsealed(NamedTuple):
    """A validated, serialised event that lacks only its position: `seq`, `prev` and `hash`."""

    id: str
    ts: str
    thread: str | None
    middle: bytes
    draft: Draft

    def seal(self, before: ChainPosition) -> tuple[bytes, ChainPosition]:
        """Return the line, with its newline, at the position after `before`, and that position."""
        seq, prev = before.seq + 1, before.hash
        hashed = b'{"v":1,"seq":%d,"id":%b,"prev":"%b"' % (seq, self.middle, prev.encode())
        digest = sha256(hashed).hexdigest()[:32]
        return b'%b,"hash":"%b"}\n' % (hashed, digest.encode()), ChainPosition(seq, prev, digest)

    def event(self, place: ChainPosition) -> Event:
        """Return the event at a position that `seal` returned."""
        d = self.draft
        return Event(
            VERSION, place.seq, self.id, self.ts, d.kind, d.sender, d.recipients, d.subject, d.body,
            self.thread, d.reply_to, d.priority, d.ref, d.run, d.data, place.prev, place.hash,
        )  # fmt: skip


def in_session(drafts: Sequence[Draft], session: str | None) -> Sequence[Draft]:
    """Return drafts that bear the name of a session in their data; one that names a session itself keeps that."""
    if session is None:
        return drafts
    return [draft._replace(data={"session": session} | draft.data) for draft in drafts]


def serialise(draft: Draft, ts: str) -> Unsealed:
    """Validate a draft and serialise the part of its line that does not depend on its position.

    Raises InvalidEvent for anything that some reader of the log could not process.
    """
    own_id = new_id() if draft.id is None else _checked_id(draft.id)
    kind, thread, priority = draft.kind, draft.thread, draft.priority
    if thread is None and kind == MailKind.SENT:
        thread = own_id
    _check_kind(kind)
    if priority not in PRIORITIES:
        raise InvalidEvent(f"priority {priority!r} must be one of {', '.join(PRIORITIES)}")
    if len(draft.recipients) > 1 and len(set(draft.recipients)) != len(draft.recipients):
        raise InvalidEvent(f"a recipient is named twice: {', '.join(draft.recipients)}")
    reply_to, ref, run, data = draft.reply_to, draft.ref, draft.run, draft.data
    try:
        middle = (
            f'"{own_id}","ts":"{ts}","kind":"{kind}","sender":{quoted(draft.sender)},'
            f'"recipients":[{",".join(map(quoted, draft.recipients))}],"subject":{quoted(draft.subject)},'
            f'"body":{quoted(draft.body)},"thread":{"null" if thread is None else quoted(thread)},'
            f'"reply_to":{"null" if reply_to is None else quoted(reply_to)},"priority":"{priority}",'
            f'"ref":{"null" if ref is None else quoted(ref)},"run":{"null" if run is None else quoted(run)},'
            f'"data":{_payload(data) if data else "{}"}'
        ).encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent(f"a lone surrogate is not text: {error.reason}") from None
    if b"\\u0000" in middle and b"\0" in "".join(_texts(draft)).encode():
        raise InvalidEvent("a NUL character is not text; send it as an attachment")
    if len(middle) + 200 > MAX_LINE:
        raise InvalidEvent(f"the event has {len(middle)} bytes, the limit is {MAX_LINE}; attach the rest as a file")
    return Unsealed(own_id, ts, thread, middle, draft)


def place(line: bytes) -> ChainPosition | None:
    """Return the position of a line, given without its newline; None if its hash does not verify."""
    hashed, seal = line[:-_SEAL], line[-_SEAL:]
    if not seal.startswith(_HASH_MARK) or not seal.endswith(b'"}'):
        return None
    digest = seal[9:41].decode("ascii", "replace")
    seq = hashed[len(_HEAD) : hashed.find(b",", len(_HEAD))]
    if (
        not hashed.startswith(_HEAD)
        or not seq.isdigit()
        or len(seq) > _SEQ_DIGITS
        or sha256(hashed).hexdigest()[:32] != digest
    ):
        return None
    return ChainPosition(int(seq), hashed[_PREV].decode("ascii", "replace"), digest)


def decode(line: bytes) -> Event | None:
    """Parse a line, given without its newline; None if it does not verify or is not an event."""
    if place(line) is None:
        return None
    try:
        fields = json.loads(line)
        fields["recipients"] = tuple(fields["recipients"])
        event = Event(**fields)
        "".join((event.id, event.ts, event.kind, event.sender, *event.recipients, event.subject, event.body)).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return event if isinstance(event.data, dict) else None  # pyright: ignore[reportUnnecessaryIsInstance]


def derived_id(*parts: str) -> str:
    """Return an id derived from a caller's key: the same parts give the same id (a UUIDv8, RFC 9562 section 5.8)."""
    digest = bytearray(sha256("\0".join(parts).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_id() -> str:
    """Return a new id: a UUIDv7, which begins with the time."""
    from uuid_utils import uuid7  # readers do without it

    return str(uuid7())


def strict_json(text: str) -> Any:
    """Parse JSON strictly, without duplicate keys or NaN. Raises InvalidEvent."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_not_a_number)
    except RecursionError:
        raise InvalidEvent(f"JSON is nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise InvalidEvent(f"not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise InvalidEvent(f"JSON has the key {twice!r} twice")
    return result


def _not_a_number(word: str) -> None:
    raise InvalidEvent(f"{word} is not JSON")


@lru_cache(maxsize=64)
def _check_kind(kind: str) -> None:
    if not re.fullmatch(_KIND, kind):
        raise InvalidEvent(f"kind {kind!r} is not of the form noun.verb, lower case")


def is_id(text: str) -> bool:
    """Tell whether a text is an id: a UUID in lower case."""
    return re.fullmatch(_ID, text) is not None


def _checked_id(text: str) -> str:
    if not is_id(text):
        raise InvalidEvent(f"id {text!r} is not a UUID in lower case")
    return text


def _texts(draft: Draft) -> list[str]:
    optional = (draft.thread, draft.reply_to, draft.ref, draft.run)
    return [draft.sender, *draft.recipients, draft.subject, draft.body, *filter(None, optional), *_strings(draft.data)]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        return [*held, *(text for item in held.values() for text in _strings(item))]
    if isinstance(value, list):
        return [text for item in cast("list[Any]", value) for text in _strings(item)]
    return []


def _payload(data: dict[str, Any]) -> str:
    check_json(data)
    return _ENCODER.encode(data)


def check_json(value: Any, most: int = MAX_DEPTH) -> None:
    """Raise InvalidEvent if a value is not JSON that every reader of the log can process.

    `most` is the number of levels of nesting that are allowed. NUL in text is not checked here.
    """
    _check_json(value, most, 1)


def _check_json(value: Any, most: int, depth: int) -> None:
    if isinstance(value, dict):
        held = cast("dict[Any, Any]", value)
        for key in held:
            if not isinstance(key, str):
                raise InvalidEvent(f"a key of data is {key!r}, not text")
        items, texts = [*held.values()], [*held]
    else:
        items, texts = cast("list[Any]", value) if isinstance(value, list) else [value], list[str]()
        depth -= not isinstance(value, list)
    if items and depth >= most:
        raise InvalidEvent(f"data is nested deeper than {most}")
    for item in items:
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, dict | list):
            _check_json(item, most, depth + 1)
        else:
            _check_scalar(item)
    _check_text("".join(texts))  # at once: half of a surrogate stays one beside the other half


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent(f"a lone surrogate is not text: {error.reason}") from None


def _check_scalar(value: Any) -> None:
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise InvalidEvent(f"integer {value} is beyond 2^53 and would not survive every reader")
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidEvent("NaN and infinity are not JSON")
    elif value is not None:
        raise InvalidEvent(f"data holds a {type(value).__name__}, which is not JSON")
