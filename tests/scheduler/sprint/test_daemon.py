"""The daemon: crontab lines as cron reads them, and sprints that start by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.sprint.daemon import Daemon, _is_work, following

from ...samples import examples

MONDAY = datetime(2026, 3, 2, 8, 30).astimezone()


@pytest.mark.parametrize(
    ("cron", "days", "hour"),
    [
        ("0 9 * * *", 0, 9), ("0 8 * * *", 1, 8), ("0 9 * * 0", 6, 9), ("0 9 * * 7", 6, 9), ("0 9 * * sun", 6, 9),
        ("0 9 * * 1", 0, 9), ("0 9 * * 2-4", 1, 9), ("0 9 * * 5-7", 4, 9), ("0 9 * * sat,sun", 5, 9),
        ("0 9 * * */3", 2, 9), ("0 9 4 * *", 2, 9), ("0 9 4 * 2", 1, 9), ("0 9 3 * 5", 1, 9),
    ],
)  # fmt: skip
def test_a_weekday_is_the_one_that_cron_means(cron, days, hour):
    """Sunday is 0 and 7; where day and weekday are both limited, either will do."""
    expected = (MONDAY + timedelta(days=days)).replace(hour=hour, minute=0)
    assert following(cron, MONDAY) == expected


def test_a_day_that_never_comes_is_refused():
    """Better at once than a daemon that waits for the thirtieth of February."""
    with pytest.raises(SettingsError, match="never comes"):
        following("0 0 30 2 *", MONDAY)


def fields(low, high):
    return st.one_of(st.just("*"), st.integers(low, high).map(str), st.integers(2, 9).map(lambda step: f"*/{step}"))


def holds(field, value, low):
    step = int(field.partition("/")[2] or 1)
    return (
        (value - low) % step == 0
        if field.startswith("*")
        else int(field) % 7 == value % 7
        if low < 0
        else int(field) == value
    )


@settings(max_examples=examples(30), deadline=None)
@given(minute=fields(0, 59), hour=fields(0, 23), weekday=st.one_of(st.just("*"), st.integers(0, 7).map(str)))
def test_the_next_time_is_the_first_that_fits(minute, hour, weekday):
    """Against going through the minutes one by one."""
    moment = MONDAY
    while True:
        moment += timedelta(minutes=1)
        day = weekday == "*" or int(weekday) % 7 == moment.isoweekday() % 7
        if day and holds(minute, moment.minute, 0) and holds(hour, moment.hour, 0):
            break
    assert following(f"{minute} {hour} * * {weekday}", MONDAY) == moment


def test_the_daemon_runs_the_sprint_that_is_due_and_then_waits(team):
    """The first sprint starts at once; after it the daemon says when the next one is due, until it is told to end."""
    messages, sprints = [], []

    def say(text):
        messages.append(text)
        if text.startswith("waiting for mail"):
            daemon.end()

    ticker = team.ticker({"ann": team.replaced(3, "ann")}, '[sprint]\nevery = "1h"\n')
    daemon = Daemon(ticker, lambda: ticker.context, say, sprints.append)

    daemon.run()

    assert [(sprint.sprint, sprint.converged, sprint.landed) for sprint in sprints] == [(1, True, ("ann",))]
    assert messages[-1].startswith("waiting for mail, or for the next sprint at ")


def test_the_daemon_reports_what_a_person_can_fix_and_keeps_trying(team):
    """An agent that is not there is named in a message and in one mail to the human a day."""
    messages = []

    def say(text):
        messages.append(text)
        if len(messages) == 2:
            daemon.end()

    settings = '[team]\nagent = "robot"\n[agents.robot]\ncommand = ["no-such-robot"]\n[sprint]\nevery = 1\n'
    ticker = team.ticker({}, settings)
    daemon = Daemon(ticker, lambda: ticker.context, say, lambda _: None, patience=timedelta(milliseconds=50))

    daemon.run()

    assert all("no-such-robot" in text and text.endswith("the next time tries again") for text in messages)
    mails = [mail for mail in team.context().mailbox.inbox("you") if mail.subject == "The scheduler needs you"]
    assert [mail.type for mail in mails] == ["escalate"]


def test_the_daemon_reads_changed_settings_and_is_woken_by_mail(team):
    """Mail to a persona starts a sprint for it at once, with the settings of that moment."""
    messages, sprints = [], []

    def say(text):
        messages.append(text)
        if text.startswith("waiting for mail") and len(sprints) == 1:
            context = team.context({}, '[sprint]\nevery = "2h"\n')
            context.mailbox.send(Letter("you", ["bob"], "Please", "Look."))

    def ended(summary):
        sprints.append(summary)
        if len(sprints) == 2:
            daemon.end()

    ticker = team.ticker({}, '[sprint]\nevery = "1h"\n')
    daemon = Daemon(ticker, lambda: team.context({}, '[sprint]\nevery = "2h"\n'), say, ended)

    daemon.run()

    assert [(sprint.sprint, sprint.runs) for sprint in sprints] == [(1, 3), (2, 1)]
    assert "settings or personas have changed: read again" in messages


@pytest.mark.parametrize("sender", ["cyd", "you"])
def test_mail_of_a_run_elsewhere_wakes_as_that_of_a_person_does(team, sender):
    """A task of a dispatch that writes to somebody who has nothing to do need not wait for the schedule."""
    messages, sprints = [], []

    def say(text):
        messages.append(text)
        if text.startswith("waiting for mail") and len(sprints) == 1:
            run = "r1" if sender == "cyd" else None
            team.context().mailbox.send(Letter(sender, ["bob"], "Please", "Look.", run=run))

    def ended(summary):
        sprints.append(summary)
        if len(sprints) == 2:
            daemon.end()

    ticker = team.ticker({}, '[sprint]\nevery = "1h"\n')
    daemon = Daemon(ticker, lambda: ticker.context, say, ended)

    daemon.run()

    context = team.context()
    sent = next(event for event in context.mailbox.log.read() if event.kind == "mail.sent" and event.sender == sender)
    started = next(e for e in context.mailbox.log.read(sent.seq) if e.kind == "run.started")
    assert started.data["persona"] == "bob"
    assert (sprints[1].sprint, sprints[1].runs) == (2, 1)


def test_mail_that_wakes_nobody_and_mail_of_programs_start_no_sprint(team):
    """What a weaver writes is for the sprint, or the dispatch, that goes on."""
    mailbox = team.context().mailbox
    never = ("fyi",)
    for sender, kind, run, is_work in (
        ("you", "note", None, True), ("you", "fyi", None, False), ("ann", "note", "r", True),
        ("ann", "fyi", "r", False), ("weaver", "conflict", None, False),
    ):  # fmt: skip
        letter = Letter(sender, ["bob"], "Look", "x", type=kind, run=run)
        (event,) = mailbox.log.append([letter.draft(mailbox.directory, mailbox.blobs)])
        assert _is_work(event, "you", never) is is_work
        assert not _is_work(event, "bob", never)
    ends = [Draft(kind, "scheduler", data={"task": "a"}) for kind in ("run.finished", "run.lost")]
    assert all(_is_work(event, "you", never) for event in mailbox.log.append(ends))
