"""When a sprint is due: once the last one has ended, on fresh mail, by `every`, or by `cron`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from ..kinds import ModeRequest
from ..limits.parking import Parked
from ..state.facts import Mail
from ..state.sprints import State
from .decide import StartRequest

_PER_HOUR = 12
_HOUR = timedelta(hours=1)
_BY_MAIL = "unread mail"


class ScheduleSettings(Protocol):
    """The settings of the `[sprint]` table that say when sprints start."""

    @property
    def every(self) -> float | None:
        """Seconds from one start to the next; None with `cron`."""
        ...

    @property
    def cron(self) -> str | None:
        """The five fields of a crontab line, in local time."""
        ...

    @property
    def wakes_not(self) -> tuple[str, ...]:
        """The types of mail that starts no sprint."""
        ...


NOBODY: Mapping[str, Parked] = {}
Following = Callable[[str, datetime], datetime]


def due(
    state: State,
    settings: ScheduleSettings,
    now: datetime,
    following: Following,
    mode: str = ModeRequest.AUTO,
    *,
    parked: Mapping[str, Parked] = NOBODY,
) -> StartRequest:
    """Return the request of a tick that no person asked for. `following` finds the next time of a cron line.

    Mail starts no sprint for those who are `parked` until a time.
    """
    if state.sprint:
        return StartRequest(mode=mode)
    waiting = awaited(state, settings.wakes_not)
    fresh = tuple(name for name in waiting if name not in parked)
    if fresh and (_is_of_people(state, fresh, settings.wakes_not) or not _woken_too_often(state, now)):
        return StartRequest(f"{_BY_MAIL} for {', '.join(fresh)}", mode, fresh)
    if not state.sprints:
        return StartRequest("the first sprint", mode)
    at = next_start(state, settings, now, following)
    if at <= now:
        return StartRequest(f'cron = "{settings.cron}"' if settings.cron else f"every {settings.every:g} s", mode)
    return StartRequest(
        mode=mode,
        until=now if fresh else min([at, *(parked[name].until for name in waiting)]),
        otherwise=f"the next sprint is due at {at.astimezone():%Y-%m-%d %H:%M:%S}; scheduler sprint starts one now",
    )


def next_start(state: State, settings: ScheduleSettings, now: datetime, following: Following) -> datetime:
    """Return when the next sprint is due, counted from the start of the last one.

    A sprint that a clock dated into the future counts for nothing if a time of the schedule lies between: the clock was
    wrong, and that time would be left out. Without any other, the next sprint is due.
    """

    def after(moment: datetime) -> datetime:
        return following(settings.cron, moment) if settings.cron else moment + timedelta(seconds=settings.every or 0)

    for sprint in reversed(state.sprints):
        started = datetime.fromisoformat(sprint.started)
        if started - now <= _HOUR or after(now) > started:
            return after(started)
    return now


def awaited(state: State, never: Collection[str]) -> tuple[str, ...]:
    """Name the personas that got mail since the last sprint ended; mail that it left unread starts no sprint.

    Nor does mail of the types in `never`.
    """
    return tuple(sorted(name for name in state.unread if any(_fresh(state, name, never))))


def _fresh(state: State, name: str, never: Collection[str]) -> Iterator[Mail]:
    """Yield the waking mail of a persona that came since the end of the last sprint was decided.

    What programs wrote from then until that was on record belongs to that sprint.
    """
    last = state.sprints[-1] if state.sprints else None
    for mail in state.waking(name, never):
        if last is None or mail.seq > last.ended or (mail.seq > last.seen and not mail.is_of_program):
            yield mail


def _is_of_people(state: State, names: Collection[str], never: Collection[str]) -> bool:
    """Tell whether somebody who is in no run has written to one of these since the last sprint: that is no loop."""
    mails = (mail for name in names for mail in _fresh(state, name, never))
    return any(mail.run is None and not mail.is_of_program for mail in mails)


def _woken_too_often(state: State, now: datetime) -> bool:
    """Tell whether mail has started the most sprints allowed in an hour, which stops endless loops of mail."""
    recent = [sprint for sprint in state.sprints if abs(now - datetime.fromisoformat(sprint.started)) < _HOUR]
    return sum(sprint.reason.startswith(_BY_MAIL) for sprint in recent) >= _PER_HOUR
