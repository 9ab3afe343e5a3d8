"""Schedules carried out: by a scheduler that leads, by hand, and after one that is gone."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.process import myself
from team_mail.scheduler.kinds import Kind, ScheduleOutcome
from team_mail.scheduler.schedules.record import firing_id
from team_mail.scheduler.schedules.timetable import Ended, Timetable, fired
from team_mail.scheduler.sprint.daemon import Daemon, following
from team_mail.team.api import schedules as api

from ...test_docs_sprint import EVENTS

SPRINT = '[sprint]\nevery = "1d"\n'
EVERY = '[schedules.tidy]\nsprint = ["ann"]\nevery = "1h"\n[schedules.check]\ndispatch = "check.json"\nevery = "1h"\n'
GONE = {"boot": "another", "pid": 1, "start": "1"}


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now

    def set(self, hours):
        self._now += timedelta(hours=hours)


class Starts:
    """A starter that remembers what it was asked for."""

    def __init__(self):
        self.asked, self.begun = [], threading.Event()

    def __call__(self, context, name, schedule, at):
        self.asked.append((name, schedule.dispatch))
        self.begun.set()
        return Ended(ScheduleOutcome.DONE, "all of it")

    def tend(self, context):
        return []

    def end(self):
        pass


def seen(context, name, since):
    """Return the event by which the times of a schedule count since then."""
    spec = context.settings.schedules[name].spec
    return Draft(Kind.SCHEDULE_KNOWN, "scheduler", data={"name": name, "spec": spec, "since": since, "why": "new"})


def test_a_scheduler_that_leads_carries_out_sprints_and_dispatches_that_are_due(team):
    """Each is written down first, and ends on record with how it went."""
    ticker = team.ticker({}, SPRINT + EVERY)
    context, starts, sprints = ticker.context, Starts(), []
    since = (datetime.now(UTC) - timedelta(minutes=90)).isoformat()
    context.append([seen(context, name, since) for name in ("tidy", "check")])
    team.know_green(SPRINT + EVERY)

    def ended(summary):
        sprints.append(summary)
        assert starts.begun.wait(20)
        daemon.end()

    daemon = Daemon(ticker, lambda: ticker.context, lambda _: None, ended, starter=starts)
    daemon.run()

    assert starts.asked == [("check", "check.json")]
    events = [event for event in team.context().mailbox.log.read() if event.kind.startswith("schedule.")]
    assert sorted((e.data["name"], e.kind) for e in events if e.kind != Kind.SCHEDULE_KNOWN) == [
        ("check", "schedule.ended"),
        ("check", "schedule.fired"),
        ("tidy", "schedule.ended"),
        ("tidy", "schedule.fired"),
    ]
    for event in events:
        names, data = EVENTS[event.kind]  # as docs/sprint.md has them
        assert (data <= set(event.data), bool(event.ref)) == (True, names == ["ref"])
    outcomes = {e.data["name"]: e.data["outcome"] for e in events if e.kind == Kind.SCHEDULE_ENDED}
    assert outcomes == {"check": "done", "tidy": "done"}
    started = [e for e in team.context().mailbox.log.read() if e.kind == Kind.SPRINT_STARTED]
    assert (started[-1].data["reason"], started[-1].data["personas"]) == ("schedule tidy", ["ann"])


def test_what_a_killed_scheduler_began_is_said_to_be_cut_off_and_the_next_time_comes(team):
    """Without that, the schedule would wait for its end for ever."""
    clock, starts = Clock(datetime(2026, 3, 2, 12, tzinfo=UTC)), Starts()
    context = replace(team.context({}, EVERY), clock=clock)
    timetable = Timetable(following, starts, lambda *_: None)
    timetable.look(context)
    clock.set(1)
    at = clock.now()
    data = {"name": "check", "at": at.isoformat(), "what": "x", "supervisor": GONE}
    context.append([Draft(Kind.SCHEDULE_FIRED, "scheduler", data=data, id=firing_id("check", at))])

    assert timetable.look(context) == at + timedelta(hours=1)
    timetable.wait()
    assert starts.asked == []
    (check,) = [each for each in api.listed(context).schedules if each.name == "check"]
    assert (check.record.last.outcome, check.record.last.why) == ("cut off", "its scheduler is gone")
    clock.set(1)
    timetable.look(context)
    timetable.wait()
    assert starts.asked == [("check", "check.json")]


def test_a_time_is_carried_out_by_the_first_who_writes_it_down(team):
    """Two processes that look at once: the other one finds the event of the first."""
    context, at = team.context({}, EVERY), datetime(2026, 3, 2, 12, tzinfo=UTC)
    schedule = context.settings.schedules["check"]
    assert fired(context, "check", schedule, at)
    assert not fired(context, "check", schedule, at)


def test_a_paused_team_starts_nothing_and_makes_up_for_it_later(team):
    """`scheduler pause` is for all that would start."""
    clock, starts = Clock(datetime(2026, 3, 2, 12, tzinfo=UTC)), Starts()
    context = replace(team.context({}, EVERY), clock=clock)
    timetable = Timetable(following, starts, lambda *_: None)
    timetable.look(context)
    context.append([Draft(Kind.SCHEDULER_PAUSED, "you")])
    clock.set(3)
    assert timetable.look(context) is None
    context.append([Draft(Kind.SCHEDULER_RESUMED, "you")])
    timetable.look(context)
    timetable.wait()
    assert starts.asked == [("check", "check.json")]
    (check,) = [each for each in api.listed(context).schedules if each.name == "check"]
    assert check.record.missed == 2


def test_a_schedule_is_run_by_hand_paused_and_resumed(team):
    """A dispatch with the bundled agent: its start names the schedule, and a failure is mailed."""
    (team.folder / "check.json").write_text(
        '{"tasks": [{"task_id": "look", "agent": "ann", "description": "Look", "input_data": {}}]}'
    )
    text = '[schedules.check]\ndispatch = "check.json"\nevery = "1h"\nagent = "scripted"\n'
    text += '[schedules.lost]\ndispatch = "lost.json"\nevery = "1h"\n'
    context = team.context({}, text)

    ran = api.run(context, "check", "you")

    assert (ran.succeeded, ran.document()[0]["why"]) == (True, "1 of 1 task done")
    assert [*(team.folder / "traces").glob("dispatch-*.json")], "wherever the schedule was run"
    (start,) = [e for e in context.mailbox.log.read() if e.kind == Kind.DISPATCH_STARTED]
    assert start.data["schedule"]["name"] == "check"
    assert not api.run(context, "lost", "you").succeeded
    (mail,) = [mail for mail in context.mailbox.inbox("you") if mail.type == "escalate"]
    assert mail.subject.startswith("Schedule lost: ")

    assert api.pause(context, "check", "you").paused
    (check, _) = api.listed(context).schedules
    assert (check.due.next, check.record.paused.partition(" at ")[0]) == (None, "paused by you")
    assert not api.resume(context, "check", "you").paused
    (check, _) = api.listed(context).schedules
    assert check.due.next > context.clock.now()
    assert api.run(context).ends == ()
    with pytest.raises(UsageError, match="no schedule 'chek'; did you mean check"):
        api.run(context, "chek", "you")


def test_whoever_leads_puts_on_record_what_killed_dispatches_left(team):
    """Of two that have no end, the one whose process lives is left alone."""
    context = team.context()
    run = {"sprint": 0, "persona": "ann", "attempt": 1, "tick": 0, "base": "", "agent": "shell", "reason": "task"}
    tasks = [{"task_id": "a", "agent": "ann"}]
    for name, supervisor in (("d-killed00", GONE), ("d-living00", myself())):
        start = {"dispatch": name, "base": "", "branch": "", "agent": None, "tasks": tasks, "config": {}}
        began = run | {"dispatch": name, "task": "a", "mail": [], "supervisor": supervisor, "input": {}}
        context.append(
            [
                Draft(Kind.DISPATCH_STARTED, "scheduler", data=start | {"supervisor": supervisor}),
                Draft(Kind.RUN_STARTED, "scheduler", run=derived_id("run", "task", name, "a", "1"), data=began),
            ]
        )

    (line,) = api.Starter().tend(context)

    assert line.endswith("had no process any more: its end is on record")
    assert [e.run for e in context.mailbox.log.read() if e.kind == Kind.RUN_LOST] == [
        derived_id("run", "task", "d-killed00", "a", "1")
    ]
    assert [*api.Starter().tend(context)] == []
