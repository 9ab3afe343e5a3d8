"""The daemon: APScheduler calls at the times of the settings, fresh mail calls at once, SIGTERM ends it cleanly.

One job, one instance: a call that comes while a sprint is running is left out and said so, and calls that were missed
become one, for what is due is read from the log each time.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from ...mail.directory import PROGRAMS
from ...mail.errors import TeamMailError
from ...mail.letter import Letter
from ..context import Context
from ..errors import SettingsError
from ..state.summary import Summary
from . import idle
from .loop import run_sprint
from .tick import Ticker
from .triggers import due, next_start

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_JOB = "sprint"
_AGAIN = timedelta(seconds=0.5)
_LONGEST = timedelta(days=1)  # a day ahead is far enough: then it is looked at again


def following(cron: str, after: datetime) -> datetime:
    """Return the first time of a crontab line after another time. Raises SettingsError for one that never comes."""
    found = cast(
        "datetime | None", _trigger(cron).get_next_fire_time(None, after.astimezone() + timedelta(microseconds=1))
    )
    if found is None:
        raise SettingsError(f"sprint.cron {cron!r} names a day that never comes; correct it in team.toml")
    return found


def _trigger(cron: str) -> Any:
    """Read a crontab line as cron does: where day and weekday are both limited, either of them will do."""
    minute, hour, day, month, weekday = cron.split()
    days, weekdays = ("*", _weekdays(weekday)) if weekday != "*" else ("*", "*"), (day, "*")
    fields = [pair for pair in (days, weekdays) if pair != ("*", "*")] or [("*", "*")]
    return OrTrigger([CronTrigger(minute=minute, hour=hour, month=month, day=on, day_of_week=at) for on, at in fields])


def _weekdays(field: str) -> str:
    """Spell a field of weekdays out by name: APScheduler counts them from Monday, cron from Sunday, twice."""
    found: set[int] = set()
    for part in field.lower().split(","):
        ends, _, step = part.partition("/")
        first, _, last = ends.replace("*", "0-6").partition("-")
        low = _day(first)
        high = _day(last) if last else (6 if step else low)
        found |= {number % 7 for number in range(low, (high or 7 if last else high) + 1, int(step or 1))}
    return ",".join(_DAYS[number] for number in sorted(found))


def _day(text: str) -> int:
    return int(text) if text.isdigit() else _DAYS.index(text)


class Daemon:
    """A leader that goes on until it is told to end. `say` gets one line for people at each turn of events.

    `reopen` makes the workshop anew, for settings and personas that change meanwhile.
    """

    def __init__(
        self,
        ticker: Ticker,
        reopen: Callable[[], Context],
        say: Callable[[str], object],
        ended: Callable[[Summary], object],
    ) -> None:
        self._ticker = ticker
        self._reopen = reopen
        self._say = say
        self._ended = ended
        self._seen = self._digest()
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._scheduler = BackgroundScheduler(job_defaults={"misfire_grace_time": None, "coalesce": True})
        self._failed: BaseException | None = None

    def end(self) -> None:
        """End the runs under way, give them up, and come back from `run`; may be called from a signal's handler."""
        self._stop.set()
        self._ticker.dispatcher.end()

    def run(self) -> None:
        """Lead until `end`. Raises what a tick raised that no later one could mend."""
        self._scheduler.add_listener(self._left_out, EVENT_JOB_MAX_INSTANCES)
        self._scheduler.add_job(
            self._called, self._rhythm(), id=_JOB, max_instances=1, next_run_time=datetime.now().astimezone()
        )
        log = self._ticker.context.mailbox.log
        events = log.follow(stop=self._stop)  # from before the first call, so that no mail falls between the two
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # what it warns of, we say ourselves
        self._scheduler.start()
        try:
            for event in events:
                mail = event.kind == "mail.sent" and not event.run and event.sender not in PROGRAMS
                if mail or event.kind == "scheduler.resumed":
                    self._wake()
        finally:
            self._stop.set()
            self._ticker.dispatcher.end()
            self._scheduler.shutdown(wait=True)
        if self._failed:
            raise self._failed

    def _left_out(self, _: object) -> None:
        """Say that a call found the one before it still running; one that mail asked for comes when that is over."""
        if not self._woken.is_set():
            self._say("a sprint is running: this call is left out")

    def _wake(self) -> None:
        """Call now instead of at the next time; a sprint that is running sees the mail by itself."""
        self._woken.set()
        self._call()

    def _call(self, later: timedelta = timedelta()) -> None:
        self._scheduler.modify_job(_JOB, next_run_time=datetime.now().astimezone() + later)

    def _digest(self) -> str:
        return idle.seen(self._ticker.context.home, (), os.environ)

    def _renew(self) -> None:
        """Read settings and roster again if they have changed. Raises UsageError for what they must not say."""
        if (digest := self._digest()) == self._seen:
            return
        before, context = self._ticker.context.settings.sprint, self._reopen()
        self._ticker.context = self._ticker.dispatcher.context = context
        self._seen = digest
        self._say("settings or personas have changed: read again")
        if (before.cron, before.every) != (context.settings.sprint.cron, context.settings.sprint.every):
            self._scheduler.reschedule_job(_JOB, trigger=self._rhythm())

    def _rhythm(self) -> Any:
        settings = self._ticker.context.settings.sprint
        return _trigger(settings.cron) if settings.cron else IntervalTrigger(seconds=max(1, int(settings.every or 900)))

    def _called(self) -> None:
        try:
            self._woken.clear()
            self._renew()
            while not self._stop.is_set() and self._once():
                self._renew()
        except (TeamMailError, OSError) as error:
            self._trouble(error)
        except BaseException as error:
            self._failed = error
            self._stop.set()
            raise
        finally:
            if self._woken.is_set() and not self._stop.is_set():
                self._call(_AGAIN)

    def _trouble(self, error: Exception) -> None:
        """Say what a call could not do, to the human too, and go on with the next one: it may have been put right."""
        self._say(f"{error}; the next call tries again")
        context = self._ticker.context
        day = f"{context.clock.now():%Y-%m-%d}"
        letter = Letter(
            "scheduler", [context.settings.team.human], "The scheduler needs you", f"{error}\n\nIt goes on trying.",
            type="escalate", priority="high", key=f"trouble {day} {error}",
        )  # fmt: skip
        with suppress(TeamMailError):
            context.mailbox.send(letter)

    def _once(self) -> bool:
        """Go on with what is due; tell whether something was, so that mail that came at the end is not left lying."""
        context = self._ticker.context
        state, now = self._ticker.read(), context.clock.now()
        request = due(state, context.settings.sprint, now, following)
        if request.start is None and state.sprint is None:
            at = next_start(state, context.settings.sprint, following)
            self._say(f"waiting for mail, or for the next sprint at {at.astimezone():%Y-%m-%d %H:%M:%S}")
            self._call(min(max(at - now, _AGAIN), _LONGEST))
            return False
        found = run_sprint(self._ticker, request)
        if found is None or self._stop.is_set():
            return False
        self._ended(found)
        return found.outcome is not None
