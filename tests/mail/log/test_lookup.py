"""The same id is written once: what a process remembers, and the indexes on disk, against a scan of all lines."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import SystemClock
from team_mail.mail.errors import LogError
from team_mail.mail.log.event import Draft, Event, decode, derived_id, new_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.lookup import load_index

from ...samples import examples
from .test_faults import Faulty, Unflushed, child, falls_short_and_fails, is_the_last, is_the_last_half_way

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# Ids as callers give them: derived from keys, made by uuid7, and some that agree in their second half.
POOL = (
    *(derived_id("key", str(number)) for number in range(12)),
    *(new_id() for _ in range(6)),
    *(f"{number:08x}-0000-4000-8000-000000000000" for number in range(6)),
)


def draft(own: str | None, size: int = 60, since: int = 0) -> Draft:
    return Draft("mail.sent", "ann", ("bob",), f"mail {own}", "x" * size, id=own, since=since)


def opened(folder: Path, disk=None) -> EventLog:
    return EventLog(folder, disk=disk or Unflushed(), segment_bytes=1800, clock=SystemClock())


def scan(log: EventLog) -> dict[str, list[Event]]:
    """Every event by its id, from all lines of all files."""
    events: dict[str, list[Event]] = {}
    for path in [*(segment.path for segment in log.segments), log.active]:
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            if event := decode(line):
                events.setdefault(event.id, []).append(event)
    return events


class Team:
    """A log that several processes have open, and what may befall it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = [opened(folder) for _ in range(3)]
        self.dice = random.Random(7)

    def append(self, who: int, ids: list[str | None]) -> None:
        before = scan(self.logs[0])
        events = self.logs[who].append([draft(own, since=self.since(before, own)) for own in ids])
        assert [event.id for event, own in zip(events, ids, strict=True) if own] == [own for own in ids if own]
        after = scan(self.logs[0])
        for event in events:
            assert after[event.id] == [before.get(event.id, [event])[0]] == [event]

    def since(self, before: dict[str, list[Event]], own: str | None) -> int:
        """Choose from where on an id is searched: from its first event at the latest, and not at all that far back."""
        latest = min((event.seq for event in before.get(own or "", ())), default=self.logs[0].head().seq + 1)
        return self.dice.choice((0, latest, latest, self.dice.randint(0, latest)))

    def fail(self, who: int, ids: list[str | None]) -> None:
        """A write that is cut back: half of the lines stood there for a moment."""
        disk = Faulty(1, falls_short_and_fails)
        disk.only = "write"
        with suppress(LogError):
            opened(self.folder, disk).append([draft(own) for own in ids])
        self.append(who, ids)

    def reopen(self, who: int) -> None:
        self.logs[who] = opened(self.folder)

    def indexes(self) -> list[Path]:
        return sorted((self.folder / "segments").glob("*.ids"))

    def delete(self) -> None:
        for path in self.indexes():
            path.unlink()

    def harm(self, how: str) -> None:
        paths = self.indexes()
        for path in paths:
            data = path.read_bytes()
            data = {
                "flip": data[:-1] + bytes(byte ^ 1 for byte in data[-1:]),
                "cut": data[:-8],
                "empty": b"",
                "text": b"text\n",
            }[how]
            path.write_bytes(data)

    def exchange(self) -> None:
        paths = self.indexes()
        if len(paths) > 1:
            first, last = paths[0].read_bytes(), paths[-1].read_bytes()
            paths[0].write_bytes(last)
            paths[-1].write_bytes(first)

    def damage(self) -> None:
        """Break a line of a sealed file, and repair: its id may be sent again."""
        segments = list(self.logs[0].segments)
        if not segments:
            return
        path = self.dice.choice(segments).path
        lines = path.read_bytes().splitlines(keepends=True)
        lines[len(lines) // 2] = lines[len(lines) // 2].replace(b'"body":"x', b'"body":"y')
        path.chmod(0o644)
        path.write_bytes(b"".join(lines))
        self.logs[0].verify()
        self.logs[0].repair()


ids = st.lists(st.sampled_from(POOL) | st.none(), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 2), ids),
    st.tuples(st.just("append"), st.integers(0, 2), ids),
    st.tuples(st.just("append"), st.integers(0, 2), st.lists(st.sampled_from(POOL), min_size=9, max_size=14)),
    st.tuples(st.just("fail"), st.integers(0, 2), ids),
    st.tuples(st.just("reopen"), st.integers(0, 2)),
    st.tuples(st.just("delete")),
    st.tuples(st.just("exchange")),
    st.tuples(st.just("harm"), st.sampled_from(["flip", "cut", "empty", "text"])),
    st.tuples(st.just("damage")),
)


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(steps, min_size=5, max_size=30))
def test_an_id_is_known_if_and_only_if_a_scan_finds_it(history):
    """Whatever was rotated, repaired, undone, deleted or exchanged, and whoever asks."""
    with tempfile.TemporaryDirectory() as folder:
        team = Team(Path(folder) / "mail")
        team.append(0, [None] * 4)
        for name, *arguments in history:
            getattr(team, name)(*arguments)
        for who in range(3):
            team.append(who, [*POOL])


@pytest.mark.parametrize("ids", [20, pytest.param(60, marks=pytest.mark.storm)])
@pytest.mark.parametrize("fault", [is_the_last, is_the_last_half_way], ids=["before it", "half way"])
def test_processes_that_send_the_same_ids_and_are_killed_write_each_once(tmp_path, fault, ids):
    """Four at a time, each killed at some call, started again until all have been acknowledged."""
    wanted, kills, turn = [derived_id("storm", str(number)) for number in range(ids)], 0, 0

    def work(seed: int, nth: int) -> None:
        dice, log = random.Random(seed), opened(tmp_path / "mail", Faulty(nth, fault))
        for own in dice.sample(wanted, len(wanted)):
            (event,) = log.append([draft(own)])
            assert event.id == own

    done = 0
    while done < 4:
        turn += 1
        with ExitStack() as running:
            nths = (5 * turn, 37 * turn, 61 * turn, 97 * turn)
            pids = [running.enter_context(child(partial(work, seed, nth))) for seed, nth in enumerate(nths)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        assert set(codes) <= {0, -9}
        kills += codes.count(-9)
        done = codes.count(0)
    log = opened(tmp_path / "mail")
    assert log.verify().damage == []
    assert {own: len(events) for own, events in scan(log).items() if own in wanted} == dict.fromkeys(wanted, 1)
    assert kills > 4
    print(f"{turn} times 4 processes, {kills} killed, {len(list(log.segments))} segments: {ids} ids, each written once")


def test_a_sealed_segment_gets_an_index_that_a_new_process_reads(tmp_path):
    """It holds the second half of each id, sorted, and is made again if it is not that of its segment."""
    log = opened(tmp_path / "mail")
    log.append([draft(own) for own in POOL])
    log.append([draft(None)])
    (segment,) = log.segments
    written = segment.ids.read_bytes()
    index = load_index(segment)
    assert list(index) == sorted(index)
    assert len(index) == segment.last - segment.first + 1
    for text in (b"", b"text", written[:-8], written[:-8] + b"\0" * 8, written.replace(b"ids 1", b"ids 0")):
        segment.ids.write_bytes(text)
        assert load_index(segment) == index
        assert segment.ids.read_bytes() == written
    segment.ids.unlink()
    segment.ids.mkdir()
    assert load_index(segment) == index
    assert opened(log.folder).append([draft(POOL[3])])[0].seq == 5


def test_a_body_that_looks_like_the_head_of_a_line_is_no_event(tmp_path):
    """Only what stands at the beginning of a line, and verifies, has an id."""
    own = derived_id("victim")
    line = f'\n{{"v":1,"seq":7,"id":"{own}","ts":"2026-11-20T19:31:34.496924Z","kind":"mail.sent"'
    log = opened(tmp_path / "mail")
    log.append([Draft("mail.sent", "ann", ("bob",), line, line, data={"id": own, "ts": "x", "text": line})])
    log.append([draft(None)])
    log.append([draft(None) for _ in range(12)])
    assert log.append([draft(own)])[0].seq > 12
    assert len(scan(log)[own]) == 1
    assert opened(log.folder).append([draft(own)])[0].seq == scan(log)[own][0].seq


@pytest.mark.parametrize("warm", [False, True], ids=["its first", "a later one"])
@pytest.mark.parametrize("count", range(1, 5))
def test_lines_that_were_seen_and_cut_back_are_forgotten(tmp_path, count, warm):
    """A process looks for ids while another writes; that write is undone, and others take its place in the file."""
    looking, log = opened(tmp_path / "mail"), opened(tmp_path / "mail")
    log.append([draft(None)])
    sent, unsent = POOL[:count], POOL[4:6]
    if warm:
        looking.append([draft(POOL[10]), draft(None)])

    def looked_at(real, name, arguments):
        real(*arguments)
        looking._known_ids({*sent, *unsent})
        raise OSError(5, "I/O error")

    disk = Faulty(1, looked_at)
    disk.only = "write"
    with pytest.raises(LogError):
        opened(tmp_path / "mail", disk).append([draft(own) for own in unsent])
    events = log.append([draft(own) for own in sent])
    assert looking.append([draft(own) for own in sent]) == events
    assert [event.id for event in looking.append([draft(own) for own in unsent])] == [*unsent]
    assert {len(events) for events in scan(log).values()} == {1}


def test_a_log_put_in_the_place_of_another_is_searched_afresh(tmp_path):
    """A process that is open goes on with a log that was restored, and forgets what it knew."""
    log = opened(tmp_path / "mail")
    log.append([draft(None)] * 9)
    log.append([draft(POOL[0])])
    shutil.copytree(log.folder, tmp_path / "kept")
    log.append([draft(own) for own in POOL])
    shutil.rmtree(log.folder)
    (tmp_path / "kept").rename(log.folder)
    first = scan(log)[POOL[0]][0]
    assert log.append([draft(POOL[0])]) == [first]
    assert [event.id for event in log.append([draft(own) for own in POOL])] == [*POOL]
    assert all(len(scan(log)[own]) == 1 for own in POOL)


def test_an_id_is_searched_only_from_where_it_can_be(tmp_path):
    """Segments that end before `since` are left out, and their index is not made until somebody needs it."""
    log = opened(tmp_path)
    for number in range(40):
        log.append([draft(None, 100 + number)])
    sealed = list(log.segments)
    assert len(sealed) > 2
    for path in tmp_path.rglob("*.ids"):
        path.unlink()
    since = sealed[-1].first
    (event,) = opened(tmp_path).append([draft(POOL[0], since=since)])
    assert [path.stem for path in tmp_path.rglob("*.ids")] == [sealed[-1].path.stem]
    late = opened(tmp_path)
    assert late.append([draft(POOL[0], since=event.seq), draft(POOL[1], since=event.seq)])[0] == event
    assert late.append([draft(event.id)]) == [event]
    assert len([*tmp_path.rglob("*.ids")]) >= len(sealed)
