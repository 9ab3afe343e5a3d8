"""Notices while a team is led: at once, beside all else, whatever one of the endpoints does."""

from __future__ import annotations

import threading

import pytest
from team_mail.mail.log.event import Draft
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.notify.notifier import Notifier, sending
from team_mail.team.api import sprints

from .conftest import table
from .receiver import SECRET, Receiver


def held(number=0):
    return Draft(
        "patch.held", "weaver", ref=f"run-{number}", data={"persona": "ann", "files": [], "why": "x", "tick": 1}
    )


def opened(team, settings):
    (team.folder / "hook.secret").write_text(SECRET)
    return team.context({}, settings)


def until_kind(log, kind, count, after=0):
    """Wait until so many events of a kind are in the log."""
    stop, events = threading.Event(), []
    for event in log.follow(after, stop):
        events += [event] if event.kind == kind else []
        if len(events) == count:
            stop.set()
            return events
    raise AssertionError


def test_a_dead_endpoint_delays_no_other(team):
    """One never answers, and the other has all fifty before the first has had one."""
    dead = threading.Event()
    with Receiver(lambda _: 204 if dead.wait(30) else 500) as sick, Receiver() as well:
        settings = table(sick.url, name="sick", on='"patch.held"') + table(well.url, name="well", on='"patch.held"')
        context = opened(team, settings)
        try:
            with Notifier(context, lambda _: None):
                until_kind(context.mailbox.log, "notice.opened", 2)
                context.append([held(number) for number in range(50)])
                got = well.until(50)
                assert len(sick.got) <= 1
        finally:
            dead.set()
    assert [each.json["ref"] for each in got] == [f"run-{number}" for number in range(50)]


def test_a_notifier_takes_over_when_another_process_ends(team):
    said = []
    with Receiver() as ci:
        context = opened(team, table(ci.url, on='"patch.held"'))
        with sending(context):
            notifier = Notifier(context, said.append)
            notifier.__enter__()
        until_kind(context.mailbox.log, "notice.opened", 1)
        context.append([held()])
        ci.until(1)
        until_kind(context.mailbox.log, "notice.sent", 1)
        notifier.__exit__()
    assert said == []


def test_what_hinders_it_is_said_and_other_settings_are_taken_at_once(team):
    """A secret that goes missing stops no work of the team; at the start, it is refused."""
    said, spoken = [], threading.Event()

    def say(text):
        said.append(text)
        spoken.set()

    with Receiver() as ci, Notifier(opened(team, ""), say) as notifier:
        context = opened(team, table(ci.url, on='"patch.held"'))
        (team.folder / "hook.secret").unlink()
        with pytest.raises(SettingsError, match=r"^team\.toml:6: notify\.ci\.secret_file names "):
            Notifier(context, say).__enter__()
        notifier.renew(context)
        assert spoken.wait(60)
        notifier.renew(opened(team, table(ci.url, on='"patch.held", "round.paused"')))
        until_kind(context.mailbox.log, "notice.opened", 1)
        context.append([held()])
        ci.until(1)
        until_kind(context.mailbox.log, "notice.sent", 1)
    assert said[0].startswith("no notices are sent: team.toml:6: notify.ci.secret_file names ")


def test_a_team_that_is_led_tells_of_the_end_of_its_sprint(team):
    """`scheduler run` sends by itself."""
    lines, ended = [], threading.Event()

    def listen(progress):
        lines.append(progress.text)
        if progress.text.startswith("waiting for mail"):
            ended.set()

    class Ending:
        """Ends the daemon once a thread says so."""

        def __init__(self, end):
            self.end = end

        def __enter__(self):
            threading.Thread(target=lambda: (ended.wait(60), ci.until(1), self.end()), daemon=True).start()
            return []

        def __exit__(self, *_):
            pass

    with Receiver() as ci:
        context = opened(team, table(ci.url, on='"sprint.finished"'))
        sprints.run(context, lambda: context, listener=listen, interrupts=Ending)
    assert [got.json["kind"] for got in ci.got] == ["sprint.finished"]
    assert [line for line in lines if "notice" in line] == []
