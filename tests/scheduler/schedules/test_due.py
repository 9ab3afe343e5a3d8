"""When schedules are due: every time is carried out once, or said to be missed, whatever happens to the clock."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from team_mail.mail.clock import rfc3339
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.schedules.cron import following
from team_mail.scheduler.schedules.due import due, following_time
from team_mail.scheduler.schedules.record import Record, firing_id, fold_schedules
from team_mail.scheduler.settings.schedules import ScheduleSettings
from team_mail.scheduler.state.facts import Fact

from ...samples import examples

BERLIN = ZoneInfo("Europe/Berlin")
IN_BERLIN = partial(following, zone=BERLIN)
DAILY, WEEKLY = "30 2 * * *", "0 5 * * sun"  # the daily one is in the hour that summer time takes and gives back
ME = {"boot": "b", "pid": 1, "start": "2"}
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
END = START + timedelta(days=60)  # with the 29th of March in it


class Life:
    """A schedule over time: what is decided is written down, and folded again for the next look."""

    def __init__(self, schedule: ScheduleSettings, follow=IN_BERLIN) -> None:
        self.schedule, self.follow = schedule, follow
        self.facts: list[Fact] = []
        self.going = ""

    def tell(self, now, kind, **data) -> None:
        ref = data.pop("ref", None)
        sender = "you" if kind in {Kind.SCHEDULE_PAUSED, Kind.SCHEDULE_RESUMED} else "scheduler"
        seq = len(self.facts) + 1
        self.facts.append(Fact(seq, rfc3339(now), kind, sender, ref, None, {"name": "x"} | data, ""))

    @property
    def record(self) -> Record | None:
        return fold_schedules(self.facts).get("x")

    def look(self, now: datetime) -> datetime | None:
        """Decide, and write down what was decided, as the timetable does; return the time that is carried out."""
        found = due(self.schedule, self.record, now, self.follow, going=self.going)
        if found.known:
            self.tell(now, Kind.SCHEDULE_KNOWN, spec=self.schedule.spec, since=rfc3339(now), why=found.known)
        if found.missed:
            first, last = rfc3339(found.missed.first), rfc3339(found.missed.last)
            self.tell(now, Kind.SCHEDULE_MISSED, first=first, last=last, count=found.missed.count, why="")
        if found.fire:
            self.tell(now, Kind.SCHEDULE_FIRED, at=rfc3339(found.fire), supervisor=ME)
        return found.fire

    def fired(self) -> list[datetime]:
        return [datetime.fromisoformat(fact.data["at"]) for fact in self.facts if fact.kind == Kind.SCHEDULE_FIRED]

    def missed(self) -> int:
        return sum(fact.data["count"] for fact in self.facts if fact.kind == Kind.SCHEDULE_MISSED)

    def is_missed(self, time: datetime) -> bool:
        spans = [fact.data for fact in self.facts if fact.kind == Kind.SCHEDULE_MISSED]
        return any(
            datetime.fromisoformat(span["first"]) <= time <= datetime.fromisoformat(span["last"]) for span in spans
        )


def days(start: datetime, end: datetime, hour: int, minute: int, weekday: int | None = None) -> list[datetime]:
    """Naively: one moment for each day, the first at which a clock in Berlin shows the time, or would have."""
    times, day = [], start.astimezone(BERLIN).date()
    while day <= end.astimezone(BERLIN).date():
        moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=BERLIN).astimezone(UTC)
        if start < moment <= end and weekday in {None, day.weekday()}:
            times.append(moment)
        day += timedelta(days=1)
    return times


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.storm) for seed in range(1, 60))])
@pytest.mark.parametrize(("cron", "when"), [(DAILY, (2, 30)), (WEEKLY, (5, 0, 6))])
@pytest.mark.parametrize("start", [START, datetime(2026, 9, 14, 12, tzinfo=UTC)])
def test_over_sixty_days_no_time_is_missed_unsaid_and_none_is_doubled(seed, cron, when, start):
    """With restarts, hours in which nobody leads, clocks that are set, and both ends of summer time."""
    chance, end = random.Random(seed), start + timedelta(days=60)
    life = Life(ScheduleSettings(sprint="all", cron=cron, on_missed=chance.choice(["once", "skip"])))
    now, latest = start, start
    life.look(now)
    while latest < end:
        step = chance.choice([timedelta(seconds=40)] * 30 + [timedelta(hours=chance.uniform(0, 70))])  # or is away
        if step < timedelta(minutes=1):
            soon = due(life.schedule, life.record, now, life.follow, going="").next  # as the daemon sleeps
            step = max(step, min(soon - now, timedelta(hours=6)) if soon else step)
        now += step
        if chance.random() < 0.05:
            now += timedelta(hours=chance.uniform(-3, 3))  # the clock is set
        latest = max(latest, now)
        life.look(now)
        if chance.random() < 0.3:
            life.look(now)  # a scheduler that was killed and started anew

    planned = days(start, latest, *when)
    fired = life.fired()
    assert [time for time, number in Counter(fired).items() if number > 1] == []
    assert {*fired} <= {*planned}
    assert [time for time in planned if time not in {*fired} and not life.is_missed(time)] == []
    assert len(fired) + life.missed() == len(planned)
    assert fired


@settings(max_examples=examples(30), deadline=None)
@given(
    every=st.integers(10, 4_000), steps=st.lists(st.integers(1, 5_000), max_size=20),
    on_missed=st.sampled_from(["once", "skip"]),
)  # fmt: skip
def test_every_so_many_seconds_each_time_is_accounted_for_once(every, steps, on_missed):
    """Against counting: one time for each whole span since the schedule was first seen."""
    life, now = Life(ScheduleSettings(sprint="all", every=every, on_missed=on_missed)), START
    life.look(now)
    for step in steps:
        now += timedelta(seconds=step)
        life.look(now)
    total = int((now - START).total_seconds()) // every
    assert len(life.fired()) + life.missed() == total
    assert len({*life.fired()}) == len(life.fired())
    if on_missed == "skip":
        assert all((at - START).total_seconds() % every == 0 for at in life.fired())


def test_a_time_that_nobody_was_there_for_is_made_up_for_once_or_not_at_all():
    """Of five days, `once` carries out the last; the sixth comes as ever."""
    for on_missed, made_up in (("once", 1), ("skip", 0)):
        life = Life(ScheduleSettings(sprint="all", cron=DAILY, on_missed=on_missed))
        life.look(START)
        assert bool(life.look(START + timedelta(days=5))) == bool(made_up)
        assert (len(life.fired()), life.missed()) == (made_up, 5 - made_up)
        after = following_time(life.schedule, START, START + timedelta(days=5), IN_BERLIN)
        assert life.look(after) == after
        assert life.look(after) is None


def test_while_the_last_one_goes_on_a_time_is_skipped_or_waits():
    """What is skipped is on record with the reason; what waits is carried out at its end."""
    skipping, waiting = (
        Life(ScheduleSettings(sprint="all", every=60, overlap=overlap)) for overlap in ("skip", "wait")
    )
    for life in (skipping, waiting):
        life.look(START)
        life.going = "it goes on"
        assert life.look(START + timedelta(seconds=60)) is None
        life.going = ""
    assert (skipping.missed(), waiting.missed()) == (1, 0)
    assert skipping.look(START + timedelta(seconds=70)) is None
    assert waiting.look(START + timedelta(seconds=70)) == START + timedelta(seconds=60)


def test_a_pause_takes_its_times_out_and_a_change_counts_anew():
    """Nothing is made up for after a pause; another line of cron begins with the moment it is seen."""
    life = Life(ScheduleSettings(sprint="all", every=60))
    life.look(START)
    life.tell(START + timedelta(seconds=5), Kind.SCHEDULE_PAUSED)
    assert due(life.schedule, life.record, START + timedelta(hours=1), life.follow, going="").next is None
    life.tell(START + timedelta(seconds=3605), Kind.SCHEDULE_RESUMED)
    assert life.look(START + timedelta(seconds=3606)) is None
    assert life.look(START + timedelta(seconds=3660)) == START + timedelta(seconds=3660)
    life.schedule = ScheduleSettings(sprint="all", every=90)
    assert life.look(START + timedelta(hours=5)) is None
    assert life.record.spec == "every 90s"
    assert life.look(START + timedelta(hours=5, seconds=90)) == START + timedelta(hours=5, seconds=90)


def test_a_clock_that_was_days_ahead_does_not_silence_a_schedule_nor_repeat_what_it_did():
    """What was carried out at a time that comes only now is not carried out again."""
    life = Life(ScheduleSettings(sprint="all", cron=DAILY))
    life.look(START)
    ahead = following_time(life.schedule, START, START + timedelta(days=3), IN_BERLIN)
    assert life.look(ahead) == ahead
    back = START + timedelta(hours=1)
    assert life.look(back) is None
    assert life.record.covered == back
    fired = []
    for hour in range(24 * 5):
        fired += [life.look(back + timedelta(hours=hour))]
    assert len({*life.fired()}) == len(life.fired()) == 5
    assert ahead not in fired


def test_many_thousand_missed_times_are_counted_up_to_a_thousand_and_the_last_is_found():
    """A minute's schedule that nobody looked at for a month."""
    life = Life(ScheduleSettings(sprint="all", cron="* * * * *"))
    life.look(START)
    now = START + timedelta(days=30)
    found = due(life.schedule, life.record, now, life.follow, going="")
    assert (found.fire, found.missed.more) == (now, True)
    assert found.missed.count == 999


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"cron": DAILY}, "needs one of ask, dispatch and sprint"),
        ({"ask": "x", "sprint": "all", "cron": DAILY}, "needs one of ask, dispatch and sprint"),
        ({"ask": "x"}, "needs one of cron and every"),
        ({"ask": "x", "cron": DAILY, "every": "1h"}, "needs one of cron and every"),
        ({"ask": "x", "every": "5s"}, "10s is the least"),
        ({"sprint": "all", "every": "1h", "agent": "claude"}, "says agent"),
        ({"sprint": (), "every": "1h"}, "needs one of ask"),
    ],
)
def test_a_schedule_that_says_too_little_or_too_much_is_refused(values, why):
    """With what to write instead."""
    with pytest.raises(ValidationError, match=why):
        ScheduleSettings.model_validate(values)


def test_the_same_time_has_the_same_id():
    """So of two that carry out one time, the log lets only the first."""
    assert firing_id("x", START) == firing_id("x", START) != firing_id("y", START)
