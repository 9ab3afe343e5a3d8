"""How mail looks: plain lines in a pipe, tables and colour on a terminal, one JSON document when asked.

What agents wrote is data: control, bidirectional and invisible characters are shown escaped.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any, TextIO, cast

from .directory import PROGRAMS
from .log.blobs import Blobs
from .log.event import Event
from .log.log import EventLog
from .log.verify import Damage, Inspection
from .message import Message

# C0 but newline and tab, DEL and C1; bidirectional controls; zero-width, filling, annotating, tag and line separator
# characters; variation selectors, which can carry hidden text, but for the one of emoji; halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_BREAKS = re.compile(r"[\n\t]")


def clean(text: str) -> str:
    r"""Show what would steer a terminal or hide from a reader: `\x1b`, `\u202e`. Newlines and tabs stay."""
    return _UNSAFE.sub(_escaped, text)


def line(text: str) -> str:
    """Show text within one line."""
    return _BREAKS.sub(_escaped, clean(text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(match[0])
    return known or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")  # noqa: PLR2004


def document(value: Any, out: TextIO | None = None) -> None:
    """Write one JSON document; a terminal gets ASCII only."""
    out = _open(out)
    out.write(_json(value, out, indent=2))


def _finite(value: Any) -> Any:
    """Say null for the numbers that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast("list[Any]", value)]
    return value


def json_line(value: Any, out: TextIO | None = None) -> None:
    """Write one JSON document on a line of its own, at once: for streams."""
    out = _open(out)
    out.write(_json(value, out))
    out.flush()


def _open(out: TextIO | None) -> TextIO:
    return sys.stdout if out is None else out


def _json(value: Any, out: TextIO, indent: int | None = None) -> str:
    ascii_only = out.isatty() or (out.encoding or "").lower() != "utf-8"
    text = json.dumps(_finite(value), ensure_ascii=ascii_only, indent=indent, default=str)
    return text.encode(errors="backslashreplace").decode() + "\n"


def listing(message: Message) -> str:
    """Return the plain line of a list."""
    flag = "READ " if message.read else " NEW "
    return f"[{flag}] {message.seq} | From: {line(message.sender)} | Subject: {line(message.subject)}"


def messages(found: Sequence[Message], empty: str, out: TextIO | None = None) -> None:
    """Write a list of messages: a table on a terminal, else a line each."""
    out = _open(out)
    if not out.isatty():
        out.writelines(listing(message) + "\n" for message in found)
    elif found:
        rows = [
            ("" if m.read else "●", str(m.seq), m.ts[:16].replace("T", " "), m.sender, m.subject, _notes(m))
            for m in found
        ]
        table(("", "no", "sent (UTC)", "from", "subject", ""), rows, out)
    else:
        print(empty, file=sys.stderr)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO | None = None) -> None:
    """Write a table on a terminal, else tab-separated lines without a heading."""
    out = _open(out)
    texts = [[line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not out.isatty():
        out.writelines("\t".join(row) + "\n" for row in texts)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, box=None, header_style="dim", pad_edge=False)
    for row in texts:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(file=out, no_color="NO_COLOR" in os.environ or None).print(drawn)


def whole(message: Message, blobs: Blobs, out: TextIO | None = None, *, indent: str = "") -> None:
    """Write a whole message: a heading, an empty line, the body, which among others is indented: none can forge one."""
    out = _open(out)
    heading = [
        ("Message", f"{message.seq}  {message.id}"),
        ("From", message.sender if message.run or message.sender in PROGRAMS else f"{message.sender} (not from a run)"),
        ("To", ", ".join(name for name in message.recipients if name not in message.cc)),
        ("Cc", ", ".join(message.cc)),
        ("Date", message.ts),
        ("Subject", message.subject),
        ("Type", message.type if message.type != "note" else ""),
        ("Priority", message.priority if message.priority != "normal" else ""),
        ("Due", message.due or ""),
        ("In-Reply-To", message.reply_to or ""),
        ("Tags", ", ".join(message.tags)),
        *(("Attachment", f"{a['name']} ({a['size']} bytes) {blobs.path(a['sha256'])}") for a in message.attachments),
        ("Payload", json.dumps(message.payload, ensure_ascii=False) if message.payload is not None else ""),
    ]
    out.writelines(f"{name}: {line(str(value))}\n" for name, value in heading if value)
    body = re.sub("(?m)^(?=.)", indent, clean(message.body))
    out.write(f"\n{body}" + ("" if body.endswith("\n") else "\n"))


def thread(found: Sequence[Message], blobs: Blobs, out: TextIO | None = None) -> None:
    """Write messages whole, one below the other."""
    out = _open(out)
    for message in found:
        whole(message, blobs, out, indent="    ")
        out.write("\n")


def log(source: EventLog, after: int, kind: str | None, limit: int | None, *, follow: bool, as_json: bool) -> None:
    """Write events: of one kind or of a noun's kinds, the last so many, or on and on."""
    damage: list[Damage] = []
    events = (
        event
        for event in (source.follow(after) if follow else source.read(after, damage))
        if kind is None or event.kind == kind or event.kind.startswith(f"{kind}.")
    )
    if follow:
        for event in events:
            json_line(event._asdict()) if as_json else print(_event(event), flush=True)
        return
    shown = deque(events, maxlen=limit) if limit else events
    if as_json:
        document([event._asdict() for event in shown])
    else:
        sys.stdout.writelines(_event(event) + "\n" for event in shown)
    if damage:
        print(f"team-mail: {len(damage)} damaged lines skipped; see team-mail verify", file=sys.stderr)


def _event(event: Event) -> str:
    about = event.subject or event.ref or ""
    to = f" -> {','.join(event.recipients)}" if event.recipients else ""
    return line(f"{event.seq} {event.ts} {event.kind} {event.sender}{to} {about}".rstrip())


def inspection(found: Inspection, *, as_json: bool) -> None:
    """Write what `verify` found."""
    if as_json:
        places = [{"file": d.path.name, "offset": d.offset, "seq": d.seq, "reason": d.reason} for d in found.corrupt]
        document({"events": found.events, "head": found.place.seq, "damage": places, "unfinished_bytes": found.torn})
        return
    for damage in found.corrupt:
        print(damage)
    if found.corrupt:
        print(f"team-mail: {len(found.corrupt)} damaged; appends wait for team-mail repair", file=sys.stderr)
    else:
        tail = f"; {found.torn} bytes of an unfinished append will be set aside" if found.torn else ""
        print(f"{found.events} events hold, up to {found.place.seq}{tail}")


def digest(found: Sequence[Message], budget: int) -> str:
    """Tell of unread mail in at most `budget` characters: how much, then the most urgent and newest first."""
    urgency = {"urgent": 0, "high": 1, "normal": 2, "low": 3}
    text = f"{len(found)} unread"
    left = len(found)
    for message in sorted(found, key=lambda m: (urgency[m.priority], -m.seq)):
        mark = f" ({message.priority})" if urgency[message.priority] < 2 else ""  # noqa: PLR2004
        entry = f"\n{message.seq}{mark} {line(message.sender)}: {line(message.subject)}"
        rest = f"\n… and {left - 1} more" if left > 1 else ""
        if len(text) + len(entry) + len(rest) > budget:
            break
        text, left = text + entry, left - 1
    more = f"\n… and {left} more" if 0 < left < len(found) else ""
    return (text + more)[:budget]


def _notes(message: Message) -> str:
    priority = () if message.priority == "normal" else (message.priority,)
    kind = () if message.type == "note" else (message.type,)
    acked = ("acked",) if message.acked else ()
    return " ".join((*priority, *kind, *acked, *(f"#{tag}" for tag in message.tags)))
