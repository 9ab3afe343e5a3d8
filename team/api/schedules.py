"""Schedules: list them, carry one out now, pause one, and what a scheduler needs to carry them out by itself."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...mail.clock import rfc3339
from ...mail.errors import UsageError
from ...mail.log.event import Draft
from ...mail.text.nearest import suggestion
from ...mail.text.units import counted
from ...scheduler.context import Context
from ...scheduler.given import open_given
from ...scheduler.kinds import Kind, ScheduleOutcome, TaskStatus
from ...scheduler.progress import Listener, silent
from ...scheduler.schedules.cron import following
from ...scheduler.schedules.timetable import Ended, Planned, carried_out, fired, planned, put_due, put_end
from ...scheduler.settings.schedules import ScheduleSettings
from ...scheduler.sprint.control import by_people_only
from ...scheduler.tasks.reader import read_limited
from ...scheduler.tasks.task import TRACES
from ..cleaning import Cleaning
from ..interrupts import Interrupts, uninterrupted
from . import ask as asks
from .dispatches import DispatchRequest, DispatchResult, dispatch, read_config, read_tasks
from .sprints import run_scheduled


@dataclass(frozen=True)
class ScheduleList:
    """The schedules of a team, in the order of its settings."""

    schedules: tuple[Planned, ...]

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `scheduler schedules list --json`."""
        return [each.document() for each in self.schedules]


@dataclass(frozen=True)
class Ran:
    """What was carried out now: names of schedules, each with how it ended."""

    ends: tuple[tuple[str, Ended], ...]

    @property
    def succeeded(self) -> bool:
        """Whether all of it was done."""
        return all(ended.outcome == ScheduleOutcome.DONE for _, ended in self.ends)

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `scheduler schedules run --json`."""
        return [{"name": name, **ended.document()} for name, ended in self.ends]


@dataclass(frozen=True)
class SchedulePause:
    """Whether a schedule is paused now."""

    name: str
    paused: bool

    def document(self) -> dict[str, Any]:
        """Return both as a JSON object."""
        return {"name": self.name, "paused": self.paused}


@dataclass
class Starter:
    """Carries out asks and dispatches of schedules, several at once, until `end`. `listener` is told of their runs."""

    listener: Listener = silent
    _ends: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    _over: bool = False

    def __call__(self, context: Context, name: str, schedule: ScheduleSettings, at: datetime) -> Ended:
        """Carry one out to its end. Raises TeamMailError, OSError if it cannot be started."""
        cause = {"schedule": {"name": name, "at": rfc3339(at)}}
        how = DispatchRequest(schedule.agent, home=context.home, cause=cause)
        config = {"trace_dir": str(context.top / TRACES)}  # wherever `scheduler run` was started
        if schedule.ask:
            return self._ask(asks.Asking(schedule.ask, how, read_config(config)))
        with open_given(context.home.parent / str(schedule.dispatch)) as file:
            tasks = read_tasks(read_limited(file), config, home=context.home)
        return _ended(dispatch(tasks, how, listener=self.listener, interrupts=self.interrupts))

    def _ask(self, asking: asks.Asking) -> Ended:
        told: dict[str, Any] = {"listener": self.listener, "interrupts": self.interrupts}
        plan = asks.plan_of(asking, **told)
        done = asks.carry_out(plan, **told)
        if done.interrupted:
            return _ended(done)
        answer = asks.answer(asking, done.output, **told)
        ended = _ended(done)
        if answer.missing:
            ended = ended._replace(outcome=ScheduleOutcome.FAILED)
        return ended._replace(answer=answer.text)

    def tend(self, context: Context) -> Sequence[str]:
        """Put on record what dispatches left that were killed; return a line for each run."""
        freed = Cleaning(context, repository=True).free_dispatches()
        return [f"{each.persona}'s run {each.run[:8]} had no process any more: its end is on record" for each in freed]

    @contextmanager
    def interrupts(self, end: Callable[[], object]) -> Generator[Sequence[int]]:
        """Let `end` of this starter end an act, too."""
        reasons: list[int] = []

        def ended() -> None:
            reasons.append(0)
            end()

        self._ends.append(ended)
        if self._over:
            ended()
        try:
            yield reasons
        finally:
            self._ends.remove(ended)

    def end(self) -> None:
        """End all that is being carried out, and start no more; a signal handler may call it."""
        self._over = True
        for end in [*self._ends]:
            end()


def listed(context: Context) -> ScheduleList:
    """Return the schedules of a team, with what is due of each and when the next time is."""
    return ScheduleList(tuple(planned(context, following)))


def run(
    context: Context,
    name: str | None = None,
    sender: str = "",
    *,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> Ran:
    """Carry out a schedule now, whatever its times are, or without a name all that are due, one after the other.

    Raises UsageError for a name that there is not, NotLeader for a sprint while a scheduler leads.

    Args:
        context: The team.
        name: The schedule.
        sender: Who asks for it.
        listener: Is told of its runs.
        interrupts: Ends what is being carried out.
    """
    by_people_only("scheduler schedules run", context.home)
    starter = Starter(listener)
    ends: list[tuple[str, Ended]] = []
    with interrupts(starter.end) as reasons:
        for each in _chosen(context, name):
            at = context.clock.now() if name else each.due.fire
            if at and not reasons and fired(context, each.name, each.settings, at, sender if name else ""):
                ends.append((each.name, _carried_out(context, each, at, starter)))
    return Ran(tuple(ends))


def _carried_out(context: Context, each: Planned, at: datetime, starter: Starter) -> Ended:
    if each.settings.sprint is None:
        return carried_out(starter, context, each.name, each.settings, at)
    ended = Ended(ScheduleOutcome.FAILED, "no sprint could start")
    try:
        ended = run_scheduled(
            context, each.name, each.settings, listener=starter.listener, interrupts=starter.interrupts
        )
    finally:
        put_end(context, each.name, at, ended)
    return ended


def _chosen(context: Context, name: str | None) -> list[Planned]:
    """Return the schedule of a name; without one, those that are due, after what is missed of them was written."""
    if name is not None:
        _check(context, name)
        (each,) = (each for each in planned(context, following) if each.name == name)
        if each.due.known:
            put_due(context, each)
        return [each]
    due = planned(context, following)
    for each in due:
        put_due(context, each)
    return [each for each in due if each.due.fire]


def pause(context: Context, name: str, sender: str) -> SchedulePause:
    """Let no time of a schedule count until `resume`. Raises UsageError."""
    return _write(context, name, sender, Kind.SCHEDULE_PAUSED)


def resume(context: Context, name: str, sender: str) -> SchedulePause:
    """Let the times of a schedule count again. Raises UsageError."""
    return _write(context, name, sender, Kind.SCHEDULE_RESUMED)


def _write(context: Context, name: str, sender: str, kind: Kind) -> SchedulePause:
    by_people_only("scheduler schedules", context.home)
    _check(context, name)
    (each,) = (each for each in planned(context, following) if each.name == name)
    put_due(context, each)  # it may never have been seen, and what it missed until now was not paused
    context.append([Draft(kind, sender, data={"name": name})])
    return SchedulePause(name, kind == Kind.SCHEDULE_PAUSED)


def _check(context: Context, name: str) -> None:
    known = [*context.settings.schedules]
    if name not in known:
        there = f"{suggestion(name, known)}" if known else "; there is none, write [schedules.NAME] into team.toml"
        raise UsageError(f"no schedule {name!r}{there}")


def _ended(done: DispatchResult) -> Ended:
    output = done.output
    if done.interrupted:
        return Ended(ScheduleOutcome.CUT_OFF, f"dispatch {output.correlation_id[-8:]} was ended", output.correlation_id)
    ended = output.counts[TaskStatus.SUCCESS] + output.counts[TaskStatus.SKIPPED]
    why = f"{ended} of {counted(len(output.results), 'task')} done"
    if output.branch:
        why += f", on {output.branch}"
    return Ended(
        ScheduleOutcome.DONE if done.succeeded else ScheduleOutcome.FAILED, why, dispatch=output.correlation_id
    )  # fmt: skip
