"""Notices end to end: from the log to a real server on loopback, and back onto the log."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft, new_id
from team_mail.scheduler.errors import NotLeader, SettingsError
from team_mail.scheduler.notify.endpoint import send_test
from team_mail.scheduler.notify.notifier import send_due, sending
from team_mail.scheduler.notify.outbox import PAUSES

from .conftest import table
from .receiver import OTHER, SECRET, Receiver, verified

HELD = {"persona": "ann", "tick": 1, "files": ["Makefile"], "why": "sensitive files"}


def held(run="r" * 8):
    return Draft("patch.held", "weaver", ref=run, data=HELD)


def of(context, *kinds):
    return [event for event in context.mailbox.log.read() if event.kind in kinds]


def now():
    """The time by which the reference, and other processes, go."""
    return datetime.now(UTC)


def begin(context):
    """Let notices begin here."""
    assert [sent.taken for sent in send_due(context)] == [0] * len(context.settings.notify)


def test_an_event_is_sent_as_its_line_signed_and_put_on_record(slow, clock):
    """The reference implementation of Standard Webhooks takes it for genuine, now and with this secret alone."""
    clock.current = now()
    with Receiver() as ci:
        context = slow(table(ci.url, on='"patch.held"', console="http://localhost:8000"))
        begin(context)
        (event,) = context.append([held()])
        (sent,) = send_due(context)
    (got,) = ci.got
    assert (sent.taken, sent.failed, sent.waiting) == (1, (), 0)
    line = verified(got)
    assert {name: line[name] for name in ("seq", "id", "ts", "kind", "sender", "ref", "data")} == {
        name: getattr(event, name) for name in ("seq", "id", "ts", "kind", "sender", "ref", "data")
    }
    assert line["links"] == {"console": "http://localhost:8000"}
    assert (got.headers["webhook-id"], got.headers["content-type"]) == (event.id, "application/json")
    with pytest.raises(WebhookVerificationError):
        verified(got, OTHER)
    (record,) = of(context, "notice.sent")
    assert (record.ref, record.data["notify"], record.data["events"]) == (event.id, "ci", [event.id])
    with Receiver() as ci:
        assert [each.taken for each in send_due(context)] == [0]


def test_two_secrets_sign_while_one_takes_the_place_of_the_other(slow, team, clock):
    clock.current = now()
    with Receiver() as ci:
        context = slow(table(ci.url))
        (team.folder / "hook.secret").write_text(f"whsec_{OTHER}\n{SECRET}\n")
        assert send_test(context, "ci").why == ""
    (got,) = ci.got
    assert verified(got) == verified(got, OTHER)
    assert got.headers["webhook-signature"].count("v1,") == 2


def test_what_happened_before_an_endpoint_is_no_news_to_it(slow):
    with Receiver() as ci:
        context = slow(table(ci.url, on='"patch.held"'))
        context.append([held("before")])
        begin(context)
        context.append([held("after")])
        send_due(context)
    assert [got.json["ref"] for got in ci.got] == ["after"]


def test_what_needs_the_human_is_gathered_for_five_seconds_into_one_notice(slow, clock):
    """A held patch and the mail about it are one need; what comes later is another notice."""
    with Receiver() as phone:
        context = slow(table(phone.url))
        begin(context)
        run = new_id()
        first, *_ = context.append(
            [held(run), Draft("persona.skipped", "scheduler", data={"persona": "bob", "why": "3 of 3"})]
        )
        about = Letter("weaver", ["you"], "Held", "…", key=f"question {run}", type="escalate")
        context.append([about.draft(context.mailbox.directory, context.mailbox.blobs)])
        context.append([Draft("mail.sent", "ann", ("bob",), "For a teammate")])
        clock.sleep(6)
        context.append([Draft("mail.sent", "ann", ("you",), "A question")])
        send_due(context)
    one, two = phone.got
    assert one.json["subject"] == "2 things need you"
    assert [(need["kind"], need["text"], need["command"], need["seq"]) for need in one.json["needs"]] == [
        ("patch", "ann's patch to Makefile is held: sensitive files", f"scheduler approve {run[:8]}", first.seq),
        ("persona", "bob was set aside: 3 of 3", "team-mail send --to bob -s … -b …", first.seq + 1),
    ]
    assert len(one.json["events"]) == 3
    assert (one.headers["webhook-id"], two.json["subject"]) == (first.id, "ann writes: A question")


def test_a_failure_is_tried_again_ever_later_and_then_told_by_mail(slow, clock):
    """500 for ever: seven attempts with one id, then one mail to the human, which is no notice to the same endpoint."""
    with Receiver(lambda _: 500) as ci:
        context = slow(table(ci.url, on='"patch.held", "needs-me"'))
        begin(context)
        began = clock.now()
        (event,) = context.append([held()])
        for _ in range(20):
            if not (wait := send_due(context)[0].waiting):
                break
            clock.sleep(1_800 if wait else 0)
    assert ci.ids == [event.id] * (len(PAUSES) + 1)
    failed = of(context, "notice.failed")
    assert [each.data["again"] for each in failed] == [*PAUSES, None]
    assert {each.data["why"] for each in failed} == {"answered 500"}
    assert clock.now() - began >= timedelta(seconds=sum(PAUSES))
    (mail,) = [each for each in of(context, "mail.sent") if each.recipients == ("you",)]
    assert mail.subject == "Notices to ci do not arrive"
    assert "team notify test ci" in mail.body
    assert send_due(context)[0] == ("ci", 0, (), 0)


def test_an_endpoint_that_is_down_is_asked_by_one_notice_and_gets_all_once_it_is_up(slow, clock):
    """So a thousand notices are not tried seven times each."""
    status = [500]
    with Receiver(lambda _: status[0]) as ci:
        context = slow(table(ci.url, on='"patch.held"'))
        begin(context)
        context.append([held(f"run-{number}") for number in range(40)])
        (sent,) = send_due(context)
        assert (len(ci.got), sent.waiting) == (4, 40)
        status[0] = 200
        clock.sleep(3_600)
        (sent,) = send_due(context)
    assert (sent.taken, sent.waiting) == (40, 0)
    assert len({*ci.ids}) == 40


def test_410_switches_an_endpoint_off_until_a_test_of_it_succeeds(slow, clock):
    status = [410]
    with Receiver(lambda _: status[0]) as ci:
        context = slow(table(ci.url, on='"patch.held"'))
        begin(context)
        context.append([held("one"), held("two")])
        (sent,) = send_due(context)
        clock.sleep(86_000)
        context.append([held("three")])
        assert (len(ci.got), send_due(context)[0].taken) == (1, 0)
        assert "410" in sent.failed[0]
        status[0] = 200
        assert send_test(context, "ci").why == ""
        assert send_due(context)[0].taken == 2
    assert [got.json["ref"] for got in ci.got[2:]] == ["two", "three"]
    assert [mail.subject for mail in of(context, "mail.sent")] == ["Notices to ci do not arrive"]


def test_a_killed_sender_sends_again_with_the_same_id(slow, team, clock):
    """`kill -9` after the request and before the record of it: nothing is lost, and the receiver can tell."""
    clock.current = now() - timedelta(seconds=10)
    sender: list[subprocess.Popen[bytes]] = []

    def kill(_):
        if len(ci.got) == 1:
            sender[0].kill()
            sender[0].wait()
        return 204

    with Receiver(kill) as ci:
        context = slow(table(ci.url))
        begin(context)
        first, _ = context.append([held("one"), held("two")])
        sender.append(subprocess.Popen([Path(sys.executable).with_name("team"), "notify"], cwd=team.folder))
        ci.until(1)
        assert sender[0].wait() == -9
        clock.sleep(6)
        context.append([held("three")])
        send_due(context)
    once, again, later = ci.got
    assert once.headers["webhook-id"] == again.headers["webhook-id"] == first.id
    assert once.body == again.body
    assert [each["ref"] for each in later.json["events"]] == ["three"]


def test_what_is_older_than_a_day_is_not_sent(slow, clock):
    with Receiver() as ci:
        context = slow(table(ci.url, on='"patch.held"'))
        begin(context)
        context.append([held("old")])
        clock.sleep(25 * 3_600)
        context.append([held("new")])
        send_due(context)
    assert [got.json["ref"] for got in ci.got] == ["new"]


def test_one_process_sends_at_a_time(slow):
    context = slow(table("http://localhost:1/"))
    with sending(context), pytest.raises(NotLeader, match="another process sends the notices"):
        send_due(context)


def test_a_dispatch_whose_process_is_gone_needs_the_human(slow, clock):
    """Nothing is written when it is killed; whoever sends notices sees that its process is gone."""
    with Receiver() as phone:
        context = slow(table(phone.url))
        begin(context)
        gone = {"host": "h", "boot": "b", "pid": 1, "start": "0"}
        data = {"dispatch": "d" * 36, "supervisor": gone, "tasks": [], "base": "", "branch": "", "agent": None}
        context.append([Draft("dispatch.started", "scheduler", data=data)])
        send_due(context)
        send_due(context)
        assert [(got.json["subject"], [need["command"] for need in got.json["needs"]]) for got in phone.got] == [
            ("dispatch dddddddd was cut off", ["team dispatch --resume dddddddd"])
        ]


def test_an_agent_that_writes_into_the_log_makes_no_notice_of_a_program(slow):
    with Receiver() as ci:
        context = slow(table(ci.url, on='"patch.held", "needs-me"'))
        begin(context)
        context.append([held()._replace(sender="ann")])
        sent = Draft("notice.failed", "ann", data={"notify": "ci", "notice": "n", "gone": True})
        context.append([sent, held("true")])
        send_due(context)
    assert [got.json["ref"] for got in ci.got] == ["true"]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("c2Vj", "holds a secret of 3 bytes, and it must have 24 to 64"),
        ("not base64!", "holds a secret that is not base64"),
        ("", "holds 0 secrets"),
        (f"{SECRET}\n{SECRET}\n{SECRET}", "holds 3 secrets"),
        ("x" * 5_000, "holds more than secrets"),
        (None, "cannot be read"),
    ],
)
def test_a_secret_that_is_none_is_refused_at_the_start_with_the_line(slow, team, secret, words):
    context = slow(table("http://localhost:1/"))
    path = team.folder / "hook.secret"
    path.unlink() if secret is None else path.write_text(secret)
    with pytest.raises(SettingsError, match=r"^team\.toml:6: notify\.ci\.secret_file .*" + words):
        send_due(context)


def test_long_texts_are_cut_and_nothing_is_longer_than_64_kib(slow, clock):
    with Receiver() as ci:
        context = slow(table(ci.url, on='"mail.sent", "needs-me"', name="ci") + table(ci.url, name="me"))
        begin(context)
        letters = [Draft("mail.sent", "ann", ("you",), "s" * 9_000, "ü" * 60_000, data={"x": "y" * 90_000})] * 30
        context.append(letters)
        clock.sleep(6)
        send_due(context)
    assert max(len(got.body) for got in ci.got) <= 64 << 10
    one = next(got.json for got in ci.got if got.json["kind"] == "mail.sent")
    assert one["data"] == {"cut": True}
    assert len(one["body"].encode()) <= 4 << 10
    assert one["body"].endswith("ü […]")
    many = next(got.json for got in ci.got if got.json["kind"] == "needs-me")
    assert (many["subject"], len(many["needs"]), many["needs"][0]["text"][-1]) == ("30 things need you", 30, "…")
