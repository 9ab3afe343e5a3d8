"""Channels: what was said in one, by whom it can be read, and what it marks."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.directory import Directory
from team_mail.mail.errors import KeyReused, UnknownMessage, UsageError
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.render import listing, messages, whole

from ..samples import examples

PEOPLE = ("ann", "bob", "cyd")
CHANNELS = {"review": ("ann", "bob"), "code": ("bob", "cyd")}


def mailbox_of(log: MemoryLog, *, party: str | None = None, channels=CHANNELS) -> Mailbox:
    directory = Directory(frozenset(PEOPLE), {"crew": ("ann",)}, "you", channels=channels)
    return Mailbox(log, MemoryBlobs(), MemoryProjections(log), directory, party=party)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def mailbox(log: MemoryLog) -> Mailbox:
    return mailbox_of(log)


def said(mailbox: Mailbox, name: str = "review", **more) -> list[str]:
    return [message.subject for message in mailbox.channel(name, more.pop("reader", None), **more)]


def test_a_message_to_a_channel_reaches_its_members_and_keeps_its_name(mailbox, log):
    """The name stands in the event without its sign; mail to others has none."""
    events = [mailbox.send(Letter("bob", [to], to)) for to in ("@review", "#review", "@crew", "cyd")]
    assert [event.recipients for event in events] == [("ann",), ("ann",), ("ann",), ("cyd",)]
    assert [event.data.get("channel") for event in events] == ["review", "review", None, None]
    assert [message.channel for message in mailbox.inbox("ann")] == [None, "review", "review"]


def test_a_copy_to_a_channel_was_said_there(mailbox):
    """Whether a channel is in To or in Cc, its members read it there."""
    event = mailbox.send(Letter("ann", ["cyd"], "Look", cc=["@review"]))
    assert (event.recipients, event.data["cc"], said(mailbox)) == (("cyd", "bob"), ["bob"], ["Look"])


def test_a_member_who_came_late_reads_everything_from_the_beginning_and_marks_nothing(mailbox, log):
    """The newest is first; neither the log nor anybody's unread mail changes."""
    for subject in ("One", "Two"):
        mailbox.send(Letter("ann", ["@review"], subject))
    later = mailbox_of(log, channels={"review": ("ann", "bob", "cyd")})
    later.send(Letter("ann", ["@review"], "Three"))
    before = list(log.read())

    assert said(later, reader="cyd") == ["Three", "Two", "One"]
    assert said(later, reader="cyd", limit=2) == ["Three", "Two"]
    assert list(log.read()) == before
    assert [message.subject for message in later.inbox("cyd", unread=True)] == ["Three"]


def test_flags_in_a_channel_are_those_of_the_reader(mailbox):
    """What the reader never received is neither new nor read."""
    event = mailbox.send(Letter("ann", ["@review"], "One"))
    mailbox.send(Letter("ann", ["@review"], "Two"))
    mailbox.mark("bob", "read", [str(event.seq)])
    shown = {
        reader: [listing(message, reader)[:7] for message in mailbox.channel("review", reader)]
        for reader in ("ann", "bob", "you")
    }
    assert shown == {"ann": ["[     ]"] * 2, "bob": ["[ NEW ]", "[READ ]"], "you": ["[     ]"] * 2}


def test_a_channel_can_be_read_by_sender_and_by_type(mailbox):
    """Both filters are those of the inbox."""
    mailbox.send(Letter("ann", ["@review"], "Veto", type="veto"))
    mailbox.send(Letter("bob", ["@review"], "Plain"))
    assert said(mailbox, type="veto") == ["Veto"]
    assert said(mailbox, sender="bob") == ["Plain"]
    assert said(mailbox, sender="ann", type="note") == []


def test_an_answer_to_all_stays_in_the_channel_and_an_answer_to_the_sender_leaves_it(mailbox):
    """A talk in a channel goes on there, as far as it is for everybody."""
    event = mailbox.send(Letter("ann", ["@review"], "Look"))
    to_all = mailbox.reply(Letter("bob", [], body="Fine."), str(event.seq), everybody=True)
    to_ann = mailbox.reply(Letter("bob", [], body="By the way."), str(event.seq))
    assert [each.data.get("channel") for each in (to_all, to_ann)] == ["review", None]
    assert said(mailbox) == ["Re: Look", "Look"]
    with pytest.raises(UsageError, match="goes through one channel"):
        mailbox.reply(Letter("bob", ["@code"], body="Both."), str(event.seq), everybody=True)


def test_a_run_reads_its_own_channels_alone(mailbox, log):
    """Also whole messages and threads that it did not receive; of other channels, nothing."""
    review = mailbox.send(Letter("you", ["@review"], "Look"))
    code = mailbox.send(Letter("you", ["@code"], "Secret"))
    ann = mailbox_of(log, party="ann")
    late = mailbox_of(log, party="cyd", channels={**CHANNELS, "review": ("ann", "bob", "cyd")})

    assert said(ann) == ["Look"]
    with pytest.raises(UsageError, match="ann is no member of channel code"):
        ann.channel("code", "ann")
    with pytest.raises(UnknownMessage):
        ann.peek(str(code.seq), "ann")
    assert late.peek(str(review.seq), "cyd").subject == "Look"
    assert [message.subject for message in late.thread(str(review.seq), "cyd")] == ["Look"]
    with pytest.raises(UnknownMessage):
        mailbox_of(log, party="cyd").peek(str(review.seq), "cyd")


def test_the_same_key_through_another_channel_is_another_message(mailbox, log):
    """A repeat is the same message in all that it says, its channel included."""
    mailbox.send(Letter("you", ["@review"], "Look", key="k"))
    repeats = []
    mailbox.send(Letter("you", ["#review"], "Look", key="k"), repeats)
    assert len(repeats) == 1
    with pytest.raises(KeyReused, match="channel"):
        mailbox.send(Letter("you", ["ann", "bob"], "Look", key="k"))


@pytest.mark.parametrize("channel", [3, None, ["review"], {"a": 1}])
def test_a_channel_that_is_no_text_is_none(mailbox, log, channel):
    """Whatever somebody wrote into the file, the message can be read, and is in no channel."""
    log.append([Draft("mail.sent", "ann", ("bob",), "Odd", data={"type": "note", "channel": channel})])
    (message,) = mailbox.inbox("bob")
    assert message.channel is None
    assert said(mailbox) == []


def test_the_channel_is_shown_wherever_a_message_is(mailbox):
    """In a line of a list, and in the headers of a whole message."""
    event = mailbox.send(Letter("ann", ["@review"], "Look", "Here."))
    plain = mailbox.send(Letter("ann", ["bob"], "Hi", "There."))
    lines, text, other = StringIO(), StringIO(), StringIO()
    messages(mailbox.inbox("bob"), "", lines)
    whole(mailbox.peek(str(event.seq), "bob"), text)
    whole(mailbox.peek(str(plain.seq), "bob"), other)
    assert lines.getvalue().splitlines() == [
        f"[ NEW ] {plain.seq} | From: ann | Subject: Hi",
        f"[ NEW ] {event.seq} | From: ann | Channel: review | Subject: Look",
    ]
    assert "\nTo: bob\nChannel: review\n" in text.getvalue()
    assert "Channel" not in other.getvalue()


@settings(max_examples=examples(12), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*PEOPLE, "you"]), st.sampled_from(["@review", "#code", "@code", "ann", "@crew"])),
        max_size=12,
    )
)
def test_a_channel_has_what_was_sent_through_it_and_nothing_else(letters):
    """Against a list that is kept beside the log."""
    mailbox, kept = mailbox_of(MemoryLog()), {"review": [], "code": []}
    for number, (sender, to) in enumerate(letters):
        try:
            mailbox.send(Letter(sender, [to], f"mail {number}"))
        except UsageError:
            continue
        if to[1:] in kept:
            kept[to[1:]].insert(0, f"mail {number}")
    assert {name: said(mailbox, name) for name in kept} == kept
