"""The contract of `Log`: the same tests for every implementation."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.errors import InvalidEvent
from team_mail.mail.log.event import START, ChainPosition, Draft, decode, derived_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog

from ..postgres import remote_log

ID = derived_id("a caller's own")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["file", "memory", "PostgreSQL"])
def log(request, tmp_path, clock):
    if request.param == "PostgreSQL":
        return remote_log(request, tmp_path / "mail", clock=clock)
    return EventLog(tmp_path / "mail", clock=clock) if request.param == "file" else MemoryLog(clock=clock)


def note(subject: str = "", **fields) -> Draft:
    return Draft("mail.sent", "ada", ("bob",), subject, **fields)


def mail_in(events) -> list:
    """Return the events except those that the log writes about itself."""
    return [event for event in events if not event.kind.startswith("log.")]


def test_appended_events_are_read_in_order(log):
    """Reading yields the events that append returned."""
    written = [event for i in range(5) for event in log.append([note(str(i), data={"n": i})])]
    assert mail_in(log.read()) == written
    assert [event.subject for event in written] == ["0", "1", "2", "3", "4"]
    assert [event.seq for event in written] == [2, 3, 4, 5, 6]


def test_the_first_event_of_a_log_is_log_opened(log):
    """A log that begins with another event has lost something."""
    log.append([note()])
    first = next(iter(log.read()))
    assert (first.seq, first.kind, first.data) == (1, "log.opened", {"format": 1})


def test_a_batch_stays_together(log):
    """The drafts of one append are consecutive events in the same order."""
    written = log.append([note(str(i)) for i in range(10)])
    assert [event.subject for event in written] == [str(i) for i in range(10)]
    assert [event.seq for event in written] == list(range(2, 12))
    assert mail_in(log.read()) == written


def test_an_empty_append_writes_nothing(log):
    """It returns an empty list."""
    log.append([note()])
    assert log.append([]) == []
    assert len(list(log.read())) == 2


def test_a_repeated_id_is_acknowledged_and_not_written_again(log):
    """The first event with an id wins, even if the second differs."""
    (first,) = log.append([note("first", id=ID)])
    (again,) = log.append([note("again", id=ID)])
    assert again == first
    assert mail_in(log.read()) == [first]


def test_an_id_twice_in_one_batch_is_one_event(log):
    """Both drafts get the same event."""
    events = log.append([note("first", id=ID), note("other"), note("again", id=ID)])
    assert [event.subject for event in events] == ["first", "other", "first"]
    assert events[0] == events[2]
    assert mail_in(log.read()) == events[:2]


@pytest.mark.parametrize("many", [3, 20], ids=["few", "many"])
def test_a_partly_known_batch_is_completed(log, many):
    """A batch that was interrupted can be sent again as a whole."""
    drafts = [note(str(i), id=derived_id(str(i))) for i in range(many)]
    first = log.append(drafts[1:3])
    events = log.append(drafts)
    assert [event.id for event in events] == [draft.id for draft in drafts]
    assert events[1:3] == first
    assert len(mail_in(log.read())) == many
    assert log.append(drafts) == events


@pytest.mark.parametrize("many", [1, 20], ids=["few", "many"])
def test_an_id_within_data_is_not_mistaken_for_an_event(log, many):
    """Data may look like the beginning of another event."""
    ids = [derived_id(str(i)) for i in range(many)]
    bait = [note("bait", data={"a": 1, "id": own, "ts": "x", "v": 1}) for own in ids]
    line = [note("bait", body=f'\n{{"v":1,"seq":1,"id":"{own}","ts":"x"', data={"id": own}) for own in ids]
    log.append(bait + line)
    first = log.append([note("true", id=own) for own in ids])
    assert [event.subject for event in first] == ["true"] * many
    assert log.append([note("again", id=own) for own in ids]) == first
    assert len(mail_in(log.read())) == 3 * many


def test_a_message_begins_its_own_thread(log):
    """A first message is its own thread, a reply has that of its message; other kinds have none."""
    (first,) = log.append([note()])
    (reply,) = log.append([note(thread=first.thread, reply_to=first.id)])
    (mark,) = log.append([Draft("mail.read", "bob", ref=first.id)])
    assert first.thread == first.id == reply.thread
    assert mark.thread is None


def test_an_invalid_draft_refuses_its_whole_batch(log):
    """All drafts are validated before any is written."""
    log.append([note("before")])
    with pytest.raises(InvalidEvent):
        log.append([note("good"), note("\ud800")])
    log.append([note("after")])
    assert [event.subject for event in mail_in(log.read())] == ["before", "after"]


def test_reading_can_start_after_any_seq(log):
    """`after` is the last seq that is left out."""
    log.append([note(str(i)) for i in range(5)])
    for after in range(8):
        damage = []
        assert [event.seq for event in log.read(after, damage)] == list(range(after + 1, 7))
        assert damage == []


def test_reading_on_yields_what_is_new(log):
    """Whoever reads again from where they stopped gets each event once, and whoever goes back gets it again."""
    last, seen = 0, []
    for number in range(4):
        log.append([note(f"{number} {part}") for part in range(number)])
        for event in log.read(last):
            seen.append(event)
            last = event.seq
    assert seen == [*log.read()]
    assert [event.seq for event in log.read(3)] == list(range(4, last + 1))
    assert [*log.read(last)] == []


def test_the_order_is_seq_and_not_the_clock(log, clock):
    """T10: a clock that jumps changes only `ts`."""
    jumps = [0, 3600, -7200, 86400 * 365, -86400 * 3650, 0.000001, -0.000001]
    for i, seconds in enumerate(jumps):
        clock.current += timedelta(seconds=seconds)
        (event,) = log.append([note(str(i))])
        assert datetime.fromisoformat(event.ts) == clock.current
    events = mail_in(log.read())
    assert [event.subject for event in events] == [str(i) for i in range(len(jumps))]
    assert [event.ts for event in events] != sorted(event.ts for event in events)
    print(f"{len(jumps)} jumps of the clock, order kept")


def test_times_are_written_in_utc(tmp_path):
    """The time zone of the clock does not matter."""
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC).astimezone()
    assert MemoryLog(clock=ManualClock(moment)).append([note()])[0].ts == "2026-01-01T12:00:00.000000Z"


def test_head_is_the_position_of_the_last_event(log):
    """It is the end of the chain that the events form, also after more of them were appended."""
    for count in (1, 3):
        log.append([note(str(i)) for i in range(count)])
        events = list(log.read())
        assert [event.prev for event in events[1:]] == [event.hash for event in events[:-1]]
        last = events[-1]
        assert log.head() == ChainPosition(last.seq, last.prev, last.hash)


def test_the_head_of_rotated_files_is_that_of_the_newest_segment(tmp_path):
    """A log whose active file is missing still has a head: sealing continues from there."""
    log = EventLog(tmp_path / "mail", segment_bytes=1)
    assert log.head() == START
    for i in range(3):
        log.append([note(str(i))])
    head = log.head()
    *_, last = log.read()
    assert head.seq == last.seq == log.snapshot().head
    (newest,) = [event for event in log.read() if event.seq == list(log.segments)[-1].last]
    log.active.unlink()
    assert log.head().seq == newest.seq


def test_the_chain_can_be_recomputed_from_the_bytes_of_a_snapshot(tmp_path):
    """Every hash follows from the file alone, up to the snapshot's head and size."""
    log = EventLog(tmp_path / "mail")
    log.append([note(str(i)) for i in range(5)])
    snapshot = log.snapshot()
    log.append([note("later")])
    data = snapshot.active.read_bytes()[: snapshot.size]
    prev, seq = "0" * 32, 0
    for line in data.splitlines():
        fields, seq = json.loads(line), seq + 1
        hashed = line[: line.rindex(b',"hash":')]
        assert (fields["seq"], fields["prev"]) == (seq, prev)
        prev = fields["hash"]
        assert prev == hashlib.sha256(hashed).hexdigest()[:32]
        assert decode(line) is not None
    assert seq == snapshot.head == 6
    assert snapshot.sealed == ()
    assert log.head().seq == 7


def test_threads_share_a_log(log):
    """Concurrent appends of many threads, from the first on, form one chain."""
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for i in range(10):
            log.append([note(f"{number} {i}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = list(log.read())
    assert [event.seq for event in events] == list(range(1, 82))
    for number in range(8):
        own = [event.subject for event in events if event.subject.startswith(f"{number} ")]
        assert own == [f"{number} {i}" for i in range(10)]


def test_following_from_a_seq_yields_old_and_new_events(log):
    """Each event is yielded once, in order."""
    log.append([note(str(i)) for i in range(3)])
    follower = log.follow(after=1)
    assert [next(follower).subject for _ in range(3)] == ["0", "1", "2"]
    log.append([note(str(i)) for i in range(3, 6)])
    assert [next(follower).subject for _ in range(3)] == ["3", "4", "5"]


def test_following_from_now_yields_only_new_events(log):
    """Now is the time of the call, not of the first `next`."""
    log.append([note("past")])
    follower = log.follow()
    log.append([note("first"), note("second")])
    assert next(follower).subject == "first"
    log.append([note("third")])
    assert [next(follower).subject for _ in range(2)] == ["second", "third"]


def test_a_follower_is_woken_by_another_thread(log):
    """A waiting follower gets the next event as soon as it is appended."""
    follower, seen = log.follow(after=0), threading.Event()

    def wait() -> None:
        for event in follower:
            seen.set()
            if event.subject == "last":
                return

    reader = threading.Thread(target=wait, daemon=True)
    reader.start()
    log.append([note("first")])
    assert seen.wait(30)
    log.append([note("last")])
    reader.join(30)
    assert not reader.is_alive()


def test_following_with_stop_already_set_yields_nothing(log):
    """The follower ends at once."""
    log.append([note()])
    stop = threading.Event()
    stop.set()
    assert list(log.follow(stop=stop)) == []


def test_following_ends_when_stop_is_set(log):
    """A follower that waits for events ends, too."""
    log.append([note()])
    stop = threading.Event()
    follower = log.follow(after=1, stop=stop)
    assert next(follower).seq == 2
    stop.set()
    assert list(follower) == []
