"""Export of mail for other programs: mbox, a folder of .eml files, or JSON lines. The log stays the only record.

A mail reader shows every message exactly as it was sent: header text is plain or in encoded words, bodies are
quoted-printable or base64, so no line of a message can be mistaken for a header, a MIME boundary or mbox's `From `.
"""

from __future__ import annotations

import base64
import json
import quopri
import re
import time
from datetime import datetime
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast
from urllib.parse import quote

from ..directory import SCHEDULER
from ..errors import UsageError
from ..kinds import RUN_STARTED, MailKind
from .backup import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..log.blobs import Blobs
    from ..log.event import Event

_DOMAIN = "team.invalid"  # never resolves (RFC 2606): an exported message cannot be answered by accident
_PRIORITIES = {"urgent": "1", "high": "2", "normal": "3", "low": "4"}
_UNVERIFIED = "unverified"  # a key of the data of events here, and of none in the log
_BOUNDARY = "=_team-mail"  # "=_" is never in quoted-printable or base64 text (RFC 2045, section 6.7)
_EML = re.compile(r"[1-9][0-9]*\.eml")

# C0, DEL, C1, the two separators that Python treats as line ends, and the bidirectional controls.
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"(?!.*=\?)[!-~]+(?: [!-~]+)*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+(?: [A-Za-z0-9_-]+)*")
_PLAIN_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_. -]*")
_DOT_ATOM = re.compile(r"[^.]+(?:\.[^.]+)*")
_LINE = 900  # characters of an unfolded header; a line may have 998 (RFC 5322, section 2.1.1)
_WORD = 45  # bytes in an encoded word, which may have 75 characters (RFC 2047, section 2)
_FILE_NAME = 255  # bytes of the longest file name


class _Verbatim(EmailPolicy):
    """Header values stay as they are set: this module folds and encodes them."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """Return the value unchanged: parsing would decode text that looks like an encoded word."""
        return name, value


_POLICY = _Verbatim(refold_source="none")


def export_as(form: str, events: Iterable[Event], blobs: Blobs, target: Path) -> int:
    """Write the messages among `events` as "mbox", "eml" or "jsonl"; return their number.

    Raises UsageError for another form, and as `export_mbox`.
    """
    forms = {"mbox": export_mbox, "eml": export_eml, "jsonl": export_jsonl}
    if form not in forms:
        raise UsageError(f"format {form!r} must be one of {', '.join(forms)}")
    return forms[form](events, blobs, target)


def export_mbox(events: Iterable[Event], blobs: Blobs, target: Path, *, replace: bool = False) -> int:
    """Write the messages among `events` to one mbox file, atomically; return their number.

    Raises UsageError if the file exists and `replace` is not set, BlobMissing, and LogUnavailable if the disk refuses.
    """
    count = 0
    with whole(target, replaceable=_is_file if replace else None) as path, path.open("xb") as file:
        for count, event in enumerate(_sent(events), 1):  # noqa: B007 - the last count is returned
            file.write(_separator(event) + as_email(event, blobs).as_bytes() + b"\n")
    return count


def export_eml(events: Iterable[Event], blobs: Blobs, target: Path, *, replace: bool = False) -> int:
    """Write the messages among `events` to a folder, atomically, one file `<seq>.eml` each; return their number.

    `replace` replaces only an earlier export, never a folder with other files. Raises as `export_mbox`.
    """
    count = 0
    with whole(target, replaceable=_is_export if replace else None) as path:
        path.mkdir()
        for count, event in enumerate(_sent(events), 1):  # noqa: B007 - the last count is returned
            (path / f"{event.seq}.eml").write_bytes(as_email(event, blobs).as_bytes())
    return count


def export_jsonl(events: Iterable[Event], blobs: Blobs, target: Path | TextIO, *, replace: bool = False) -> int:
    """Write the messages among `events` as one JSON object per line with the whole body; return their number.

    A file is written atomically and raises as `export_mbox`; a stream is written message by message.
    """
    if not isinstance(target, Path):
        return _write_json(events, blobs, target)
    with (
        whole(target, replaceable=_is_file if replace else None) as path,
        path.open("x", encoding="utf-8", newline="\n") as file,
    ):
        return _write_json(events, blobs, file)


def as_email(event: Event, blobs: Blobs) -> EmailMessage:
    """Return a `mail.sent` event as a message of RFC 5322 in ASCII. Raises BlobMissing."""
    mail = EmailMessage(policy=_POLICY)
    for name, value in _headers(event):
        mail[name] = value
    parts = list(_parts(event, blobs))
    text = EmailMessage(policy=_POLICY) if parts else mail
    _put_text(text, _body(event, blobs))
    if parts:
        mail["Content-Type"] = f'multipart/mixed; boundary="{_BOUNDARY}"'
        for part in (text, *parts):
            mail.attach(part)
    return mail


def as_record(event: Event, blobs: Blobs) -> dict[str, Any]:
    """Return a `mail.sent` event as a JSON object with the whole body. Raises BlobMissing."""
    return {
        "id": event.id,
        "seq": event.seq,
        "ts": event.ts,
        "sender": event.sender,
        "recipients": list(event.recipients),
        "cc": _copied(event),
        "subject": event.subject,
        "body": _body(event, blobs).decode(errors="replace"),
        "type": _type(event),
        "priority": event.priority,
        "thread": event.thread,
        "reply_to": event.reply_to,
        "due": event.data.get("due"),
        "payload": event.data.get("payload"),
        "run": event.run,
        "verified": _UNVERIFIED not in event.data,
        "channel": _channel(event),
        "attachments": _attachments(event),
    }


def _sent(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the messages; one that names a run which is none of its sender's is marked in its data."""
    owners: dict[str | None, object] = {}
    for event in events:
        if event.kind == RUN_STARTED and event.sender == SCHEDULER:
            owners.setdefault(event.run, event.data.get("persona"))
        elif event.kind == MailKind.SENT:
            wrong = event.run is not None and owners.get(event.run) != event.sender
            yield event._replace(data={**event.data, _UNVERIFIED: True}) if wrong else event


def _write_json(events: Iterable[Event], blobs: Blobs, stream: TextIO) -> int:
    count = 0
    for count, event in enumerate(_sent(events), 1):  # noqa: B007 - the last count is returned
        stream.write(json.dumps(as_record(event, blobs), ensure_ascii=False) + "\n")
    return count


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_export(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    return all(_EML.fullmatch(item.name) and _is_file(item) for item in path.iterdir())


def _separator(event: Event) -> bytes:
    """Return mbox's line before a message: sender and date as `asctime` writes it, in UTC (RFC 4155)."""
    moment = time.asctime(datetime.fromisoformat(event.ts).utctimetuple())
    return f"From {_local(event.sender)}@{_DOMAIN} {moment}\n".encode()


# -- the `data` of an event, which is whatever the sender wrote: malformed parts are left out


def _body(event: Event, blobs: Blobs) -> bytes:
    blob = event.data.get("body_blob")
    return blobs.read(str(blob["sha256"])) if blob else event.body.encode()


def _type(event: Event) -> str:
    return str(event.data.get("type", "note"))


def _channel(event: Event) -> str | None:
    channel = event.data.get("channel")
    return channel if isinstance(channel, str) else None


def _copied(event: Event) -> list[str]:
    named = event.data.get("cc")
    return [name for name in event.recipients if name in named] if isinstance(named, list) else []


def _attachments(event: Event) -> list[dict[str, Any]]:
    listed = event.data.get("attachments")
    items = cast("list[Any]", listed) if isinstance(listed, list) else []
    known = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
    return [{"name": str(i.get("name", "")), "sha256": str(i.get("sha256")), "size": i.get("size")} for i in known]


# -- header fields


def _headers(event: Event) -> Iterator[tuple[str, str]]:
    copied = _copied(event)
    yield "From", _address(event.sender)
    yield "To", _addresses(name for name in event.recipients if name not in copied) or "undisclosed-recipients:;"
    if copied:
        yield "Cc", _addresses(copied)
    yield "Subject", _text(event.subject)
    yield "Date", format_datetime(datetime.fromisoformat(event.ts))
    yield "Message-ID", _message_id(event.id)
    if event.reply_to:
        yield "In-Reply-To", _message_id(event.reply_to)
    if above := dict.fromkeys(name for name in (event.thread, event.reply_to) if name and name != event.id):
        yield "References", "\n ".join(map(_message_id, above))
    yield "X-Priority", _PRIORITIES.get(event.priority, "3")
    yield "X-Team-Mail-Seq", str(event.seq)
    yield "X-Team-Mail-Type", _text(_type(event))
    if event.run:
        yield "X-Team-Mail-Run", _text(event.run)
    if _UNVERIFIED in event.data:
        yield "X-Team-Mail-Unverified", "yes"
    if channel := _channel(event):
        yield "X-Team-Mail-Channel", _text(channel)
    if due := event.data.get("due"):
        yield "X-Team-Mail-Due", _text(str(due))
    yield "MIME-Version", "1.0"


def _text(text: str) -> str:
    """Return text for a header: plain text unchanged, other text in encoded words; control characters are spaces."""
    text = _CONTROLS.sub(" ", text)
    return text if len(text) <= _LINE and _PLAIN.fullmatch(text) else "\n ".join(_words(text))


def _words(text: str) -> Iterator[str]:
    """Split text into encoded words, each of whole characters."""
    word = b""
    for character in text:
        more = character.encode()
        if len(word) + len(more) > _WORD:
            yield _word(word)
            word = b""
        word += more
    if word:
        yield _word(word)


def _word(data: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(data).decode()}?="


def _addresses(names: Iterable[str]) -> str:
    return ",\n ".join(map(_address, names))


def _address(name: str) -> str:
    shown = _CONTROLS.sub(" ", name)
    if len(shown) > _LINE or not _PLAIN_NAME.fullmatch(shown):
        shown = "\n ".join(_words(shown))
    return f"{shown} <{_local(name)}@{_DOMAIN}>"


def _message_id(id: str) -> str:
    return f"<{_local(id)}@{_DOMAIN}>"


def _local(text: str) -> str:
    """Return any text as the local part of an address: characters that are not allowed there are %-encoded."""
    escaped = quote(text, safe="")
    return (escaped if _DOT_ATOM.fullmatch(escaped) else escaped.replace(".", "%2E")) or "%"


# -- parts of the body


def _parts(event: Event, blobs: Blobs) -> Iterator[EmailMessage]:
    if (payload := event.data.get("payload")) is not None:
        yield _file("application/json", "payload.json", json.dumps(payload, ensure_ascii=False, indent=2).encode())
    for item in _attachments(event):
        yield _file("application/octet-stream", item["name"], blobs.read(item["sha256"]))


def _put_text(part: EmailMessage, data: bytes) -> None:
    """Set UTF-8 text as the content of a part, so that it decodes to the same bytes."""
    part["Content-Type"] = 'text/plain; charset="utf-8"'
    foreign = len(data.translate(None, bytes(range(128))))
    if b"\r" in data or foreign * 4 > len(data):
        part["Content-Transfer-Encoding"] = "base64"
        part.set_payload(base64.encodebytes(data).decode())
        return
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = quopri.encodestring(data) + (b"=\n" if data and not data.endswith(b"\n") else b"")
    part.set_payload(re.sub(rb"(?m)^From ", b"=46rom ", lines).decode())


def _file(content_type: str, name: str, data: bytes) -> EmailMessage:
    part = EmailMessage(policy=_POLICY)
    part["Content-Type"] = content_type
    part["Content-Transfer-Encoding"] = "base64"
    part["Content-Disposition"] = f"attachment; {_file_name(name)}"
    part.set_payload(base64.encodebytes(data).decode())
    return part


def _file_name(name: str) -> str:
    """Return the last part of a file name as a parameter (RFC 2231), so that it cannot name another folder."""
    name = _CONTROLS.sub("_", re.split(r"[/\\]", name)[-1]).encode()[-_FILE_NAME:].decode(errors="ignore")
    if name in ("", ".", ".."):
        name = "attachment"
    return f'filename="{name}"' if _PLAIN_FILE.fullmatch(name) else f"filename*=utf-8''{quote(name, safe='')}"
