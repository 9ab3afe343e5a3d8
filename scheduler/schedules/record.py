"""What is on record of each schedule: up to when its times are accounted for, and the firing that has no end yet.

`fold_schedules` is pure over facts; `read_schedules` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ...mail.clock import rfc3339
from ...mail.log.event import derived_id
from ...mail.query.rows import Projections
from ..kinds import Kind
from ..state.facts import Fact
from ..state.fold import fact_of
from ..state.form import counts


@dataclass(frozen=True)
class Firing:
    """One time at which a schedule was carried out: which one was `at` hand, and who does it.

    `id` is that of its event. `outcome` is None until it has ended; `dispatch` or `sprint` is what it was.
    """

    id: str
    at: datetime
    fired: datetime
    supervisor: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outcome: str | None = None
    why: str = ""
    dispatch: str | None = None
    sprint: int | None = None


@dataclass(frozen=True)
class Record:
    """What is on record of a schedule.

    Times count from `since`, as `spec` says, and all up to `covered` were carried out, or said to be missed. `last` is
    the newest firing, and `fired` has the times of those after `covered`, which a clock that was set back leaves.
    `missed` counts all times that were.
    """

    spec: str
    since: datetime
    covered: datetime
    paused: str | None = None
    last: Firing | None = None
    missed: int = 0
    fired: frozenset[datetime] = frozenset()


def fold_schedules(facts: Iterable[Fact]) -> dict[str, Record]:
    """Fold facts, in the order of the log, into a record of each schedule that was ever known."""
    records: dict[str, Record] = {}
    fired: dict[str, list[datetime]] = {}
    for fact in facts:
        if counts(fact):
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                name = str(fact.data["name"])
                records[name] = _add(name, records.get(name), fact, fired.setdefault(name, []))
    return records


def firing_id(name: str, at: datetime) -> str:
    """Return the id of the event by which a time of a schedule is carried out: whoever writes it first does it."""
    return derived_id(Kind.SCHEDULE_FIRED, name, rfc3339(at))


def _add(name: str, record: Record | None, fact: Fact, fired: list[datetime]) -> Record:
    data = fact.data
    if fact.kind == Kind.SCHEDULE_KNOWN:
        since = _time(data["since"])
        before = record or Record("", since, since)
        ahead = frozenset(at for at in fired if at > since)
        return replace(before, spec=str(data["spec"]), since=since, covered=since, fired=ahead)
    if record is None:
        raise KeyError(fact.kind)
    if fact.kind == Kind.SCHEDULE_FIRED:
        at = _time(data["at"])
        fired.append(at)
        firing = Firing(firing_id(name, at), at, _time(fact.ts), data["supervisor"])
        covered = record.covered if data.get("asked") else max(record.covered, at)
        return replace(record, covered=covered, last=firing)
    return _RULES[fact.kind](record, fact)


def _missed(record: Record, fact: Fact) -> Record:
    covered = max(record.covered, _time(fact.data["last"]))
    return replace(record, covered=covered, missed=record.missed + int(fact.data["count"]))


def _ended(record: Record, fact: Fact) -> Record:
    if record.last is None or record.last.id != fact.ref:
        return record
    data = fact.data
    ended = replace(
        record.last, outcome=str(data["outcome"]), why=str(data["why"]), dispatch=data.get("dispatch"),
        sprint=data.get("sprint"),
    )  # fmt: skip
    return replace(record, last=ended)


def _paused(record: Record, fact: Fact) -> Record:
    return replace(record, paused=f"paused by {fact.sender} at {fact.ts[:19]}Z")


def _resumed(record: Record, fact: Fact) -> Record:
    """Let times count again: those in between are accounted for by the pause."""
    return replace(record, paused=None, covered=max(record.covered, _time(fact.ts)))


_RULES: Mapping[str, Callable[[Record, Fact], Record]] = {
    Kind.SCHEDULE_MISSED: _missed,
    Kind.SCHEDULE_ENDED: _ended,
    Kind.SCHEDULE_PAUSED: _paused,
    Kind.SCHEDULE_RESUMED: _resumed,
}


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time


def read_schedules(projections: Projections) -> dict[str, Record]:
    """Read the record of each schedule."""
    return fold_schedules(map(fact_of, projections.rows("scheduler.state.schedules")))
