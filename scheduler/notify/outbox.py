"""What is to be sent to one endpoint, and when: a fold over the events of the log, which says what was sent, too.

The cursor is `notice.sent` and `notice.failed`, so whoever folds the same events sends what the one before left. What
needs the human is gathered for five seconds into one notice, which bears the id of its first event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from ...mail.directory import PROGRAMS, SCHEDULER
from ...mail.kinds import MailKind
from ...mail.log.event import Event, derived_id
from ..kinds import NEEDS_ME, NOTICES, Kind, is_writer
from ..needs import Need, Reader, mail_need, need_of
from ..state.facts import Fact
from .lost import Signs, UnderWay

GATHER = timedelta(seconds=5)
PAUSES = (5, 30, 120, 600, 3_600, 21_600)  # seconds after each attempt that failed, but the last
OLDEST = timedelta(days=1)  # what is older is no news
_DOWN = 3  # attempts that failed in a row, after which one notice is tried and the others wait
_MOST = 100  # events in a notice
_OF_MAIL = frozenset(MailKind)


@dataclass(frozen=True)
class Notice:
    """What is sent at once. `occasion` is a kind of event, or `needs-me`; `needs` are the lines of the latter.

    `ref` is the event that it is about, `due` the time of the next attempt, and `attempts` how many have failed.
    """

    id: str
    occasion: str
    ref: str
    events: tuple[Event, ...]
    due: datetime
    needs: tuple[Need, ...] = ()
    attempts: int = 0

    @property
    def lines(self) -> list[Need]:
        """What needs the human, each once."""
        return _distinct(zip(self.events, self.needs, strict=True))


class Turn(NamedTuple):
    """The notice that is due, if one is, and the seconds until the next one is; None if none waits."""

    notice: Notice | None
    wait: float | None


class Outbox:
    """The notices of one endpoint. `on` are its occasions; events up to the seq `since` are no news to it."""

    def __init__(self, name: str, on: Sequence[str], reader: Reader, since: int) -> None:
        self.name = name
        self.last_sent = since
        self.is_gone = False
        self._on, self._reader, self._since = frozenset(on), reader, since
        self._pending: dict[str, Notice] = {}
        self._open: str | None = None  # the notice that still gathers
        self._failures = 0
        self._under_way = UnderWay()
        self._settled: set[str] = set()  # notices of what was lost

    @property
    def waiting(self) -> int:
        """How many notices are not sent yet."""
        return len(self._pending)

    def add(self, event: Event) -> None:
        """Fold the next event of the log."""
        if event.kind in NOTICES:
            self.settle(event)
        elif event.seq > self._since:
            self._take(event)

    def settle(self, event: Event | Fact) -> None:
        """Fold what came of a notice of this endpoint; of others, nothing."""
        data = event.data
        if event.sender != SCHEDULER or event.run or data.get("notify") != self.name or event.seq <= self._since:
            return
        if event.kind == Kind.NOTICE_SENT:
            self._failures, self.is_gone, self.last_sent = 0, False, event.seq
        elif event.kind == Kind.NOTICE_FAILED:
            self._failures += 1
            self.is_gone = self.is_gone or data.get("gone") is True
        else:
            return
        notice = self._pending.pop(str(data.get("notice")), None)
        again = data.get("again")
        if notice is None:
            self._settled.add(str(data.get("notice")))
        else:
            self._keep(notice, _texts(data.get("events")), event, again)

    def _keep(self, notice: Notice, sent: Sequence[str], event: Event | Fact, again: object) -> None:
        """Put back what was not in the attempt, and all of it if there will be another."""
        done = [pair for pair in _pairs(notice) if pair[0].id in sent]
        late = [pair for pair in _pairs(notice) if pair[0].id not in sent]
        if self._open == notice.id:
            self._open = None
        if event.kind == Kind.NOTICE_FAILED and isinstance(again, int | float) and done:
            due = datetime.fromisoformat(event.ts) + timedelta(seconds=again)
            events, needs = tuple(pair[0] for pair in done), tuple(need for _, need in done if need)
            self._pending[notice.id] = replace(
                notice, events=events, needs=needs, due=due, attempts=notice.attempts + 1
            )  # fmt: skip
        elif notice.id != notice.ref:
            self._settled.add(notice.id)
        for each, need in late:
            if need:
                self._gather(each, need)

    def _take(self, event: Event) -> None:
        if event.kind in self._on and (event.kind in _OF_MAIL or is_writer(event.kind, event.sender, event.run)):
            moment = datetime.fromisoformat(event.ts)
            self._pending[event.id] = Notice(event.id, event.kind, event.id, (event,), moment)
        elif NEEDS_ME in self._on:
            if (need := need_of_event(event, self._reader)) and not self._is_own_mail(event):
                self._gather(event, need)
            self._under_way.add(event)

    def _is_own_mail(self, event: Event) -> bool:
        """Tell whether a mail says that this endpoint is not reached, of which it need not be told."""
        payload = event.data.get("payload")
        own = isinstance(payload, dict) and cast("dict[str, Any]", payload).get("notify") == self.name
        return own and event.kind == MailKind.SENT and event.sender == SCHEDULER

    def _gather(self, event: Event, need: Need) -> None:
        moment = datetime.fromisoformat(event.ts)
        group = self._pending.get(self._open or "")
        if group and not group.attempts and moment < group.due and len(group.events) < _MOST:
            more = replace(group, events=(*group.events, event), needs=(*group.needs, need))
            self._pending[group.id] = more
            return
        self._open = event.id
        self._pending[event.id] = Notice(event.id, NEEDS_ME, event.id, (event,), moment + GATHER, (need,))

    def look(self, signs: Signs, now: datetime) -> None:
        """Find what was lost without an event; each is a notice of its own."""
        if NEEDS_ME not in self._on:
            return
        for event, need in self._under_way.lost(signs):
            own = derived_id("cut off", event.id)
            if own not in self._settled and own not in self._pending:
                self._pending[own] = Notice(own, NEEDS_ME, event.id, (event,), now, (need,))

    def turn(self, now: datetime) -> Turn:
        """Return what to do now. What is older than a day is left out."""
        for notice in [*self._pending.values()]:
            if notice.id == notice.ref and _age(notice, now) > OLDEST:
                del self._pending[notice.id]
        if self.is_gone or not self._pending:
            return Turn(None, None)
        notices = [*self._pending.values()]
        if self._failures >= _DOWN:
            notices = [max(notices, key=lambda notice: notice.attempts)]
        first = min(notices, key=lambda notice: notice.due)
        longest = PAUSES[first.attempts - 1] if first.attempts else GATHER.total_seconds()
        wait = min((first.due - now).total_seconds(), longest)  # whatever became of the clock
        return Turn(first, 0.0) if wait <= 0 else Turn(None, wait)


def _age(notice: Notice, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(notice.events[0].ts)


def need_of_event(event: Event, reader: Reader) -> Need | None:
    """Return what an event asks of the human, be it mail or of the engine; None if nothing."""
    if event.kind != MailKind.SENT:
        return need_of(event, reader)
    if reader.human not in event.recipients:
        return None
    type_ = str(event.data.get("type") or "note")
    return mail_need(
        reader, event.seq, event.id, event.sender, event.subject, type=type_, priority=event.priority, run=event.run
    )  # fmt: skip


def _distinct(needs: Iterable[tuple[Event, Need]]) -> list[Need]:
    """Leave out what was said before of the same matter, and the mails of programs that say it, too."""
    pairs = [*needs]
    matters = tuple({need.about for _, need in pairs if need.about})
    own = [need for event, need in pairs if not (_is_by_program(event) and _key(event).endswith(matters))]
    return [*{need.key: need for need in own}.values()]


def _is_by_program(event: Event) -> bool:
    return event.kind == MailKind.SENT and event.sender in PROGRAMS


def _key(event: Event) -> str:
    return str(event.data.get("key", ""))


def _pairs(notice: Notice) -> list[tuple[Event, Need | None]]:
    needs: Sequence[Need | None] = notice.needs or (None,) * len(notice.events)
    return [*zip(notice.events, needs, strict=True)]


def _texts(value: object) -> list[str]:
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else []
