"""The verbs of the mailbox: what each does, and which errors it raises."""

from __future__ import annotations

import json
import threading
from io import StringIO
from pathlib import Path

import pytest
from team_mail.mail.check.digest import digest
from team_mail.mail.clock import ALL, ManualClock, moment, rfc3339
from team_mail.mail.directory import Directory
from team_mail.mail.errors import (
    AmbiguousMessage,
    InvalidEvent,
    LogUnavailable,
    UnknownMessage,
    UnknownRecipient,
    UsageError,
)
from team_mail.mail.letter import Letter, due_date
from team_mail.mail.log.blobs import FileBlobs, MemoryBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.copies import write_parquet
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections
from team_mail.mail.render import listing, whole

ROSTER = frozenset({"curator", "builder", "critic"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(clock: ManualClock) -> MemoryLog:
    return MemoryLog(clock=clock)


@pytest.fixture
def mailbox(log: MemoryLog, clock: ManualClock, tmp_path: Path) -> Mailbox:
    directory = Directory(ROSTER, {"docs": ("curator", "critic")}, "ada")
    return Mailbox(log, FileBlobs(tmp_path / "blobs"), MemoryProjections(log), directory, clock)


def without_roster(log: MemoryLog) -> Mailbox:
    return Mailbox(log, MemoryBlobs(), MemoryProjections(log))


def letter(to: str = "curator", subject: str = "Work", **fields) -> Letter:
    return Letter(fields.pop("sender", "builder"), [to], subject, **fields)


def size(log: MemoryLog) -> int:
    return sum(1 for _ in log.read())


# -- addresses


def test_an_unknown_recipient_is_refused_with_the_nearest_names(mailbox, log):
    """A typing error is answered with the intended name, and nothing is written."""
    with pytest.raises(UnknownRecipient, match=r"no persona 'curater'; did you mean curator"):
        mailbox.send(letter("curater"))
    with pytest.raises(UnknownRecipient, match=r"no persona 'zzz'; there are ada, builder, critic, curator"):
        mailbox.send(letter("zzz"))
    assert size(log) == 1


def test_one_wrong_address_refuses_the_whole_message(mailbox, log):
    """A message goes to all of its recipients or to none."""
    with pytest.raises(UnknownRecipient):
        mailbox.send(Letter("builder", ["curator", "nobody"], "Work"))
    assert size(log) == 1


def test_without_a_roster_any_name_is_a_recipient(log, tmp_path):
    """A team without persona files can send mail from the start."""
    mailbox = without_roster(log)
    assert mailbox.send(letter("whoever")).recipients == ("whoever",)
    with pytest.raises(UnknownRecipient, match="no roster yet"):
        mailbox.send(letter("@all"))


@pytest.mark.parametrize("address", ["a b", "../x", "-x", "x\ny", "x" * 65, "x@y.org", "\x1b[31mred", "a/b"])
def test_an_invalid_name_is_refused_even_without_a_roster(address, log, tmp_path):
    """A name is one word, so that it can be part of a path, a header and a line."""
    with pytest.raises(UnknownRecipient, match="is not a name"):
        without_roster(log).send(letter(address))


def test_one_address_needs_no_list(mailbox):
    """It is not taken for the list of its letters."""
    assert mailbox.send(Letter("builder", "curator", "Work", cc="critic")).recipients == ("curator", "critic")


@pytest.mark.parametrize("to", [[""], ["  "], ["@team"]])
def test_an_empty_recipient_is_refused(to, mailbox):
    """An empty address is an error, not an empty list."""
    with pytest.raises(UsageError, match=r"no (recipient|group)"):
        mailbox.send(Letter("builder", to, "Work"))


def test_no_recipient_at_all_is_refused(mailbox):
    """A message needs at least one address."""
    with pytest.raises(UsageError, match="no recipient: name a persona"):
        mailbox.send(Letter("builder", [], "Work"))


@pytest.mark.parametrize("address", ["curator", "curator@team", " curator "])
def test_an_address_may_be_written_with_the_team(address, mailbox):
    """`curator` and `curator@team` are the same persona."""
    assert mailbox.send(letter(address)).recipients == ("curator",)


@pytest.mark.parametrize("address", ["@all", "all@team", "all", "@ALL", "All@team"])
def test_all_is_everybody_but_the_sender(address, mailbox):
    """A broadcast reaches the roster and the human, and does not come back."""
    assert mailbox.send(letter(address)).recipients == ("ada", "critic", "curator")


def test_a_group_is_its_members_but_the_sender(mailbox):
    """A group of `team.toml` is written with an @."""
    assert mailbox.send(letter("@docs")).recipients == ("curator", "critic")
    assert mailbox.send(letter("@docs", sender="critic")).recipients == ("curator",)
    with pytest.raises(UnknownRecipient, match=r"no group @doc; did you mean docs"):
        mailbox.send(letter("@doc"))


def test_a_recipient_named_several_times_gets_the_message_once(mailbox):
    """To and cc, groups and names may overlap."""
    sent = mailbox.send(Letter("builder", ["curator", "@docs", "curator@team"], "Work", cc=["@all"]))
    assert sent.recipients == ("curator", "critic", "ada")
    assert mailbox.read("ada", str(sent.seq)).cc == ("ada",)


def test_programs_and_the_human_are_always_recipients(mailbox):
    """They can receive mail although they are not on the roster."""
    assert mailbox.send(letter("weaver")).recipients == ("weaver",)
    assert mailbox.send(letter("ada")).recipients == ("ada",)


def test_mail_to_oneself_is_mail(mailbox):
    """A note to oneself is in the inbox once, unread."""
    mailbox.send(letter("builder"))
    assert [(m.subject, m.read) for m in mailbox.inbox("builder")] == [("Work", False)]


# -- what is sent


def test_reading_returns_every_field_of_the_letter(mailbox, clock, tmp_path):
    """Subject, body, type, priority, due date, payload, attachments, copy, thread, run: nothing is lost."""
    file = tmp_path / "plan.txt"
    file.write_bytes(b"\0\xff")
    due = due_date("+2h", clock.now())
    sent = mailbox.send(
        letter(
            body="Do it.\n", cc=["critic"], type="task", priority="high", due=due, run="r1",
            payload={"a": [1, None, 2.5, "ü"]}, attachments=[file, ("b.bin", b"xyz")],
        )
    )  # fmt: skip
    mailbox.log.append([Draft("run.started", "scheduler", run="r1", data={"persona": "builder"})])
    got = mailbox.read("curator", str(sent.seq))
    assert got.whole() | {"id": 0, "ts": 0, "thread": 0} == {
        "id": 0, "seq": sent.seq, "ts": 0, "sender": "builder", "recipients": ["curator", "critic"],
        "subject": "Work", "type": "task", "priority": "high", "thread": 0, "reply_to": None, "read": True,
        "acked": False, "archived": False, "tags": [], "body": "Do it.\n", "cc": ["critic"], "run": "r1",
        "due": "2026-01-01T02:00:00.000000Z", "payload": {"a": [1, None, 2.5, "ü"]}, "trashed": False,
        "answered": False, "verified": True, "channel": None, "attachments": [
            {"name": "plan.txt", "sha256": got.attachments[0]["sha256"], "size": 2},
            {"name": "b.bin", "sha256": got.attachments[1]["sha256"], "size": 3},
        ],
    }  # fmt: skip
    assert [mailbox.blobs.read(a["sha256"]) for a in got.attachments] == [b"\0\xff", b"xyz"]
    assert got.thread == got.id == sent.id


@pytest.mark.parametrize("rotating", [False, True])
def test_a_run_vouches_for_its_own_persona_alone(tmp_path, rotating):
    """A run that never was, another's, and one that nobody but the scheduler would have started vouch for nobody."""
    log = EventLog(tmp_path / "mail", segment_bytes=500 if rotating else 1 << 20, on_sealed=write_parquet)
    mailbox = Mailbox(log, MemoryBlobs(), FileProjections(log))
    log.append([Draft("run.started", "scheduler", run="r1", data={"persona": "builder"})])
    log.append([Draft("run.started", "scheduler", run="r1", data={"persona": "critic"})])
    log.append([Draft("run.started", "builder", run="r2", data={"persona": "builder"})])
    for run, sender in (
        ("r1", "builder"),
        ("r1", "critic"),
        ("r2", "builder"),
        ("never", "builder"),
        (None, "builder"),
    ):
        mailbox.send(Letter(sender, ["curator"], f"{run} {sender}", "words", run=run))
    wanted = {"r1 builder": True, "r1 critic": False, "r2 builder": False, "never builder": False, "None builder": True}

    listed = mailbox.inbox("curator")
    reads = [mailbox.read("curator", str(message.seq), peek=True) for message in listed]
    threads = [message for each in listed for message in mailbox.thread(str(each.seq))]
    for messages in (listed, reads, threads, mailbox.search("words"), mailbox.with_bodies(listed)):
        assert {message.subject: message.verified for message in messages} == wanted
    out = StringIO()
    whole(listed[1], out)
    assert "From: builder (unverified sender: the run that it names is none of builder's)\n" in out.getvalue()
    assert listing(listed[1]).startswith(f"[ NEW ] {listed[1].seq} | From: builder (unverified) | ")
    assert " builder (unverified): never builder" in digest([message.listed() for message in listed], 500)


@pytest.mark.parametrize(("word", "meant"), [("medium", "normal"), ("critical", "urgent"), ("low", "low")])
def test_priorities_of_other_mail_systems_are_accepted(word, meant, mailbox):
    """`medium` is normal and `critical` is urgent."""
    assert mailbox.send(letter(priority=word)).priority == meant


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"priority": "asap"}, "priority 'asap' must be one of low, normal"),
        ({"type": "two words"}, "type 'two words' is not one word"),
        ({"type": "x" * 33}, "is not one word of at most 32"),
        ({"type": ""}, "is not one word"),
        ({"sender": "@all"}, "is a group"),
        ({"sender": " "}, "name is empty"),
        ({"sender": "stranger"}, "no persona 'stranger'"),
        ({"thread": "topic"}, "no message 'topic'"),
        ({"reply_to": "99"}, "no message '99'"),
        ({"due": "soon"}, "due 'soon' is not a time"),
        ({"key": ""}, "the key is empty"),
        ({"key": " "}, "the key is empty"),
        ({"key": 7}, "key is 7, which is no text"),
        ({"subject": b"x"}, "subject is b'x', which is no text"),
        ({"subject": ""}, "nothing to send"),
        ({"payload": float("nan")}, "NaN"),
        ({"payload": 1 << 60}, r"beyond 2\^53"),
        ({"payload": {1: 2}}, "not text"),
        ({"payload": object()}, "not JSON"),
        ({"attachments": [Path("/nowhere/x")]}, "cannot attach /nowhere/x: No such file"),
        ({"attachments": [Path("/")]}, "cannot attach /: it is a folder, and no file"),
    ],
)
def test_an_invalid_letter_is_refused_with_the_reason(fields, words, mailbox, log):
    """Each error names the value, and nothing is written."""
    with pytest.raises(UsageError, match=words):
        mailbox.send(letter(**fields))
    assert size(log) == 1


def test_a_payload_or_an_attachment_alone_is_a_message(mailbox):
    """A program may send no text; 0 and an empty list are payloads."""
    assert mailbox.send(Letter("builder", ["curator"], payload=0)).seq == 2
    assert mailbox.read("curator", "2").payload == 0
    for empty in ({}, [], ""):
        sent = mailbox.send(Letter("builder", ["curator"], payload=empty))
        assert mailbox.read("curator", str(sent.seq)).payload == empty


def test_a_body_of_two_mebibytes_is_read_whole(mailbox, log):
    """A body too long for a line is stored as a blob; neither `read` nor `thread` shows a difference."""
    body = "ü" * (1 << 20)
    sent = mailbox.send(letter(body=body))
    assert len(sent.body) < 10_000
    assert mailbox.read("curator", str(sent.seq)).body == body
    assert mailbox.thread(str(sent.seq))[0].body == body
    assert next(mailbox.watch("curator", 0)).body == body


def test_a_blob_that_cannot_be_stored_is_an_error_of_the_log(mailbox, tmp_path):
    """A folder that cannot be written is a LogUnavailable, not a traceback."""
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(LogUnavailable, match="cannot store"):
        mailbox.send(letter(attachments=[("a", b"b")]))


def test_the_same_key_of_the_same_sender_is_the_same_message(mailbox, log):
    """Sending with a key is idempotent; the same key of another sender is another message."""
    first = mailbox.send(letter(key="k"))
    assert mailbox.send(letter(key="k")) == first
    assert mailbox.send(letter(key="k", sender="critic")).id != first.id
    assert [m.seq for m in mailbox.inbox("curator")] == [3, 2]


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("+90s", "2026-01-01T00:01:30.000000Z"),
        ("+2w", "2026-01-15T00:00:00.000000Z"),
        ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00.000000Z"),
    ],
)
def test_due_dates_are_parsed(text, due, clock):
    """A due date is a time, or a time span from now."""
    assert due_date(text, clock.now()) == due


@pytest.mark.parametrize("text", ["soon", "+2", "+2y", "", "2026-13-01", "+99999999999999999999w", "0001-01-01"])
def test_an_invalid_due_date_is_refused(text, clock):
    """A time beyond the calendar is an error, too, and not a traceback."""
    with pytest.raises(UsageError, match="is not a time"):
        due_date(text, clock.now())


# -- which message


@pytest.mark.parametrize("name", ["99", "0", "-1", "1", "x", "", "'", "%", "0000", "9" * 30, "02", "²", "deadbeef"])
def test_an_unknown_message_is_named_in_the_error(name, mailbox):
    """Neither an unknown number nor other text names a message; event 1 is not mail."""
    mailbox.send(letter())
    with pytest.raises(UnknownMessage, match="no message"):
        mailbox.read("curator", name)


def test_a_message_is_named_by_number_id_or_beginning_of_the_id(mailbox):
    """All three work, in upper and lower case."""
    sent = mailbox.send(letter())
    for name in (str(sent.seq), sent.id, sent.id[:20], sent.id.upper(), f" {sent.seq} "):
        assert mailbox.read("curator", name, peek=True).id == sent.id


def test_an_ambiguous_beginning_of_an_id_is_refused_with_the_numbers(mailbox, log):
    """The error lists the numbers of the messages that match."""
    for last in "ab":
        data = {"type": "note"}
        log.append([Draft("mail.sent", "x", ("curator",), id=f"abcd0000-0000-7000-8000-00000000000{last}", data=data)])
    with pytest.raises(AmbiguousMessage, match=r"'abcd' names more than one message \(2, 3, …\); use the number"):
        mailbox.read("curator", "abcd")


def test_another_personas_message_can_be_read_but_not_marked(mailbox, log):
    """Everyone on the team can read all mail; marks belong to its recipients."""
    mailbox.send(letter())
    assert mailbox.read("critic", "2").read is False
    for verb in ("read", "acked", "archived", "trashed"):
        with pytest.raises(UsageError, match="message 2 is not critic's: it went to curator"):
            mailbox.mark("critic", verb, ["2"])
    with pytest.raises(UsageError, match="is not critic's"):
        mailbox.tag("critic", "2", "hot")
    assert size(log) == 2


# -- marks


def test_reading_marks_read_for_the_reader_alone_and_once(mailbox, log):
    """Each recipient of a broadcast has its own read state."""
    mailbox.send(letter("@all"))
    assert mailbox.read("curator", "2", peek=True).read is False
    assert mailbox.read("curator", "2").read is True
    mailbox.read("curator", "2")
    assert size(log) == 3
    assert [m.read for m in mailbox.inbox("curator")] == [True]
    assert [m.read for m in mailbox.inbox("critic")] == [False]


def test_archiving_and_trashing_do_not_change_the_read_state(mailbox):
    """Moving a message out of the inbox and back leaves it unread."""
    mailbox.send(letter())
    for verb, state in [
        ("archived", "archived"),
        ("unarchived", "inbox"),
        ("trashed", "trashed"),
        ("restored", "inbox"),
    ]:
        mailbox.mark("curator", verb, ["2"])
        assert [(m.seq, m.read) for m in mailbox.inbox("curator", state=state)] == [(2, False)]
    mailbox.mark("curator", "archived", ["2"])
    mailbox.mark("curator", "trashed", ["2"])
    assert mailbox.inbox("curator", state="archived") == []
    mailbox.mark("curator", "restored", ["2"])
    assert [m.seq for m in mailbox.inbox("curator", state="archived")] == [2], "restored to where it was"


def test_marking_twice_writes_once_even_within_one_call(mailbox, log):
    """A mark that is already set is not written again."""
    mailbox.send(letter())
    mailbox.mark("curator", "acked", ["2", "2"])
    mailbox.mark("curator", "acked", ["2"])
    assert [event.kind for event in log.read()] == ["log.opened", "mail.sent", "mail.acked"]


def test_one_unknown_name_marks_none(mailbox, log):
    """Marking several messages is all or nothing."""
    mailbox.send(letter())
    with pytest.raises(UnknownMessage):
        mailbox.mark("curator", "acked", ["2", "77"])
    assert size(log) == 2


def test_tags_are_the_personas_own(mailbox):
    """Another recipient does not see them, and removing a tag twice writes nothing."""
    mailbox.send(letter("@all"))
    mailbox.tag("curator", "2", "hot")
    assert mailbox.tag("curator", "2", "ci/red").tags == ("ci/red", "hot")
    assert [m.tags for m in mailbox.inbox("critic")] == [()]
    assert [m.seq for m in mailbox.inbox("curator", tag="hot")] == [2]
    mailbox.tag("curator", "2", "hot", remove=True)
    assert mailbox.tag("curator", "2", "hot", remove=True).tags == ("ci/red",)
    assert mailbox.tags("curator") == [{"tag": "ci/red", "messages": 1}]


@pytest.mark.parametrize("tag", ["", "a b", "-x", "x" * 65, "a\nb", "#hot", "a,b"])
def test_an_invalid_tag_is_refused(tag, mailbox):
    """A tag is one word."""
    mailbox.send(letter())
    with pytest.raises(UsageError, match="is not a tag"):
        mailbox.tag("curator", "2", tag)


# -- answers


def test_an_answer_goes_to_the_sender_in_the_thread_and_marks_the_message_read(mailbox):
    """The subject gets one Re:, however long the thread."""
    first = mailbox.send(letter())
    second = mailbox.reply(Letter("curator", [], body="Done."), "2")
    third = mailbox.reply(Letter("builder", [], body="Thanks."), str(second.seq))
    assert (second.recipients, second.subject, second.reply_to) == (("builder",), "Re: Work", first.id)
    assert (third.recipients, third.subject, third.thread) == (("curator",), "Re: Work", first.id)
    assert [m.subject for m in mailbox.thread(str(third.seq))] == ["Work", "Re: Work", "Re: Work"]
    assert [(m.seq, m.read, m.answered) for m in mailbox.inbox("curator")] == [(5, False, False), (2, True, True)]


def test_an_answer_to_all_goes_to_sender_and_recipients_but_not_back(mailbox):
    """Recipients and subject of the answer itself are kept."""
    mailbox.send(letter("@docs"))
    event = mailbox.reply(Letter("critic", ["ada"], "No", body="x"), "2", everybody=True)
    assert (event.recipients, event.subject) == (("builder", "curator", "ada"), "No")


def test_an_answer_to_ones_own_message_goes_to_oneself_or_with_all_to_its_recipients(mailbox):
    """A follow-up reaches the recipients of the first message."""
    mailbox.send(letter("@docs"))
    assert mailbox.reply(Letter("builder", [], body="x"), "2").recipients == ("builder",)
    assert mailbox.reply(Letter("builder", [], body="x"), "2", everybody=True).recipients == ("curator", "critic")


@pytest.mark.parametrize("to", ["curater", "nobody"])
def test_an_answers_own_recipients_are_checked_like_a_letters(to, mailbox, log):
    """A name that was never on the team is a typing error, not a persona that left."""
    mailbox.send(letter())
    with pytest.raises(UnknownRecipient):
        mailbox.reply(Letter("curator", [to], body="x"), "2")
    assert size(log) == 2


def test_an_answer_may_be_copied_to_everybody(mailbox):
    """@all in an answer is the group, not a persona of that name."""
    mailbox.send(letter())
    event = mailbox.reply(Letter("curator", ["@all"], body="x"), "2")
    assert set(event.recipients) == {"builder", "critic", "ada"}


def test_a_repeated_answer_with_a_key_is_one_answer(mailbox, log):
    """Neither the answer nor the mark is written twice."""
    mailbox.send(letter())
    answers = [mailbox.reply(Letter("curator", [], body="x", key="k"), "2") for _ in range(2)]
    assert answers[0] == answers[1]
    assert size(log) == 4


def test_an_answer_to_a_persona_that_left_bounces_at_once(mailbox):
    """The sender is told now, not at the next `bounce`."""
    mailbox.send(letter())
    mailbox.directory = mailbox.directory._replace(personas=ROSTER - {"builder"})
    answer = mailbox.reply(Letter("curator", [], body="x"), "2")
    assert answer.recipients == ("builder",)
    newest = mailbox.inbox("curator")[0]
    assert (newest.sender, newest.subject, newest.type) == ("postmaster", "Undeliverable: Re: Work", "bounce")
    assert mailbox.sent("curator")[0].states == {"builder": "bounced"}


# -- bounces


def test_unread_mail_of_a_persona_that_left_bounces_once_and_read_mail_does_not(mailbox, log):
    """A bounce names the persona and the message; a bounce never bounces."""
    mailbox.send(letter(subject="read"))
    mailbox.read("curator", "2")
    mailbox.send(letter(subject="unread"))
    mailbox.directory = mailbox.directory._replace(personas=ROSTER - {"curator"})
    assert [(e.kind, e.data) for e in mailbox.bounce()] == [("mail.bounced", {"recipient": "curator"})]
    before = size(log)
    assert mailbox.bounce() == []
    assert size(log) == before
    back = mailbox.inbox("builder")
    assert [m.subject for m in back] == ["Undeliverable: unread"]
    assert "curator is no longer on the team" in mailbox.read("builder", str(back[0].seq)).body
    mailbox.directory = mailbox.directory._replace(personas=ROSTER - {"curator", "builder"})
    mailbox.bounce()
    assert not [m for name in ("postmaster", "ada", "critic") for m in mailbox.inbox(name)], "no bounce of a bounce"


def test_without_a_roster_no_mail_bounces(log, tmp_path):
    """Every name is valid then, so no persona has left."""
    mailbox = without_roster(log)
    mailbox.send(letter("whoever"))
    assert mailbox.bounce() == []


def test_the_bounce_of_a_very_long_subject_can_be_sent(mailbox):
    """The subject of a bounce is cut, whatever came in."""
    mailbox.send(letter(subject="s" * 100_000))
    mailbox.directory = mailbox.directory._replace(personas=ROSTER - {"curator"})
    assert len(mailbox.bounce()) == 1
    assert len(mailbox.inbox("builder")[0].subject) < 1000


# -- lists


def test_all_filters_of_the_inbox_can_be_combined(mailbox):
    """Type, sender, tag, unread, state and limit all apply."""
    for sender in ("builder", "critic"):
        for kind in ("task", "note"):
            mailbox.send(letter(sender=sender, type=kind))
    mailbox.tag("curator", "2", "hot")
    assert [m.seq for m in mailbox.inbox("curator", type="task")] == [4, 2]
    assert [m.seq for m in mailbox.inbox("curator", sender="critic")] == [5, 4]
    assert [m.seq for m in mailbox.inbox("curator", type="task", sender="builder", tag="hot", unread=True)] == [2]
    assert [m.seq for m in mailbox.inbox("curator", limit=1)] == [5]
    assert mailbox.inbox("curator")[0].body == "", "lists are without bodies"


@pytest.mark.parametrize("text", ["'", "\\", "\0", "\ud800", "$persona", "'; DROP TABLE x; --", "%", "\u2028"])
def test_a_filter_may_be_any_text(text, mailbox):
    """Text with quotes or SQL in it matches nothing and does no harm."""
    mailbox.send(letter())
    assert mailbox.inbox("curator", tag=text) == mailbox.inbox("curator", sender=text) == mailbox.inbox(text) == []
    assert mailbox.sent(text) == mailbox.tags(text) == []


def test_the_inbox_can_be_listed_as_of_a_number_or_a_time(mailbox, clock):
    """Later mail and marks are left out."""
    mailbox.send(letter())
    then = rfc3339(clock.now())
    clock.sleep(60)
    mailbox.read("curator", "2")
    mailbox.send(letter())
    assert [(m.seq, m.read) for m in mailbox.inbox("curator", as_of_seq=2)] == [(2, False)]
    assert [(m.seq, m.read) for m in mailbox.inbox("curator", as_of=then)] == [(2, False)]
    assert mailbox.inbox("curator", as_of_seq=1) == []


@pytest.mark.parametrize("text", ["yesterday", "", "-1", "2026-02-30", "9" * 20, "9" * 5000, "²", "0001-01-01"])
def test_an_invalid_as_of_is_refused(text):
    """So is a number that is too large for any log."""
    with pytest.raises(UsageError, match="as of"):
        moment(text)


def test_as_of_is_a_number_or_a_time():
    """A time with an offset is converted to UTC, as in events."""
    assert moment("412") == (412, None)
    assert moment("2026-12-24T18:00+01:00") == (ALL, "2026-12-24T17:00:00.000000Z")


def test_sent_mail_shows_its_state_for_each_recipient(mailbox):
    """Of sent, read, acked and answered, the last is shown."""
    mailbox.send(letter("@all"))
    mailbox.read("critic", "2")
    mailbox.mark("curator", "acked", ["2"])
    assert mailbox.sent("builder")[0].states == {"ada": "sent", "critic": "read", "curator": "acked"}
    mailbox.reply(Letter("curator", [], body="x"), "2")
    assert mailbox.sent("builder")[0].states["curator"] == "answered"
    assert mailbox.sent("critic") == []


def test_search_finds_words_anywhere_and_ranks_the_subject_first(mailbox):
    """A word in the subject ranks higher, and more of the words rank highest; quotes and percent signs are text."""
    mailbox.send(letter(subject="Lunch", body="the parser is at 100% o'clock"))
    mailbox.send(letter(subject="Parser", body="broken"))
    mailbox.send(letter("critic", subject="Parser", body="lunch"))
    assert [m.seq for m in mailbox.search("parser")] == [3, 4, 2] or mailbox.search("parser")[-1].seq == 2
    assert mailbox.search("parser lunch")[0].seq in (2, 4)
    assert [m.seq for m in mailbox.search("100% o'clock", limit=1)] == [2]
    assert {m.seq for m in mailbox.search("parser", persona="curator")} == {2, 3}
    assert mailbox.search("absent") == []
    with pytest.raises(UsageError, match="at least one word"):
        mailbox.search("%% '")


def test_overdue_mail_is_late_and_not_answered_acked_or_archived(mailbox, clock):
    """Reading it does not change that."""
    for subject in ("late", "acked", "answered", "archived"):
        mailbox.send(letter(subject=subject, due=due_date("+1h", clock.now())))
    assert mailbox.overdue() == []
    clock.sleep(3601)
    mailbox.read("curator", "2")
    mailbox.mark("curator", "acked", ["3"])
    mailbox.reply(Letter("curator", [], body="x"), "4")
    mailbox.mark("curator", "archived", ["5"])
    assert [(row["seq"], row["persona"]) for row in mailbox.overdue()] == [(2, "curator")]


def test_counts_people_and_stats_cover_the_whole_team(mailbox):
    """They have one row for each recipient, name and kind."""
    mailbox.send(letter(priority="urgent"))
    mailbox.send(letter())
    mailbox.mark("curator", "trashed", ["3"])
    assert mailbox.counts() == [
        {"persona": "curator", "total": 1, "unread": 1, "urgent": 1, "archived": 0, "trashed": 1}
    ]
    assert mailbox.people() == ["builder", "curator"]
    assert [(row["kind"], row["events"]) for row in mailbox.stats()] == [
        ("log.opened", 1),
        ("mail.sent", 2),
        ("mail.trashed", 1),
    ]


# -- streams and copies


def test_watching_yields_only_the_personas_own_mail(mailbox):
    """It starts at a given seq and ends when `stop` is set."""
    mailbox.send(letter("critic"))
    mailbox.send(letter())
    stop, messages = threading.Event(), []
    for message in mailbox.watch("curator", 0, stop):
        messages.append(message.seq)
        if len(messages) == 1:
            mailbox.send(letter())
        else:
            stop.set()
    assert messages == [3, 4]


@pytest.mark.parametrize("form", ["mbox", "jsonl"])
def test_mail_of_all_or_of_one_persona_can_be_exported(form, mailbox, tmp_path):
    """The number of messages is returned; an unknown format is refused."""
    mailbox.send(letter(body="one"))
    mailbox.send(letter("critic"))
    assert mailbox.export(form, tmp_path / "all", None) == 2
    assert mailbox.export(form, tmp_path / "own", "curator") == 1
    assert "one" in (tmp_path / "own").read_text()
    with pytest.raises(UsageError, match="format 'pst' must be one of mbox, eml, jsonl"):
        mailbox.export("pst", tmp_path / "x")


def test_an_export_in_json_holds_each_message_whole(mailbox, tmp_path):
    """A body stored as a blob is exported whole."""
    mailbox.send(letter(body="b" * 100_000))
    mailbox.export("jsonl", tmp_path / "all.jsonl")
    (line,) = (tmp_path / "all.jsonl").read_text().splitlines()
    assert json.loads(line)["body"] == "b" * 100_000


def test_a_letter_too_large_for_the_log_is_refused_with_the_reason(mailbox):
    """A subject cannot be longer than a line of the log."""
    with pytest.raises(InvalidEvent, match="the limit is 1048576"):
        mailbox.send(letter(subject="s" * (1 << 20)))
