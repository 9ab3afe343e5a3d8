"""The slices that a long-lived process keeps for searches: what they answer is what the log says now."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.log import EventLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query import slices
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections

from ...samples import examples

PEOPLE = ("ada", "ben", "cyd")
WORDS = ("plum", "Plumber", "ÄPFEL", "lum", "x")
send = st.tuples(st.sampled_from(PEOPLE), st.sets(st.sampled_from(PEOPLE), min_size=1),
                 st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), st.integers(1, 60))  # fmt: skip
ask = st.tuples(st.sampled_from((*PEOPLE, None)), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))


def mailbox_of(folder: Path, size: int) -> Mailbox:
    log = EventLog(folder, segment_bytes=size)
    return Mailbox(log, MemoryBlobs(), FileProjections(log))


@given(
    st.lists(st.one_of(send, ask), max_size=12), st.sampled_from((2048, 1 << 20)), st.sampled_from((0, 300, 1 << 20))
)
@settings(max_examples=examples(15), deadline=None)
def test_a_search_finds_what_the_plain_projection_finds(steps, size, most):
    """Whoever has sent it, a moment ago as well; with segments or without, and whatever there was no room for."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MOST_TEXT", most)
        folder = Path(name)
        reader, other = mailbox_of(folder, size), mailbox_of(folder, size)
        plain = MemoryProjections(other.log)
        for step in [*steps, ("ada", ["plum"]), ("ben", ["plum", "x"])]:
            if len(step) == 4:
                sender, to, words, times = step
                other.send(Letter(sender, sorted(to), " ".join(words[:2]), " ".join(words * times)))
                continue
            persona, words = step
            given = {"persona": persona, "words": sorted({word.lower() for word in words}), "limit": 5}
            found, wanted = (each.rows("search", **given) for each in (reader.projections, plain))
            for row in (*found, *wanted):
                del row["data"]  # which the log writes without spaces
            assert found == wanted


def test_texts_for_which_there_is_no_room_are_given_up(tmp_path, monkeypatch):
    """Those of the persona that was not searched for the longest time, and those that alone are too many, for good."""
    mailbox = mailbox_of(tmp_path, 1 << 20)
    for name in PEOPLE:
        mailbox.send(Letter(name, [name], "plum", "x" * 100))
    size = len("plum plum plum ") + 100
    monkeypatch.setattr(slices, "MOST_TEXT", 2 * size)
    connection = mailbox.projections._query._connection

    def kept() -> list[int]:
        named = connection.execute("SELECT table_name FROM duckdb_columns() WHERE column_name = 'length'").fetchall()
        return [connection.execute(f"SELECT sum(length) FROM {name}").fetchone()[0] for (name,) in named]

    for name in (*PEOPLE, "ada", "ben"):
        assert len(mailbox.search("plum", persona=name)) == 1
        assert sum(kept()) <= 3 * size
    mailbox.search("plum", persona="ben")
    assert kept() == [size, size]
    for _ in range(2):
        mailbox.send(Letter("cyd", ["cyd"], "plum", "x" * 100))
    for _ in range(3):
        assert len(mailbox.search("plum", persona="cyd")) == 3
    assert 3 * size not in kept()
