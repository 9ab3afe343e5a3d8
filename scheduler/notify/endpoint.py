"""One endpoint of notices: its outbox, its channel, and the record of each attempt."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from ...mail.clock import rfc3339
from ...mail.directory import SCHEDULER
from ...mail.letter import Letter
from ...mail.log.event import Draft, Event, derived_id, new_id
from ...mail.text.units import counted
from ..context import Context
from ..errors import SettingsError
from ..kinds import NEEDS_ME, Kind
from ..leader import leading_anywhere
from ..liveness import is_led
from ..overview.needs import reader_of
from ..settings.file import read_toml
from ..settings.notify import NotifySettings
from ..state.facts import Fact
from ..state.reading import read_notices, read_recent
from .channel import Answer, Channel, Message, make_channel
from .content import body, is_urgent, text, title, trial_body
from .lost import Signs
from .outbox import PAUSES, Notice, Outbox

_LOOK = 5.0  # seconds between two looks at what was lost


class Endpoint:
    """Sends the notices of one table `[notify.NAME]`, one after the other; threads may share it."""

    def __init__(self, name: str, context: Context, channel: Channel, since: int) -> None:
        self.name = name
        self.context = context
        self._settings = context.settings.notify[name]
        self._channel = channel
        self.outbox = Outbox(name, self._settings.on, reader_of(context), since)
        self._signs = Signs(is_led)
        self._looked = float("-inf")
        self._lock = threading.Lock()
        self._own: set[str] = set()  # ids of what was written here and not read yet

    def recall(self, facts: Iterable[Fact]) -> None:
        """Take in what came of earlier notices."""
        for fact in facts:
            self.outbox.settle(fact)

    def add(self, event: Event) -> None:
        """Take in the next event of the log."""
        with self._lock:
            if event.id in self._own:
                self._own.discard(event.id)
            else:
                self.outbox.add(event)

    def step(self) -> tuple[Answer | None, float | None]:
        """Send what is due; return what came of it, and the seconds until the next notice is due, None if none waits.

        Raises LogError.
        """
        now = self.context.clock.now()
        with self._lock:
            self.outbox.look(self._look(), now)
            notice, wait = self.outbox.turn(now)
        if notice is None:
            return None, wait
        message = Message(
            notice.id, body(notice, self._settings.console), title(notice), text(notice), is_urgent(notice), now
        )
        began = time.monotonic()
        answer = self._channel.send(message)
        drafts = self._drafts(notice, answer, time.monotonic() - began)
        with self._lock:
            self._own |= {str(draft.id) for draft in drafts}
        events = self.context.append(drafts)
        with self._lock:
            for event in events:
                self.outbox.settle(event)
        return answer, wait

    def _look(self) -> Signs:
        """Look at what is alive, at most every five seconds: claims and the lock of deployments are on disk."""
        now = self.context.clock.monotonic()
        if NEEDS_ME in self._settings.on and now - self._looked >= _LOOK:
            deploying = leading_anywhere(self.context.home / "work" / "deploy", self.context.mailbox.log) is not None
            self._signs, self._looked = Signs(is_led, deploying, self.context.claims.moment().over()), now
        return self._signs

    def _drafts(self, notice: Notice, answer: Answer, seconds: float) -> list[Draft]:
        """Return the event of an attempt; before that of the last one, a mail to the human."""
        attempt = notice.attempts + 1
        data: dict[str, Any] = {
            "notify": self.name, "notice": notice.id, "occasion": notice.occasion, "attempt": attempt,
            "events": [event.id for event in notice.events], "seconds": round(seconds, 3),
        }  # fmt: skip
        kind = Kind.NOTICE_FAILED if answer.why else Kind.NOTICE_SENT
        own = derived_id(kind, self.name, notice.id, str(attempt), str(self.outbox.last_sent))
        if not answer.why:
            return [Draft(kind, SCHEDULER, ref=notice.ref, data=data, id=own)]
        again = None if answer.is_gone or attempt > len(PAUSES) else PAUSES[attempt - 1]
        data |= {"why": answer.why, "gone": answer.is_gone, "again": again}
        failed = Draft(kind, SCHEDULER, ref=notice.ref, data=data, id=own)
        return [failed] if again is not None else [self._complaint(answer, attempt), failed]

    def _complaint(self, answer: Answer, attempt: int) -> Draft:
        """Write to the human that nothing arrives, once until something does."""
        waiting = counted(self.outbox.waiting, "notice")
        tried = "switched itself off" if answer.is_gone else f"was tried {attempt} times"
        lines = [
            f"A notice to [notify.{self.name}] did not arrive: {answer.why}.",
            f"It {tried}; {waiting} to it {'waits' if self.outbox.waiting == 1 else 'wait'} now.",
            "",
            f"    team notify test {self.name}      tries it once more; if it succeeds, notices go there again",
        ]
        letter = Letter(
            SCHEDULER, [self.context.settings.team.human], f"Notices to {self.name} do not arrive", "\n".join(lines),
            type="escalate", payload={"notify": self.name}, key=f"notify {self.name} {self.outbox.last_sent}",
        )  # fmt: skip
        return letter.draft(self.context.mailbox.directory, self.context.mailbox.blobs)


def open_endpoints(context: Context) -> tuple[list[Endpoint], int]:
    """Open the endpoints of the settings; return them, and the last seq of the log that they know.

    One that the log does not know begins now: what happened before is no news. Raises SettingsError with the line of
    what keeps one from working, and LogError.
    """
    channels = {name: checked_channel(context, name) for name in context.settings.notify}
    if not channels:
        return [], context.mailbox.log.head().seq
    human = context.settings.team.human
    drafts = [_opening(name, table, human) for name, table in context.settings.notify.items()]
    opened = context.append(drafts)
    since = {name: event.seq for name, event in zip(channels, opened, strict=True)}
    endpoints = [Endpoint(name, context, channel, since[name]) for name, channel in channels.items()]
    projections, first = context.mailbox.projections, min(since.values())
    facts, recent = read_notices(projections, first), read_recent(projections, first, context.clock.now())
    for endpoint in endpoints:
        endpoint.recall(fact for fact in facts if fact.seq < recent)
    last = recent - 1
    for event in context.mailbox.log.read(last):
        last = event.seq
        for endpoint in endpoints:
            endpoint.add(event)
    return endpoints, last


def checked_channel(context: Context, name: str) -> Channel:
    """Make the channel of a table. Raises SettingsError with its line if it cannot work."""
    channel = make_channel(context.settings.notify[name], context.home.absolute().parent)
    if trouble := channel.trouble():
        key, why = trouble
        place = f"team.toml:{read_toml(context.home).line(('notify', name, key))}"
        raise SettingsError(f"{place}: notify.{name}.{key} {why}")
    return channel


def send_test(context: Context, name: str) -> Answer:
    """Send a notice that says that it is a test; if it arrives, an endpoint that was switched off is on again.

    Raises SettingsError, LogError.
    """
    channel, table = checked_channel(context, name), context.settings.notify[name]
    own, now = new_id(), context.clock.now()
    context.append([_opening(name, table, context.settings.team.human)])
    content = trial_body(name, own, rfc3339(now), table.console)
    sent = Message(own, content, f"A test of [notify.{name}]", "It arrived.", is_urgent=False, at=now)
    answer = channel.send(sent)
    if not answer.why:
        data: dict[str, Any] = {"notify": name, "notice": own, "occasion": "test", "attempt": 1, "events": []}
        context.append([Draft(Kind.NOTICE_SENT, SCHEDULER, data=data)])
    return answer


def _opening(name: str, table: NotifySettings, human: str) -> Draft:
    """Return the event from which on notices go to an endpoint: one for each address, however often it is opened."""
    own = derived_id(Kind.NOTICE_OPENED, name, table.kind, table.url or "", "\0".join(table.command or ()), human)
    return Draft(Kind.NOTICE_OPENED, SCHEDULER, data={"notify": name, "kind": table.kind}, id=own)
