"""The daemon: APScheduler starts sprints by the settings, fresh mail starts one at once, SIGTERM ends it cleanly.

Runs that are under way then go on, and the next daemon takes them over.

There is one job with one instance: a time that comes while a sprint is running is skipped, with a message, and several
missed times become one, because what is due is read from the log each time.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from ...mail.directory import PROGRAMS
from ...mail.errors import LedElsewhere, TeamMailError, UsageError
from ...mail.kinds import MailKind
from ...mail.letter import Letter
from ...mail.log.event import Event
from ..context import Context
from ..kinds import Kind
from ..schedules.cron import following
from ..schedules.timetable import Starter, Timetable, end_of_sprint, no_starter, put_end
from ..settings.schedules import ScheduleSettings
from ..state.sprints import State
from ..state.summary import Summary
from . import idle
from .decide import StartRequest
from .loop import run_sprint
from .tick import Ticker
from .triggers import due, next_start

_JOB, _SCHEDULES = "sprint", "schedules"
_MINUTE = timedelta(minutes=1)  # the longest between two looks at the schedules
_AGAIN, _SOON = timedelta(seconds=0.5), timedelta(seconds=0.02)
_PATIENCE = timedelta(seconds=20)  # after an error that a person may mend
_LONGEST = timedelta(days=1)  # the longest that the daemon sleeps before it looks again


def _is_work(event: Event, human: str, never: Collection[str]) -> bool:
    """Tell whether an event may start a sprint at once: mail to others than the human, or the end of a task.

    The recipient may have joined since the roster was read. Mail of the types `never` waits. That of programs is for
    the sprint or dispatch that goes on, but for what people said at the forge. A task that ended may have left mail
    unread.
    """
    if event.kind in {Kind.RUN_FINISHED, Kind.RUN_LOST}:
        return bool(event.data.get("task"))
    if event.kind != MailKind.SENT or not {*event.recipients} - {human, *PROGRAMS}:
        return False
    if event.sender not in PROGRAMS or event.run:
        return event.data.get("type", "note") not in never
    payload: Any = event.data.get("payload")
    return isinstance(payload, dict) and "github" in payload


class Turn(NamedTuple):
    """What to do when no sprint is open: a request that starts one, or how long to wait, and why, "" to say nothing.

    `over` ends the daemon.
    """

    request: StartRequest
    rest: timedelta = timedelta()
    why: str = ""
    over: bool = False


class Rhythm(Protocol):
    """When the sprints of a daemon start. `ended` is told of each that has ended."""

    def again(self, context: Context, now: datetime) -> Turn | None:
        """Return what to do if nothing has changed since the last turn, which costs less; None if something may."""
        ...

    def turn(self, context: Context, state: State, now: datetime) -> Turn:
        """Return what to do while no sprint is open."""
        ...

    def ended(self, context: Context, summary: Summary) -> None:
        """Take note of the end of a sprint."""
        ...


class Scheduled:
    """Sprints by `every` or `cron` of the settings, and at once on new mail."""

    def again(self, context: Context, now: datetime) -> Turn | None:
        """Return None: each time is looked at anew."""

    def turn(self, context: Context, state: State, now: datetime) -> Turn:
        """Return what to do while no sprint is open."""
        settings = context.settings.sprint
        request = due(state, settings, now, following, parked=context.parked(state, now))
        if request.start is not None:
            return Turn(request)
        at = next_start(state, settings, now, following)
        why = f"waiting for mail, or for the next sprint at {at.astimezone():%Y-%m-%d %H:%M:%S}"
        return Turn(request, min(at, request.until or at) - now, why)

    def ended(self, context: Context, summary: Summary) -> None:
        """Take note of nothing."""


class _Cron(BaseTrigger):
    """The trigger of a line of cron, whose times are those of `following`."""

    def __init__(self, cron: str) -> None:
        self._cron = cron

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> Any:  # noqa: ARG002
        """Return the first time after `now`, whatever the previous one was."""
        return following(self._cron, now)


class Daemon:
    """A leader that runs sprints until it is told to end.

    `reopen` makes a new context once settings or personas have changed. `say` is called with one line for people when
    something happens, `on_sprint` with the summary of each sprint that has ended. `rhythm` says when they start.
    """

    def __init__(
        self,
        ticker: Ticker,
        reopen: Callable[[], Context],
        say: Callable[[str], object],
        on_sprint: Callable[[Summary], object],
        rhythm: Rhythm | None = None,
        *,
        starter: Starter = no_starter,
        patience: timedelta = _PATIENCE,
    ) -> None:
        self._ticker = ticker
        self._patience = patience
        self._reopen = reopen
        self._say = say
        self._on_sprint = on_sprint
        self._rhythm = rhythm or Scheduled()
        self._seen = self._digest()
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._job = threading.Lock()  # while it is running
        self._scheduler = BackgroundScheduler(job_defaults={"misfire_grace_time": None, "coalesce": True})
        self._failed: BaseException | None = None
        self.lost = False  # the lead, to another host
        self._starter = starter
        self._asked: deque[tuple[str, ScheduleSettings, datetime]] = deque()  # sprints that are due by a schedule
        self._look = threading.Lock()  # while the schedules are looked at
        self._timetable = Timetable(following, starter, self._ask_for_sprint, lambda told: say(told.text))

    def end(self) -> None:
        """Let `run` return; open runs go on without it. It may be called from a signal handler."""
        self._stop.set()
        self._ticker.dispatcher.leave()
        self._starter.end()

    def lose(self, why: str) -> None:
        """Let `run` return because another host leads now: all runs are ended, and what they did counts for nothing."""
        if not self.lost:
            self.lost = True
            self._say(f"{why}: the runs here are ended, and nothing more is written")
        self._stop.set()
        self._ticker.dispatcher.end()
        self._starter.end()

    def run(self) -> None:
        """Lead the team until `end` is called. Raises what a tick raised, unless a later tick may succeed."""
        self._scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)
        self._scheduler.add_job(
            self._run_job, self._job_trigger(), id=_JOB, max_instances=1, next_run_time=datetime.now().astimezone()
        )
        self._scheduler.add_job(
            self._look_at_schedules, IntervalTrigger(seconds=int(_MINUTE.total_seconds())), id=_SCHEDULES,
            max_instances=1, next_run_time=datetime.now().astimezone(),
        )  # fmt: skip
        log = self._ticker.context.mailbox.log
        events = log.follow(stop=self._stop)  # from before the first job, so that no mail is missed in between
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # `say` reports what it would warn of
        self._scheduler.start()
        try:
            for event in events:
                settings = self._ticker.context.settings
                is_work = _is_work(event, settings.team.human, settings.sprint.wakes_not)
                if is_work or event.kind in {Kind.SCHEDULER_RESUMED, Kind.DEPLOY_STARTED}:
                    self._wake()
        finally:
            self._stop.set()
            if not self.lost:
                self._ticker.dispatcher.leave()
            self._starter.end()
            with self._job, self._look:  # APScheduler would wait for them with a lock that they may be waiting for
                self._scheduler.shutdown(wait=False)
            self._timetable.wait()
        if self._failed:
            raise self._failed

    def _look_at_schedules(self) -> None:
        """Start what is due by `[schedules]`, and look again when something is next; at least once a minute.

        What dispatches left that were killed is put on record before.
        """
        with self._look:
            if self._stop.is_set():
                return
            try:
                for text in self._starter.tend(self._ticker.context):
                    self._say(text)
                at = self._timetable.look(self._ticker.context)
            except (TeamMailError, OSError) as error:
                self._say(f"schedules: {error}; the next look tries again")
                return
            now = datetime.now().astimezone()
            rest = min(max(at - now, _AGAIN), _MINUTE) if at else _MINUTE
            self._scheduler.modify_job(_SCHEDULES, next_run_time=now + rest)

    def _ask_for_sprint(self, name: str, schedule: ScheduleSettings, at: datetime) -> None:
        self._asked.append((name, schedule, at))
        self._wake()

    def _skipped(self, event: Any) -> None:
        """Say that a scheduled time was skipped because a sprint is running; mail starts the job again after it.

        A job that is over counts as running for a moment more, in which mail may have come.
        """
        if event.job_id != _JOB:
            return
        if not self._woken.is_set():
            self._say("a sprint is running: this time is skipped")
        elif not self._job.locked():
            self._start_job(_SOON)

    def _wake(self) -> None:
        """Start the job now instead of at its next time; a sprint that is running sees the mail by itself."""
        self._woken.set()
        self._start_job()

    def _start_job(self, later: timedelta = timedelta()) -> None:
        self._scheduler.modify_job(_JOB, next_run_time=datetime.now().astimezone() + later)

    def _digest(self) -> str:
        return idle.seen(self._ticker.context.home, (), os.environ)

    def _renew(self) -> None:
        """Read settings and roster again if they have changed. Raises UsageError if they are invalid."""
        if (digest := self._digest()) == self._seen:
            return
        before, context = self._ticker.context.settings.sprint, self._reopen()
        self._ticker.context = self._ticker.dispatcher.context = context
        self._seen = digest
        self._say("settings or personas have changed: read again")
        if (before.cron, before.every) != (context.settings.sprint.cron, context.settings.sprint.every):
            self._scheduler.reschedule_job(_JOB, trigger=self._job_trigger())

    def _job_trigger(self) -> Any:
        settings = self._ticker.context.settings.sprint
        return _Cron(settings.cron) if settings.cron else IntervalTrigger(seconds=max(1, int(settings.every or 900)))

    def _run_job(self) -> None:
        with self._job:
            if not self._stop.is_set():
                self._lead()

    def _lead(self) -> None:
        """Run the sprints that are due."""
        try:
            self._woken.set()
            while self._woken.is_set() and not self._stop.is_set():
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
                self._start_job(_AGAIN)

    def _trouble(self, error: Exception) -> None:
        """Report an error, by mail to the human too; the next time tries again, as a person may have fixed it."""
        if isinstance(error, LedElsewhere):
            self.lose(f"{error.host} leads now")
        if self.lost:
            return
        if isinstance(error, UsageError):  # of the settings; what a sprint met is not tried so soon
            self._start_job(self._patience)
        self._say(f"{error}; the next time tries again")
        context = self._ticker.context
        day = f"{context.clock.now():%Y-%m-%d}"
        letter = Letter(
            "scheduler", [context.settings.team.human], "The scheduler needs you",
            f"{error}\n\nThe scheduler keeps trying.",
            type="escalate", priority="high", key=f"trouble {day} {error}",
        )  # fmt: skip
        with suppress(TeamMailError):
            context.mailbox.send(letter)

    def _once(self) -> bool:
        """Run the sprint that is due; tell whether one ended, so that mail that came at its end is seen at once."""
        context = self._ticker.context
        if not self._asked and (again := self._rhythm.again(context, context.clock.now())):
            return self._rest(again)
        state, now = self._ticker.read(), context.clock.now()
        if self._asked and not state.sprint:
            return self._carry_out_asked(*self._asked.popleft())
        turn = Turn(StartRequest()) if state.sprint else self._rhythm.turn(context, state, now)
        request = turn.request
        if request.start is None and state.sprint is None:
            return self._rest(turn)
        plan = self._ticker.plan(request, state)
        if state.sprint is None and plan.idle_until:
            self._say(plan.idle or "")
            self._start_job(min(max(plan.idle_until - now, _AGAIN), _LONGEST))
            return False
        summary = run_sprint(self._ticker, request)
        if summary is None or self._stop.is_set():
            return False
        self._on_sprint(summary)
        self._rhythm.ended(context, summary)
        return summary.outcome is not None

    def _carry_out_asked(self, name: str, schedule: ScheduleSettings, at: datetime) -> bool:
        """Run the sprint that is due by a schedule; tell whether one ended."""
        personas = schedule.sprint if isinstance(schedule.sprint, tuple) else ()
        context, ended = self._ticker.context, end_of_sprint(None)
        try:
            summary = run_sprint(self._ticker, StartRequest(f"schedule {name}", personas=personas))
            ended = end_of_sprint(summary)
        except (TeamMailError, OSError) as error:
            ended = ended._replace(why=str(error))
            raise
        finally:
            put_end(context, name, at, ended)
        if summary is None or self._stop.is_set():
            return False
        self._on_sprint(summary)
        self._rhythm.ended(context, summary)
        return summary.outcome is not None

    def _rest(self, turn: Turn) -> bool:
        """Look again after a while; tell that no sprint has ended."""
        if turn.why:
            self._say(turn.why)
        if turn.over:
            self._stop.set()
        self._start_job(min(max(turn.rest, _AGAIN), _LONGEST))
        return False
