"""Output of mail: plain lines in a pipe, tables and colour on a terminal, one JSON document with `--json`.

Text of agents is data: control, bidirectional and invisible characters are escaped.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

from .directory import PROGRAMS
from .text.escape import clean, line
from .text.units import and_more, counted

if TYPE_CHECKING:
    from .log.event import Event
    from .log.log import Log
    from .log.verify import Damage, Inspection
    from .message import Message

_SHOWN = 3  # names of a list


def listed(names: Sequence[str], most: int = _SHOWN) -> str:
    """Join names with commas, cleaned; of more than `most`, the first ones and the number of the rest."""
    shown = ", ".join(map(line, names[:most]))
    return f"{shown} {and_more(len(names) - most)}" if len(names) > most else shown


def document(value: Any, out: TextIO | None = None) -> None:
    """Write one JSON document; on a terminal in ASCII."""
    out = _open(out)
    out.write(_json(value, out, indent=2))


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): finite(item) for name, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in cast("list[Any]", value)]
    return value


def json_line(value: Any, out: TextIO | None = None) -> None:
    """Write one JSON document on a line and flush: for streams."""
    out = _open(out)
    out.write(_json(value, out))
    out.flush()


def _open(out: TextIO | None) -> TextIO:
    return sys.stdout if out is None else out


def _json(value: Any, out: TextIO, indent: int | None = None) -> str:
    ascii_only = out.isatty() or (out.encoding or "").lower() != "utf-8"
    text = json.dumps(finite(value), ensure_ascii=ascii_only, indent=indent, default=str)
    return text.encode(errors="backslashreplace").decode() + "\n"


def listing(message: Message, reader: str = "") -> str:
    """Return the line of a message in a plain list; one that a `reader` did not receive is neither new nor read."""
    channel = f"Channel: {line(message.channel)} | " if message.channel else ""
    head = f"[{_flag(message, reader):^5}] {message.seq} | From: {line(sender(message))}"
    return f"{head} | {channel}Subject: {line(message.subject)}"


def sender(message: Message) -> str:
    """Return a message's sender, and that it is not verified if it is not."""
    return message.sender if message.verified else f"{message.sender} (unverified)"


def messages(listed: Sequence[Message], empty: str, out: TextIO | None = None, *, reader: str = "") -> None:
    """Write a list of messages: a table on a terminal, else a line each; `empty` goes to stderr on a terminal.

    What a `reader` did not receive is marked neither new nor read.
    """
    out = _open(out)
    if not out.isatty():
        out.writelines(listing(message, reader) + "\n" for message in listed)
    elif listed:
        rows = [
            ("●" * (_flag(m, reader) == "NEW"), str(m.seq), _minute(m), sender(m), m.subject, _notes(m)) for m in listed
        ]
        table(("", "no", "sent (UTC)", "from", "subject", ""), rows, out)
    else:
        print(empty, file=sys.stderr)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    out: TextIO | None = None,
    *,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Write a table on a terminal, else tab-separated lines without a header.

    Cells that are a key of `colours` have that colour on a terminal.
    """
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
        drawn.add_row(*(Text(cell, (colours or {}).get(cell, "")) for cell in row))
    Console(file=out, no_color="NO_COLOR" in os.environ or None).print(drawn)


def lines(texts: Iterable[str], colours: Mapping[str, str], out: TextIO | None = None) -> None:
    """Write lines; on a terminal, the words of the first one that are keys of `colours` have that colour."""
    out = _open(out)
    if not out.isatty():
        out.writelines(f"{clean(text)}\n" for text in texts)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, no_color="NO_COLOR" in os.environ or None, highlight=False, soft_wrap=True)
    for number, text in enumerate(texts):
        shown = Text(clean(text))
        for word, colour in colours.items() if number == 0 else ():
            shown.highlight_regex(rf"(?<=  ){re.escape(word)}(?=  |$)", colour)
        console.print(shown)


def whole(message: Message, out: TextIO | None = None, *, indent: str = "") -> None:
    """Write a whole message: headers, an empty line, the body.

    In a thread the body is indented, so that it cannot forge the headers of another message.
    """
    out = _open(out)
    heading = [
        ("Message", f"{message.seq}  {message.id}"),
        ("From", _from(message)),
        ("To", ", ".join(name for name in message.recipients if name not in message.cc)),
        ("Cc", ", ".join(message.cc)),
        ("Channel", message.channel or ""),
        ("Date", message.ts),
        ("Subject", message.subject),
        ("Type", message.type if message.type != "note" else ""),
        ("Priority", message.priority if message.priority != "normal" else ""),
        ("Due", message.due or ""),
        ("In-Reply-To", message.reply_to or ""),
        ("Tags", ", ".join(message.tags)),
        *(("Attachment", text) for text in _attachments(message)),
        ("Payload", json.dumps(message.payload, ensure_ascii=False) if message.payload is not None else ""),
    ]
    out.writelines(f"{name}: {line(str(value))}\n" for name, value in heading if value)
    body = re.sub("(?m)^(?=.)", indent, clean(message.body))
    out.write(f"\n{body}" + ("" if body.endswith("\n") else "\n"))


def _from(message: Message) -> str:
    """Return a sender as far as it is known where it comes from."""
    if not message.verified:
        return f"{message.sender} (unverified sender: the run that it names is none of {message.sender}'s)"
    return message.sender if message.run or message.sender in PROGRAMS else f"{message.sender} (not from a run)"


def attachments(message: Message, out: TextIO | None = None) -> None:
    """Write the list of a message's attachments: number, name, size in bytes."""
    rows = [(number, item["name"], item["size"]) for number, item in enumerate(message.attachments, 1)]
    table(("", "name", "bytes"), rows, out)


def _attachments(message: Message) -> list[str]:
    """Describe each attachment, with the command that writes its bytes."""
    several = len(message.attachments) > 1
    return [
        f"{item['name']} ({item['size']} bytes): team-mail attachment {message.seq}{f' {number}' if several else ''}"
        for number, item in enumerate(message.attachments, 1)
    ]


def thread(messages: Sequence[Message], out: TextIO | None = None) -> None:
    """Write whole messages, one after the other."""
    out = _open(out)
    for message in messages:
        whole(message, out, indent="    ")
        out.write("\n")


def log(source: Log, after: int, kind: str | None, limit: int | None, *, follow: bool, as_json: bool) -> None:
    """Write the events after seq `after`: of one kind or of all kinds of a noun, the last `limit`, or endlessly."""
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
        print(f"team-mail: {counted(len(damage), 'damaged line')} skipped; see team-mail verify", file=sys.stderr)


def _event(event: Event) -> str:
    about = event.subject or event.ref or ""
    to = f" -> {','.join(event.recipients)}" if event.recipients else ""
    return line(f"{event.seq} {event.ts} {event.kind} {event.sender}{to} {about}".rstrip())


def inspection(result: Inspection) -> None:
    """Write the result of `verify`."""
    for damage in result.corrupt:
        print(damage)
    if result.corrupt:
        count = counted(len(result.corrupt), "damaged place")
        print(f"team-mail: {count}; appends are refused until team-mail repair", file=sys.stderr)
    else:
        tail = f"; {counted(result.torn, 'byte')} of an unfinished append will be quarantined" if result.torn else ""
        print(f"{counted(result.events, 'event')} verified, up to {result.place.seq}{tail}")


def _flag(message: Message, reader: str) -> str:
    return "" if reader and reader not in message.recipients else "READ" if message.read else "NEW"


def _minute(message: Message) -> str:
    return message.ts[:16].replace("T", " ")


def _notes(message: Message) -> str:
    priority = () if message.priority == "normal" else (message.priority,)
    kind = () if message.type == "note" else (message.type,)
    acked = ("acked",) if message.acked else ()
    channel = (f"@{message.channel}",) if message.channel else ()
    return " ".join((*channel, *priority, *kind, *acked, *(f"#{tag}" for tag in message.tags)))
