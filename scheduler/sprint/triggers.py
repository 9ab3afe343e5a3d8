"""When a sprint is due: never before one has ended, then on fresh mail, by `every`, or by `cron`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from ..state.sprints import State
from .decide import StartRequest

_PER_HOUR = 12
_HOUR = timedelta(hours=1)
_BY_MAIL = "unread mail"


class ScheduleSettings(Protocol):
    """What of the `[sprint]` table says when."""

    @property
    def every(self) -> float | None:
        """Seconds from one start to the next."""
        ...

    @property
    def cron(self) -> str | None:
        """A crontab's five fields, in local time."""
        ...


Following = Callable[[str, datetime], datetime]


def due(
    state: State, rhythm: ScheduleSettings, now: datetime, following: Following, mode: str = "auto"
) -> StartRequest:
    """Say what a tick is to do that nobody asked for in person. `following` finds the next time of a cron line."""
    if state.sprint:
        return StartRequest(mode=mode)
    fresh = awaited(state)
    if fresh and not _woken_too_often(state, now):
        return StartRequest(f"{_BY_MAIL} for {', '.join(fresh)}", mode, fresh)
    if not state.sprints:
        return StartRequest("the first sprint", mode)
    at = next_start(state, rhythm, following)
    if at <= now:
        return StartRequest(f'cron = "{rhythm.cron}"' if rhythm.cron else f"every {rhythm.every:g} s", mode)
    return StartRequest(
        mode=mode,
        until=now if fresh else at,
        otherwise=f"the next sprint is due at {at.astimezone():%Y-%m-%d %H:%M:%S}; scheduler sprint starts one now",
    )


def next_start(state: State, rhythm: ScheduleSettings, following: Following) -> datetime:
    """Return when the next sprint is due, counted from the start of the last one."""
    last = datetime.fromisoformat(state.sprints[-1].started)
    return following(rhythm.cron, last) if rhythm.cron else last + timedelta(seconds=rhythm.every or 0)


def awaited(state: State) -> tuple[str, ...]:
    """Name the personas that got mail since the last sprint ended: what that one left unread wakes nobody again."""
    ended = state.sprints[-1].ended if state.sprints else 0
    return tuple(sorted(name for name, mail in state.unread.items() if any(one.seq > ended for one in mail)))


def _woken_too_often(state: State, now: datetime) -> bool:
    """Guard against mail that keeps waking the team, from whatever loop it comes."""
    recent = [one for one in state.sprints if now - datetime.fromisoformat(one.started) < _HOUR]
    return sum(one.reason.startswith(_BY_MAIL) for one in recent) >= _PER_HOUR
