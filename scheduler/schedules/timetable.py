"""Carries out the schedules of a team: what is due is written down first, and then started.

Asks and dispatches are started by what the timetable is given; a sprint is asked of whoever leads, which runs them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from ...mail.clock import rfc3339
from ...mail.errors import TeamMailError
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ..context import Context
from ..kinds import Kind, ScheduleOutcome
from ..leader import myself
from ..liveness import is_led
from ..progress import Listener, Progress, silent
from ..settings.schedules import ScheduleSettings
from ..state.sprints import State
from ..state.summary import Summary
from .due import Due, Following, Missed, due
from .record import Record, firing_id, read_schedules


class Ended(NamedTuple):
    """How what was carried out ended, a `ScheduleOutcome`, with a line for people.

    `dispatch` and `sprint` are what it was; `answer` goes to the human by mail.
    """

    outcome: str
    why: str
    dispatch: str = ""
    sprint: int = 0
    answer: str = ""

    def document(self) -> dict[str, Any]:
        """Return the end as a JSON object."""
        return {
            "outcome": self.outcome, "why": self.why, "dispatch": self.dispatch or None, "sprint": self.sprint or None,
            "answer": self.answer or None,
        }  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A schedule with what is on record of it, and what is due."""

    name: str
    settings: ScheduleSettings
    record: Record | None
    due: Due

    def document(self) -> dict[str, Any]:
        """Return the schedule as a JSON object."""
        record, last = self.record, self.record.last if self.record else None
        return {
            "name": self.name, "what": self.settings.what, "when": self.settings.spec,
            "on_missed": self.settings.on_missed, "overlap": self.settings.overlap,
            "paused": record.paused if record else None, "next": self.due.next and rfc3339(self.due.next),
            "due": self.due.fire and rfc3339(self.due.fire), "missed": record.missed if record else 0,
            "last": last and {
                "at": rfc3339(last.at), "fired": rfc3339(last.fired), "outcome": last.outcome, "why": last.why,
                "dispatch": last.dispatch, "sprint": last.sprint,
            },
        }  # fmt: skip


class Starter(Protocol):
    """Carries out asks and dispatches."""

    def __call__(self, context: Context, name: str, schedule: ScheduleSettings, at: datetime) -> Ended:
        """Carry out an ask or a dispatch to its end. Raises TeamMailError, OSError if it cannot be started."""
        ...

    def tend(self, context: Context) -> Sequence[str]:
        """Put on record what dispatches left that were killed; return a line for each run."""
        ...

    def end(self) -> None:
        """End what is being carried out; a signal handler may call it."""
        ...


class _NoStarter:
    """Carries out nothing."""

    def __call__(self, context: Context, name: str, schedule: ScheduleSettings, at: datetime) -> Ended:
        del context, name, at
        return Ended(ScheduleOutcome.FAILED, f"nobody is here who could {schedule.what}")

    def tend(self, context: Context) -> Sequence[str]:
        del context
        return ()

    def end(self) -> None: ...


no_starter = _NoStarter()


def planned(context: Context, following: Following, state: State | None = None) -> list[Planned]:
    """Read all schedules of the settings, with what is due of each; nothing is written."""
    if not context.settings.schedules:
        return []
    records, now = read_schedules(context.mailbox.projections), context.clock.now()
    state = state or context.state(whole=False)
    listed: list[Planned] = []
    for name, schedule in context.settings.schedules.items():
        record = records.get(name)
        going = _going(schedule, record, state)
        listed.append(Planned(name, schedule, record, due(schedule, record, now, following, going=going)))
    return listed


def _going(schedule: ScheduleSettings, record: Record | None, state: State) -> str:
    """Return why nothing may be started beside what goes on; "" if it may."""
    if schedule.sprint is not None and state.sprint:
        return f"sprint {state.number} is open"
    last = record.last if record else None
    if last and last.outcome is None and is_led(last.supervisor):
        return f"the one of {last.at:%Y-%m-%d %H:%M}Z goes on"
    return ""


@dataclass
class Timetable:
    """The schedules of one team. `start` carries out an ask or a dispatch, and returns when that has ended.

    `following` finds the next time of a line of cron. `on_sprint` is called with the name, the settings and the time
    of a sprint that is due, and `listener` is told what people want to know.
    """

    following: Following
    start: Starter
    on_sprint: Callable[[str, ScheduleSettings, datetime], object]
    listener: Listener = silent
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def look(self, context: Context) -> datetime | None:
        """Write down and start what is due; return when something is next, None if nothing is. Raises LogError."""
        state = context.state(whole=False)
        listed = planned(context, self.following, state)
        self._put_cut_off_on_record(context, listed)
        if state.paused:  # nothing is started, so the times are to be made up for once it goes on
            return None
        for each in listed:
            self._carry_out(context, each)
        return min((each.due.next for each in listed if each.due.next), default=None)

    def wait(self) -> None:
        """Wait for what was started."""
        for thread in self._threads:
            thread.join()

    def _put_cut_off_on_record(self, context: Context, listed: list[Planned]) -> None:
        """Write the end of what a scheduler that is gone had begun."""
        for each in listed:
            last = each.record.last if each.record else None
            if last and last.outcome is None and not is_led(last.supervisor):
                why = "its scheduler is gone"
                context.append([_ended(each.name, last.at, Ended(ScheduleOutcome.CUT_OFF, why))])
                self.listener(Progress(f"schedule {each.name}: the one of {last.at:%Y-%m-%d %H:%M}Z was cut off"))

    def _carry_out(self, context: Context, each: Planned) -> None:
        name = each.name
        put_due(context, each)
        if each.due.missed:
            self.listener(Progress(f"schedule {name}: {_missed_text(each.due.missed)}"))
        if each.due.fire and fired(context, name, each.settings, each.due.fire):
            self.listener(Progress(f"schedule {name}: {each.settings.what}"))
            if each.settings.sprint is not None:
                self.on_sprint(name, each.settings, each.due.fire)
                return
            arguments = (context, name, each.settings, each.due.fire)
            thread = threading.Thread(target=self._started, args=arguments, name=f"schedule {name}", daemon=True)
            self._threads = [thread, *(other for other in self._threads if other.is_alive())]
            thread.start()

    def _started(self, context: Context, name: str, schedule: ScheduleSettings, at: datetime) -> None:
        ended = carried_out(self.start, context, name, schedule, at)
        self.listener(Progress(f"schedule {name}: {ended.outcome}, {ended.why}"))


def put_due(context: Context, each: Planned) -> None:
    """Write down that the times of a schedule count from now, or which of them are missed."""
    if each.due.known:
        context.append([_known(each.name, each.settings, context.clock.now(), each.due.known)])
    if each.due.missed:
        context.append([_missed(each.name, each.due.missed)])


def fired(context: Context, name: str, schedule: ScheduleSettings, at: datetime, asked: str = "") -> bool:
    """Write that a time of a schedule is carried out, by a person if one `asked`; tell whether it is here."""
    data = {"name": name, "at": rfc3339(at), "what": schedule.what, "supervisor": myself()}
    data |= {"asked": asked} if asked else {}
    draft = Draft(Kind.SCHEDULE_FIRED, "scheduler", data=data, id=firing_id(name, at))
    before = context.mailbox.log.head().seq
    (event,) = context.append([draft])
    return event.seq > before and event.data.get("supervisor") == myself()


def carried_out(start: Starter, context: Context, name: str, schedule: ScheduleSettings, at: datetime) -> Ended:
    """Carry out an ask or a dispatch that was written down, and write down how it ended, with a mail to the human."""
    try:
        ended = start(context, name, schedule, at)
    except (TeamMailError, OSError) as error:
        ended = Ended(ScheduleOutcome.FAILED, str(error))
    put_end(context, name, at, ended)
    return ended


def end_of_sprint(summary: Summary | None) -> Ended:
    """Return how the sprint of a schedule ended; None is one that could not start."""
    if summary is None:
        return Ended(ScheduleOutcome.FAILED, "no sprint could start; scheduler --dry-run says why")
    outcome = ScheduleOutcome.DONE if summary.converged else ScheduleOutcome.FAILED
    how = summary.outcome or "still open"
    return Ended(outcome, f"sprint {summary.sprint} {how}", sprint=summary.sprint)


def put_end(context: Context, name: str, at: datetime, ended: Ended) -> None:
    """Write down how a firing ended: with a mail to the human if it failed, or has an answer. Raises LogError."""
    drafts = [_ended(name, at, ended)]
    failed = ended.outcome == ScheduleOutcome.FAILED
    if failed or ended.answer:
        body = [f"Schedule {name}, the time of {at:%Y-%m-%d %H:%M}Z: {ended.outcome}, {ended.why}."]
        body += [f"team trace --index --dispatch {ended.dispatch} lists its tasks."] if ended.dispatch else []
        body += ["", ended.answer] if ended.answer else ["", f"scheduler schedules run {name}      tries it again"]
        letter = Letter(
            "scheduler", [context.settings.team.human], f"Schedule {name}: {ended.why}"[:200], "\n".join(body),
            type="escalate" if failed else "result", key=f"schedule {name} {rfc3339(at)}",
        )  # fmt: skip
        drafts.insert(0, letter.draft(context.mailbox.directory, context.mailbox.blobs))
    context.append(drafts)


def _known(name: str, schedule: ScheduleSettings, now: datetime, why: str) -> Draft:
    data = {"name": name, "spec": schedule.spec, "since": rfc3339(now), "why": why}
    return Draft(Kind.SCHEDULE_KNOWN, "scheduler", data=data)


def _missed(name: str, missed: Missed) -> Draft:
    data: Mapping[str, Any] = {
        "name": name, "first": rfc3339(missed.first), "last": rfc3339(missed.last), "count": missed.count,
        "why": missed.why, "more": missed.more,
    }  # fmt: skip
    own = derived_id(Kind.SCHEDULE_MISSED, name, rfc3339(missed.first), rfc3339(missed.last))
    return Draft(Kind.SCHEDULE_MISSED, "scheduler", data=data, id=own)


def _missed_text(missed: Missed) -> str:
    more = "more than " if missed.more else ""
    return f"{more}{missed.count} missed, the first of {missed.first:%Y-%m-%d %H:%M}Z: {missed.why}"


def _ended(name: str, at: datetime, ended: Ended) -> Draft:
    data: dict[str, Any] = {"name": name, "at": rfc3339(at), "outcome": ended.outcome, "why": ended.why}
    data |= {"dispatch": ended.dispatch} if ended.dispatch else {}
    data |= {"sprint": ended.sprint} if ended.sprint else {}
    fired_id = firing_id(name, at)
    return Draft(
        Kind.SCHEDULE_ENDED, "scheduler", ref=fired_id, data=data, id=derived_id(Kind.SCHEDULE_ENDED, fired_id)
    )
