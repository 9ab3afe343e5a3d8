"""The outbox against a naive list: whatever happens in whatever order, nothing is lost, and nothing is sent twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import rfc3339
from team_mail.mail.log.event import Event
from team_mail.scheduler.needs import Reader
from team_mail.scheduler.notify.outbox import GATHER, PAUSES, Notice, Outbox, need_of_event

from ...samples import examples

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
READER = Reader("you", ("fyi",), {"m": ("make", "test")})


def event(seq, kind, at=START, sender="weaver", **more):
    fields = {
        "recipients": (), "subject": "", "body": "", "thread": None, "reply_to": None, "priority": "normal",
        "ref": "r", "run": None, "data": {},
    } | more  # fmt: skip
    return Event(1, seq, f"id-{seq}", rfc3339(at), kind, sender, *fields.values(), "", "")


def mail(seq, at=START, to="you", **more):
    return event(seq, "mail.sent", at, "ann", recipients=(to,), subject=f"mail {seq}", **more)


def came(seq, notice, at, *, why="", again=None):
    data = {"notify": "ci", "notice": notice.id, "events": [each.id for each in notice.events]}
    kind = "notice.failed" if why else "notice.sent"
    return event(seq, kind, at, "scheduler", ref=notice.ref, data=data | ({"why": why, "again": again} if why else {}))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("mail"), st.floats(0, 4)),
        st.tuples(st.just("held"), st.floats(0, 4)),
        st.tuples(st.just("other"), st.floats(0, 4)),
        st.tuples(st.just("send"), st.floats(0, 40)),
        st.tuples(st.just("fail"), st.floats(0, 40)),
    ),
    max_size=40,
)


@settings(max_examples=examples(75))
@given(steps, st.integers(0, 40))
def test_every_event_is_sent_once_however_often_its_sender_is_killed(steps, killed):
    """At any point a new outbox that reads the log from its beginning goes on as the old one would have."""
    outbox, log, sent, now = Outbox("ci", ["needs-me", "patch.held"], READER, 0), [], [], START
    wanted = []

    def write(written):
        log.append(written)
        outbox.add(written)

    for at, (what, later) in enumerate(steps):
        now += timedelta(seconds=later)
        seq = len(log) + 1
        if at == killed:
            outbox = Outbox("ci", ["needs-me", "patch.held"], READER, 0)
            for each in log:
                outbox.add(each)
        if what in {"mail", "held"}:
            wanted.append(f"id-{seq}")
            write(mail(seq, now) if what == "mail" else event(seq, "patch.held", now))
        elif what == "other":
            write(mail(seq, now, to="bob"))
        elif (notice := outbox.turn(now).notice) and what == "send":
            sent += [each.id for each in notice.events]
            write(came(seq, notice, now))
        elif notice and notice.attempts < len(PAUSES):
            write(came(seq, notice, now, why="500", again=PAUSES[notice.attempts]))
    while (turn := outbox.turn(now)).notice or turn.wait is not None:
        now += timedelta(seconds=turn.wait or 0)
        if turn.notice:
            sent += [each.id for each in turn.notice.events]
            write(came(len(log) + 1, turn.notice, now))
    assert sorted(sent) == sorted(wanted)


@settings(max_examples=examples(30))
@given(st.lists(st.floats(0, 12), max_size=12))
def test_needs_are_gathered_for_five_seconds_from_the_first_one(gaps):
    """Against going through the times one by one."""
    outbox, now, groups = Outbox("ci", ["needs-me"], READER, 0), START, []
    for seq, gap in enumerate(gaps, 1):
        now += timedelta(seconds=gap)
        if not groups or now >= groups[-1][0] + GATHER:
            groups.append((now, []))
        groups[-1][1].append(f"id-{seq}")
        outbox.add(mail(seq, now))
    found = []
    while (turn := outbox.turn(now + 2 * GATHER)).notice:
        found.append([each.id for each in turn.notice.events])
        outbox.settle(came(99, turn.notice, now))
    assert found == [ids for _, ids in groups]


def test_what_comes_while_a_notice_is_sent_is_in_the_next_one():
    """Also for who reads both from the log: the record says what was sent."""
    outbox = Outbox("ci", ["needs-me"], READER, 0)
    outbox.add(mail(1))
    first = outbox.turn(START + GATHER).notice
    late = mail(2, START + timedelta(seconds=1))  # its time is from before it was written
    record = came(3, first, START + GATHER)
    fresh = Outbox("ci", ["needs-me"], READER, 0)
    for each in (mail(1), late, record):
        fresh.add(each)
    outbox.add(late)
    outbox.settle(record)
    for box in (outbox, fresh):
        assert [each.id for each in box.turn(START + 2 * GATHER).notice.events] == ["id-2"]


def test_a_clock_that_was_set_back_delays_nothing_for_long():
    outbox = Outbox("ci", ["patch.held", "needs-me"], READER, 0)
    outbox.add(event(1, "patch.held", START + timedelta(days=30)))
    assert outbox.turn(START).wait == GATHER.total_seconds()


@pytest.mark.parametrize(
    ("given", "text", "command"),
    [
        (mail(1), "ann writes: mail 1", "team-mail read 1 --persona you"),
        (mail(1, to="bob"), None, None),
        (mail(1, data={"type": "fyi"}), None, None),
        (event(1, "mail.sent", sender="you", recipients=("you",)), None, None),
        (event(1, "mail.sent", sender="ann", recipients=("you",), subject="Look\x1b[2J!"),
         "ann writes: Look\\x1b[2J!", "team-mail read 1 --persona you"),
        (event(1, "mail.sent", sender="scheduler", recipients=("you",), data={"type": "status"}), None, None),
        (event(1, "patch.held", ref="abcdef1234", data={"persona": "ann", "files": ["Makefile"], "why": "sensitive"}),
         "ann's patch to Makefile is held: sensitive", "scheduler approve abcdef12"),
        (event(1, "patch.held", sender="ann"), None, None),
        (event(1, "persona.skipped", sender="scheduler", data={"persona": "bob", "why": "it failed"}),
         "bob was set aside: it failed", "team-mail send --to bob -s … -b …"),
        (event(1, "round.paused", sender="supervisor", data={"sprint": 3, "why": "silence"}),
         "rounds are paused after round 3: silence", "scheduler resume"),
        (event(1, "scheduler.paused", sender="eve"), "nothing is started, paused by eve", "scheduler resume"),
        (event(1, "deploy.finished", sender="supervisor",
               data={"outcome": "failed", "sprint": 3, "commit": "c" * 40, "why": "exit 1"}),
         "the deployment of cccccccccccc failed: exit 1", "scheduler approve deploy --round 3"),
        (event(1, "deploy.finished", sender="supervisor",
               data={"outcome": "skipped_policy", "sprint": 3, "commit": "c" * 40, "why": "it waits"}),
         "the deployment of cccccccccccc waits: it waits", "scheduler approve deploy --round 3"),
        (event(1, "deploy.finished", sender="supervisor",
               data={"outcome": "skipped_policy", "why": "no [deploy] says how"}), None, None),
        (event(1, "deploy.finished", sender="supervisor", data={"outcome": "deployed"}), None, None),
        (event(1, "gate.judged",
               data={"gate": "tests", "mark": "m", "commit": "c" * 40, "on_base": True, "passed": False}),
         "gate tests fails on the base, cccccccccccc, without any change, so it judges nothing", "make test"),
        (event(1, "gate.judged", data={"gate": "tests", "mark": "m", "on_base": False, "passed": False}), None, None),
        (event(1, "gate.judged", data={"gate": "gone", "mark": "x", "on_base": True, "passed": False}), None, None),
        (event(1, "budget.spent", sender="scheduler", data={"budget": "day", "sprint": 3, "day": "2026-11-30",
                                                            "limit": "$5"}),
         "the budget [budget] day of $5 is spent: raise it in team.toml to go on", "scheduler sprint"),
        (event(1, "claim.expired", sender="ann", data={"task": "fix", "token": 4, "aside": True}),
         "task fix was claimed three times without an end", "team task show fix"),
        (event(1, "claim.expired", sender="ann", data={"task": "fix", "token": 4}), None, None),
        (event(1, "run.finished", sender="scheduler"), None, None),
    ],
)  # fmt: skip
def test_what_needs_the_human_is_said_in_a_line_with_its_command(given, text, command):
    need = need_of_event(given, READER)
    assert (need and need.text, need and need.command) == (text, command)
    assert need is None or need.seq == given.seq


def test_a_mail_of_a_program_about_the_same_thing_is_not_said_twice():
    held = event(1, "patch.held", ref="run-1", data={"persona": "ann"})
    about = event(2, "mail.sent", sender="weaver", recipients=("you",), subject="Held",
                  data={"key": "question run-1", "type": "escalate"})  # fmt: skip
    other = event(3, "mail.sent", sender="ann", recipients=("you",), subject="Held", data={"key": "question run-1"})
    needs = tuple(need_of_event(each, READER) for each in (held, about, held, other))
    notice = Notice("n", "needs-me", "n", (held, about, held, other), START, needs)
    assert [need.text for need in notice.lines] == [needs[0].text, "ann writes: Held"]
