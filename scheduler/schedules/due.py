"""When a schedule is due: a pure function of what is on record, of the settings, and of the time.

Each time of a schedule is accounted for once: it is carried out, or said to be missed. So a restart, a clock that is
set, and the hour that summer time takes or gives back leave nothing out and do nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import floor

from ..settings.schedules import ScheduleSettings
from .record import Record

ON_TIME = timedelta(minutes=1)  # so late, a time is no missed one
_SET_BACK = timedelta(days=1)  # so far ahead of the clock, what is on record is no reason to wait
_MOST = 1_000  # times that are counted one by one
_NOBODY = "nobody was there"
Following = Callable[[str, datetime], datetime]


@dataclass(frozen=True)
class Missed:
    """Times that were not carried out: the first and the last of them, how many, and why.

    There may be `more` than were counted. `previous` is the time before the last.
    """

    first: datetime
    last: datetime
    count: int
    why: str
    more: bool = False
    previous: datetime | None = None


@dataclass(frozen=True)
class Due:
    """What is to be done about a schedule now.

    `known` is why times are to count from now, "" if they count already. `fire` is the time that is carried out, and
    `next` the one after that; None if there is none, because it is paused.
    """

    known: str = ""
    missed: Missed | None = None
    fire: datetime | None = None
    next: datetime | None = None


def due(schedule: ScheduleSettings, record: Record | None, now: datetime, following: Following, *, going: str) -> Due:
    """Return what to do about a schedule.

    Args:
        schedule: Its settings.
        record: What is on record of it; None before it was first seen.
        now: The time, in UTC.
        following: Finds the next time of a line of cron after another.
        going: Why its last firing has not ended, "" if it has.
    """
    if record and record.paused:
        return Due()
    known = _why_known(schedule, record, now)
    if record is None or known:
        return Due(known, next=following_time(schedule, now, now, following))
    passed = _passed(schedule, record, now, following)
    later = following_time(schedule, record.since, max(now, record.covered), following)
    return _decided(schedule, passed, now - passed.last > ON_TIME, later, going) if passed else Due(next=later)


def _why_known(schedule: ScheduleSettings, record: Record | None, now: datetime) -> str:
    """Return why times are to count from now; "" if they count already."""
    if record is None:
        return "it is new"
    if record.spec != schedule.spec:
        return f"it was {record.spec}"
    return "the clock was set back" if record.covered - now > _SET_BACK else ""


def _decided(schedule: ScheduleSettings, passed: Missed, late: bool, later: datetime, going: str) -> Due:
    """Decide what becomes of times that have passed; the last of them may be `late`."""
    if going and schedule.overlap == "wait":
        return Due(next=passed.last)
    if going or (late and schedule.on_missed == "skip"):
        return Due(missed=replace(passed, why=going or _NOBODY), next=later)
    return Due(missed=_before_last(passed, late=late), fire=passed.last, next=later)


def _before_last(passed: Missed, *, late: bool) -> Missed | None:
    """Return what is missed of times of which the last one is carried out; None if that was the only one."""
    if passed.count == 1:
        return None
    why = f"{_NOBODY}; the last one is made up for" if late else _NOBODY
    return replace(passed, last=passed.previous or passed.last, count=passed.count - 1, why=why)


def _passed(schedule: ScheduleSettings, record: Record, now: datetime, following: Following) -> Missed | None:
    """Return the times since `covered`, None if there are none."""
    times: list[datetime] = []
    time = record.covered
    while (time := following_time(schedule, record.since, time, following)) <= now:
        if time not in record.fired:
            times.append(time)
        if len(times) == _MOST:
            last = _last(schedule, record.since, now, following)
            return Missed(times[0], last, _MOST, "", more=last > time, previous=time)
    if not times:
        return None
    return Missed(times[0], times[-1], len(times), "", previous=times[-2] if len(times) > 1 else None)


def _last(schedule: ScheduleSettings, since: datetime, now: datetime, following: Following) -> datetime:
    """Return the last time that is not after now, of many."""
    back = timedelta(minutes=1)
    while (time := following_time(schedule, since, now - back, following)) > now:
        back *= 2
    while (later := following_time(schedule, since, time, following)) <= now:
        time = later
    return time


def following_time(schedule: ScheduleSettings, since: datetime, after: datetime, following: Following) -> datetime:
    """Return the first time of a schedule after another, in UTC; those of `every` count from `since`."""
    if schedule.every:
        every = timedelta(seconds=schedule.every)
        return since + every * (floor((after - since) / every) + 1)
    return following(schedule.cron or "", after).astimezone(UTC)
