"""Read by the type checker, not run: what a user of the public API is told their values are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from team_mail import (
    Blobs,
    Clock,
    Directory,
    Draft,
    Event,
    EventLog,
    Letter,
    Log,
    Mailbox,
    ManualClock,
    MemoryLog,
    Message,
    Receipt,
    SystemClock,
    get_inbox,
    send_message,
)

clocks: list[Clock] = [SystemClock(), ManualClock()]
logs: list[Log] = [EventLog(Path("mail"), clock=clocks[0]), MemoryLog(clock=clocks[1])]
assert_type(logs[0].append([Draft("mail.sent", "boss", ("curator",))]), list[Event])
assert_type(logs[0].read(after=3), Iterator[Event])

mailbox = Mailbox(MemoryLog(), Blobs(Path("blobs")), Directory(frozenset({"curator"})))
assert_type(mailbox.send(Letter("boss", ["curator"], "Work")), Event)
assert_type(mailbox.inbox("curator", unread=True), list[Message])
assert_type(mailbox.read("curator", "2").body, str)
assert_type(mailbox.sent("boss"), list[Receipt])
assert_type(mailbox.watch("curator"), Iterator[Message])

assert_type(send_message("boss", "curator", "Work", "…", attachments=["plan.md"]), str)
assert_type(get_inbox("curator"), list[dict[str, Any]])
