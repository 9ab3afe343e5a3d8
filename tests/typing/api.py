"""Read by the type checker, not run: what a user of the public API is told their values are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from team_mail import (
    Agent,
    Blobs,
    Clock,
    CommandAgent,
    Directory,
    Dispatcher,
    Draft,
    Event,
    EventLog,
    Letter,
    Log,
    Mailbox,
    ManualClock,
    MemoryLog,
    Message,
    Plan,
    Receipt,
    ReplayAgent,
    ScriptedAgent,
    Summary,
    SystemClock,
    Ticker,
    Wish,
    Workshop,
    get_inbox,
    open_workshop,
    run_sprint,
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

agents: list[Agent] = [CommandAgent("shell", ("true",)), ReplayAgent(Path("patches")), ScriptedAgent({})]
shop = open_workshop(Path(".team"))
assert_type(shop, Workshop)
ticker = Ticker(shop, Dispatcher(shop))
assert_type(ticker.plan(Wish()), Plan)
assert_type(run_sprint(ticker, Wish("asked for", "parallel")), Summary | None)
